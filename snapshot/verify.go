package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Status is what came of verifying, repairing or adopting one tag.
type Status string

const (
	StatusClean      Status = "clean"      // exactly as its manifest says
	StatusDrifted    Status = "drifted"    // not as its manifest says, or the manifest is damaged
	StatusUnread     Status = "unread"     // nothing proves drift, but not everything could be read
	StatusUnverified Status = "unverified" // there is no manifest to compare it with
	StatusGone       Status = "gone"       // pruned meanwhile
	StatusRepaired   Status = "repaired"   // it had drifted, and was rebuilt
	StatusAdopted    Status = "adopted"    // it had no manifest, and has one now
)

// TagReport is what came of one tag.
type TagReport struct {
	Name     string
	Status   Status
	Files    int              // that the manifest lists
	Bytes    int64            // their sizes
	Findings []staged.Finding // sorted by path; of a repaired tag those from before
	SetAside string           // where the drifted tree of a repaired tag is now
	// Failure says why a drifted tag could not be repaired, or one without a manifest not adopted; nil if it was.
	Failure error
	// LeftOver is what could not be done although the rest was.
	LeftOver []error
}

// VerifyOptions say which tags are verified, repaired or adopted.
type VerifyOptions struct {
	// Tags are the names of those that are; nil means all with a manifest, or for Adopt all without one. Those that
	// do not exist are passed over: they may have been pruned just now.
	Tags     []string
	LockWait time.Duration // how long Repair and Adopt wait for another run; 0 gives up at once
	// Progress is told how many files are read, and how many the manifests list, -1 if there are none; nil for nobody.
	// Several goroutines call it.
	Progress func(done, total int)
	// Staging is told by Repair how many files of a tag are rebuilt, of how many; nil for nobody.
	Staging func(done, total int)
}

// Verify compares tags with their manifests, newest first: the files of each are read side by side. It takes no lock
// and writes nothing, so everyone may do it who can read the tags. The reports that it returns with an error are
// those of the tags before.
func Verify(ctx context.Context, l tag.Base, o VerifyOptions) ([]TagReport, error) {
	tags, err := chooseTags(l, o.Tags, hasManifest)
	if err != nil {
		return nil, err
	}
	read := countFiles(tags, o.Progress)
	var reports []TagReport
	for _, t := range tags {
		report, _, err := inspect(ctx, l, t.Name, read)
		if err != nil {
			return reports, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

// hasManifest reports whether a tag has a manifest, be it a damaged one.
func hasManifest(t *tag.Tag) bool {
	_, ok, err := t.Header()
	return ok || err != nil
}

// chooseTags lists the tags with the names given or, if names is nil, those that are wanted, newest first.
func chooseTags(l tag.Base, names []string, wanted func(*tag.Tag) bool) ([]*tag.Tag, error) {
	index, err := tag.ReadIndex(l)
	if err != nil {
		return nil, err
	}
	var chosen []*tag.Tag
	for _, t := range slices.Backward(index.Tags) {
		if names == nil && wanted(t) || slices.Contains(names, t.Name) {
			chosen = append(chosen, t)
		}
	}
	return chosen, nil
}

// countFiles returns what is to be called for each file that was read, so that progress is told; nil for nobody.
func countFiles(tags []*tag.Tag, progress func(done, total int)) func() {
	if progress == nil {
		return nil
	}
	total := 0
	for _, t := range tags {
		if header, ok, err := t.Header(); ok && err == nil {
			total += header.Files
		}
	}
	var done atomic.Int64
	return func() {
		n := int(done.Add(1))
		if total == 0 {
			progress(n, -1)
		} else {
			progress(n, max(n, total))
		}
	}
}

// inspect compares one tag with its manifest, which it returns too, nil if there is none that can be used. The error
// says that ctx was done.
func inspect(ctx context.Context, l tag.Base, name string, read func()) (TagReport, *tag.Manifest, error) {
	for {
		before, _ := os.Lstat(l.Dir(name))
		report, manifest := compareTag(ctx, l, name, read)
		if ctx.Err() != nil {
			return report, nil, context.Cause(ctx)
		}
		if report.Status == StatusClean {
			return report, manifest, nil
		}
		after, err := os.Lstat(l.Dir(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return TagReport{Name: name, Status: StatusGone}, nil, nil
		case err != nil || before != nil && os.SameFile(before, after):
			return report, manifest, nil
		}
		// Another tree was put in its place meanwhile, and the old one may have gone as it was read.
	}
}

func compareTag(ctx context.Context, l tag.Base, name string, read func()) (TagReport, *tag.Manifest) {
	report := TagReport{Name: name}
	manifest, err := loadManifest(l, name)
	var owner *uint32
	if err == nil {
		owner, err = publisher(l, manifest)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		report.Status = StatusUnverified
		return report, nil
	case err != nil:
		report.found(manifestFinding(err))
		return report, nil
	}
	report.Files, report.Bytes = manifest.Files, manifest.Bytes
	findings, err := staged.Compare(ctx, l.Dir(name), manifest, staged.CompareOptions{Owner: owner, Read: read})
	if err != nil {
		findings = []staged.Finding{{Path: ".", Kind: staged.Unread, Detail: err.Error()}}
	}
	report.found(findings...)
	return report, manifest
}

// found sets the findings, and the status that follows from them.
func (r *TagReport) found(findings ...staged.Finding) {
	r.Findings = findings
	switch {
	case staged.Drifted(findings):
		r.Status = StatusDrifted
	case len(findings) > 0:
		r.Status = StatusUnread
	default:
		r.Status = StatusClean
	}
}

// loadManifest reads a tag's manifest. The error matches fs.ErrNotExist if it has none.
func loadManifest(l tag.Base, name string) (*tag.Manifest, error) {
	m, err := tag.ReadManifest(l.Manifest(name))
	if err != nil {
		return nil, err
	}
	if m.Name != name {
		return nil, fmt.Errorf("it is the manifest of another tag, %q", m.Name)
	}
	return m, nil
}

// publisher is the user who has published a tag: the one to whom its manifest belongs. A tag that some other program
// made may belong to anyone; then it is nil.
func publisher(l tag.Base, m *tag.Manifest) (*uint32, error) {
	if m.Layout == tag.Adopted {
		return nil, nil
	}
	path := l.Manifest(m.Name)
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	return &st.Uid, nil
}

// manifestFinding tells a manifest that is damaged from one that the system does not let us read.
func manifestFinding(err error) staged.Finding {
	f := staged.Finding{Kind: staged.BadManifest, Detail: err.Error()}
	if system := new(fs.PathError); errors.As(err, &system) && !errors.Is(err, unix.EISDIR) {
		f.Kind = staged.Unread
	}
	return f
}
