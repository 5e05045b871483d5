// Package cvs is a source that is a CVS working copy. CVS knows no revision of a whole tree: one is the newest time of a
// commit and a hash of the entries, and it is proved after each update that nothing was committed meanwhile. The network
// is the cvs program's affair.
package cvs

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// Options says where a CVS working copy is and how to reach its upstream.
type Options struct {
	Dir string // the working copy, absolute; it may be a symbolic link
	// URL is the repository, as CVSROOT names it: "/srv/cvs", ":local:/srv/cvs", ":ext:user@host:/srv/cvs" or
	// ":pserver:user@host:/srv/cvs". A port may stand before the path, also after :ext:, where it is ssh's. Empty: the
	// checkout's own.
	URL     string
	Module  string        // the directory in the repository, or the name of a module; empty: the checkout's own
	Branch  string        // a branch or another tag; empty: the trunk
	Timeout time.Duration // what each run of the client may take; 0: no limit
	Auth    remote.Auth

	// Progress is told how far a long operation is; nil means that nobody wants to know.
	Progress source.ProgressFunc

	aside.Edits
}

// Source is a CVS working copy and its upstream, which the client cvs is run for. Current and Resolve write nothing;
// Update and Clone must not run side by side.
//
// Source knows neither revisions of a tree nor what a file was checked out as. Both are made up for: a revision's ID is
// the date of the newest commit and a hash of what CVS/Entries says in all directories, and a record in the working
// copy's own CVS directory has the hash of every file as the client wrote it, so that an edit is noticed even if it
// changed neither the time nor the size. A working copy without such a record, or that another client or an
// interrupted run has changed since, is checked out anew beside the old one, compared with it by contents, and
// exchanged for it.
//
// A revision of a file that upstream takes back is noticed by its number (Outcome.Rewritten), but not if another one was
// committed under the same number meanwhile: no client of CVS notices that.
//
// A commit to CVS is not atomic: its files appear one after the other. What an Update leaves is a tree that the
// repository had as a whole at one moment, because the client is run again until it finds nothing to do. A commit that
// was under way at that very moment may be in it in part; the next Update brings the rest.
type Source struct {
	o Options
}

var _ source.Exporter = (*Source)(nil)

// New returns the source for a working copy that need not exist yet.
func New(o Options) *Source { return &Source{o} }

// Kind returns "cvs".
func (c *Source) Kind() string { return "cvs" }

// At implements Source.
func (c *Source) At(dir string) source.Source {
	o := c.o
	o.Dir = dir
	return New(o)
}

// Foreign implements Source. Two repositories with one host, port and path are one, whatever the method and the user.
func (c *Source) Foreign() (reason string, err error) {
	entries, err := os.ReadDir(c.o.Dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	own, err := readCVSOrigin(c.o.Dir)
	if errors.Is(err, os.ErrNotExist) || disk.IsNotDir(err) {
		return "it is not a checkout of CVS", nil
	}
	if err != nil {
		return "", nil // Update says what is wrong, and mends what can be
	}
	if c.o.URL != "" {
		configured, err := parseCVSRoot(c.o.URL)
		if err != nil {
			return "", err
		}
		if own.root.place() != configured.place() {
			return fmt.Sprintf("its repository is %s, not %s", own.root, configured), nil
		}
	}
	if c.o.Module != "" && filepath.Clean(c.o.Module) != own.module {
		return fmt.Sprintf("it is of the module %q, not of %q", own.module, c.o.Module), nil
	}
	return "", nil
}

// upstream returns where the working copy's upstream is: as configured, else as the checkout at dir says.
func (c *Source) upstream(dir string) (origin, error) {
	var own origin
	if c.o.URL == "" || c.o.Module == "" {
		var err error
		if own, err = readCVSOrigin(dir); err != nil {
			return own, fmt.Errorf("find the repository and module of the working copy %q: %w", c.o.Dir, err)
		}
	}
	if c.o.URL != "" {
		root, err := parseCVSRoot(c.o.URL)
		if err != nil {
			return own, err
		}
		own.root = root
	}
	if c.o.Module != "" {
		if err := checkCVSModule(c.o.Module); err != nil {
			return own, err
		}
		own.module = filepath.Clean(c.o.Module)
	}
	if strings.HasPrefix(c.o.Branch, "-") || strings.ContainsAny(c.o.Branch, "\x00\r\n/ ") {
		return own, fmt.Errorf("%q is no name of a branch or tag", c.o.Branch)
	}
	return own, nil
}

// Clone makes the working copy, in a directory that does not exist or is empty. It is built beside its place and
// renamed when it is whole.
func (c *Source) Clone(ctx context.Context) (out source.Outcome, err error) {
	root, err := workcopy.ClonePlace(c.o.Dir)
	if err != nil {
		return source.Outcome{}, err
	}
	if c.o.URL == "" || c.o.Module == "" {
		return source.Outcome{}, fmt.Errorf("there is no working copy at %q, and no repository and module are configured "+
			"to make one from", c.o.Dir)
	}
	run, err := c.begin(root)
	if err != nil {
		return source.Outcome{}, err
	}
	defer run.close()
	temp, err := workcopy.NewCloneDir(root, c.o.Step)
	if err != nil {
		return source.Outcome{}, err
	}
	defer disk.RemovePath(temp)
	record, err := run.checkout(ctx, temp)
	if err != nil {
		return source.Outcome{}, fmt.Errorf("clone into %q: %w", c.o.Dir, err)
	}
	run.out.Revision, run.out.Changed = record.revision, len(record.files)
	return run.out, workcopy.PlaceClone(filepath.Join(temp, cvsTree), root, c.o.Step)
}

// Update brings the working copy to upstream's newest revision, whatever was done to it locally.
func (c *Source) Update(ctx context.Context) (out source.Outcome, err error) {
	root, err := filepath.EvalSymlinks(c.o.Dir)
	if err != nil {
		return source.Outcome{}, fmt.Errorf("open the working copy: %w", err)
	}
	run, err := c.begin(root)
	if err != nil {
		return source.Outcome{}, err
	}
	defer run.close()
	if err := run.update(ctx); err != nil {
		return run.out, fmt.Errorf("update the working copy %q: %w", c.o.Dir, err)
	}
	return run.out, nil
}

// Current returns the revision that the last whole update left. It fails with a MixedError if something else is checked
// out by now; whether files were edited is for Export to say.
func (c *Source) Current(ctx context.Context) (source.Revision, error) {
	record, err := c.current(ctx)
	if err != nil {
		return source.Revision{}, err
	}
	return record.revision, nil
}

func (c *Source) current(ctx context.Context) (*treeRecord, error) {
	root, err := filepath.EvalSymlinks(c.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the working copy: %w", err)
	}
	record := readCVSRecord(root)
	if record == nil {
		return nil, fmt.Errorf("the working copy %q: %w", c.o.Dir, source.ErrNoRevision)
	}
	admin, err := readCVSAdmin(ctx, root)
	if workcopy.IsHidden(err) {
		return nil, &source.MixedError{Dir: c.o.Dir, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("read the working copy %q: %w", c.o.Dir, err)
	}
	if admin.digest != record.digest {
		return nil, &source.MixedError{Dir: c.o.Dir, Err: errors.New("an update was interrupted, or another client was used in it")}
	}
	return record, nil
}

const (
	// cvsIDTime is how the date of the newest commit begins a revision's ID.
	cvsIDTime = "20060102T150405Z"
	// cvsIDDigits is how many hexadecimal digits of the hash of the entries end it.
	cvsIDDigits = 16
)

// newCVSRevision names the tree that has these entries, and of which the newest commit has this date.
func newCVSRevision(date time.Time, entries [sha256.Size]byte) source.Revision {
	date = date.UTC().Truncate(time.Second)
	return source.Revision{ID: date.Format(cvsIDTime) + "-" + hex.EncodeToString(entries[:])[:cvsIDDigits], Time: date}
}

// dates are the forms of a date that Resolve knows, all of them UTC where they do not say.
var dates = []string{time.RFC3339, cvsIDTime, "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// Resolve finds a revision by its ID, the beginning of the present one's (at least 8 characters), or a date such as
// "2026-11-22T10:15:00Z" or "2026-11-22 10:15" (UTC), which means the tree as it was then. Upstream is not asked: Export
// says whether it has the revision.
func (c *Source) Resolve(ctx context.Context, name string) (source.Revision, error) {
	const minBeginning = 8
	record, err := c.current(ctx)
	if err == nil && len(name) >= minBeginning && strings.HasPrefix(record.revision.ID, name) {
		return record.revision, nil
	}
	stamp, digits, hasHash := strings.Cut(name, "-")
	if date, err := time.Parse(cvsIDTime, stamp); err == nil && hasHash && len(digits) == cvsIDDigits && strings.Trim(digits, "0123456789abcdef") == "" {
		return source.Revision{ID: name, Time: date}, nil
	}
	for _, layout := range dates {
		date, err := time.Parse(layout, name)
		if err != nil {
			continue
		}
		if date = date.UTC(); date.After(c.o.Now()) {
			return source.Revision{}, fmt.Errorf("find the revision %q: that is in the future", name)
		}
		return source.Revision{ID: date.Format(cvsIDTime), Time: date}, nil
	}
	if name == "HEAD" {
		return source.Revision{}, err
	}
	return source.Revision{}, fmt.Errorf("find the revision %q: it is neither the ID of a revision nor a date such as %s", name,
		time.RFC3339)
}

// run is one run of Clone, Update or Export.
type run struct {
	*Source
	root    string // the working copy, links resolved
	origin  origin
	session *session
	discard aside.Discarder
	out     source.Outcome
}

// begin sweeps what dead runs left, and prepares to run the client.
func (c *Source) begin(root string) (*run, error) {
	origin, err := c.upstream(root)
	if err != nil {
		return nil, err
	}
	r := &run{Source: c, root: root, origin: origin}
	r.out.Warnings = append(workcopy.SweepPrefix(filepath.Dir(root), workcopy.ClonePrefix(root), c.o.Step),
		workcopy.SweepPrefix(filepath.Join(root, cvsDir), disk.TempPrefix, c.o.Step)...)
	if r.session, err = c.newSession(origin.root, root); err != nil {
		return nil, err
	}
	r.discard = aside.Discarder{Edits: c.o.Edits}
	if origin.root.password != "" && c.o.Auth.PasswordFile == "" {
		r.out.Warnings = append(r.out.Warnings, "the repository's URL holds a password: a password file is safer")
	}
	return r, nil
}

func (r *run) close() {
	r.discard.Close()
	r.session.close()
}

// finish completes the outcome of an update.
func (r *run) finish(record *treeRecord) {
	r.out.Revision = record.revision
	r.out.Discarded = r.discard.Dir
	if w := r.discard.Warning(); w != "" {
		r.out.Warnings = append(r.out.Warnings, w)
	}
}

// sticky returns the options that make the client follow the branch, and nothing that lingers.
func (c *Source) sticky() []string {
	if c.o.Branch != "" {
		return []string{"-r", c.o.Branch}
	}
	return []string{"-A"}
}

// checkEntries returns an error unless every file is one of upstream's, on the branch that is followed, and may be
// published.
func (c *Source) checkEntries(admin *admin) error {
	want := ""
	if c.o.Branch != "" {
		want = "T" + c.o.Branch
	}
	for _, e := range admin.files {
		if e.tag != want || !isRCSNumber(e.revision) || strings.Contains(e.stamp, "+") {
			return fmt.Errorf("the client left the entry of %s as %q", disk.QuotePath(e.path), e.line())
		}
	}
	for _, dir := range admin.dirs {
		for part := range strings.SplitSeq(dir, "/") {
			if workcopy.IsMetadata(part) {
				return fmt.Errorf("upstream has a directory %s, which cannot be published", disk.QuotePath(dir))
			}
		}
	}
	if i := slices.IndexFunc(admin.files, func(e entry) bool { return workcopy.IsMetadata(filepath.Base(e.path)) }); i >= 0 {
		return fmt.Errorf("upstream has a file %s, which cannot be published", disk.QuotePath(admin.files[i].path))
	}
	return nil
}
