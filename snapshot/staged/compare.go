package staged

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Kind says in what way something in a tag is not as the manifest says.
type Kind string

const (
	Changed     Kind = "changed"  // other contents, or another type
	Missing     Kind = "missing"  // a directory stands for all that was in it
	Extra       Kind = "extra"    // a directory stands for all that is in it
	OtherMode   Kind = "mode"     // other permissions
	OtherTarget Kind = "link"     // a symbolic link that leads elsewhere
	OtherOwner  Kind = "owner"    // owned by another user than the one who published the tag
	BadManifest Kind = "manifest" // the manifest itself is damaged; the tree is not compared with it
	Unread      Kind = "unread"   // not drift: it could not be read, so it is not known
)

// Finding is one thing in a tag that is not as its manifest says, or could not be compared with it.
type Finding struct {
	Path   string // relative to the tag, "." for the tag itself; empty for the manifest
	Kind   Kind
	Detail string // more for people
}

func (f Finding) String() string {
	text := fmt.Sprintf("%s: %s", f.Kind, tag.QuotePath(f.Path))
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	return text
}

// Drifted reports whether the findings prove that something was changed.
func Drifted(findings []Finding) bool {
	return slices.ContainsFunc(findings, func(f Finding) bool { return f.Kind != Unread })
}

// CompareOptions are what a comparison can be told besides the manifest.
type CompareOptions struct {
	Owner *uint32 // the user ID that everything must have; nil if it does not matter
	Read  func()  // called for each file that was read, by several goroutines at once; nil for nobody
}

// Compare reads the tree at dir whole and returns everything that is not as the manifest m says, sorted by path. The
// modes must be those of the layout that m records. It follows no links below dir. What cannot be read is found
// Unread. The error says that dir itself cannot be read, that ctx was done, or that m has an unknown layout.
func Compare(ctx context.Context, dir string, m *tag.Manifest, o CompareOptions) ([]Finding, error) {
	c := comparison{options: o, layout: Layout(m.Layout), expected: newExpectations(m.Entries)}
	if !c.layout.known() {
		return nil, fmt.Errorf("this version of etchtag does not know the layout %q", m.Layout)
	}
	if err := walkTree(ctx, dir, &c); err != nil {
		return nil, fmt.Errorf("compare with the manifest of %s: %w", m.Name, err)
	}
	c.findMissing(m.Entries)
	slices.SortFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(string(a.Kind), string(b.Kind)))
	})
	return c.findings, nil
}

// expectation is a file or a directory that must be there.
type expectation struct {
	entry tag.Entry // zero for a directory with something in it
	dir   bool
	met   bool
	blind bool // what is below it is not known
}

// newExpectations lists the entries and the directories that they stand in by their paths.
func newExpectations(entries []tag.Entry) map[string]*expectation {
	all := make(map[string]*expectation, len(entries)+len(entries)/2)
	for _, e := range entries {
		all[e.Path] = &expectation{entry: e, dir: e.Mode == tag.ModeEmptyDir}
		for d := path.Dir(e.Path); all[d] == nil; d = path.Dir(d) {
			all[d] = &expectation{dir: true}
			if d == "." {
				break
			}
		}
	}
	if all["."] == nil {
		all["."] = &expectation{dir: true}
	}
	return all
}

// comparison is the visitor that compares a tree with a manifest.
type comparison struct {
	options  CompareOptions
	layout   Layout
	expected map[string]*expectation // the map itself does not change

	mu       sync.Mutex // guards the expectations and the findings
	findings []Finding
}

func (c *comparison) add(p string, kind Kind, format string, args ...any) {
	c.findings = append(c.findings, Finding{p, kind, fmt.Sprintf(format, args...)})
}

func (c *comparison) meet(p string, st *unix.Stat_t) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := c.expected[p]
	if want == nil {
		c.add(p, Extra, "%s", typeName(st.Mode))
		return false
	}
	want.met = true
	if got, wanted := typeName(st.Mode), want.typeName(); got != wanted {
		c.add(p, Changed, "%s, not %s", got, wanted)
		want.blind = true
		return false
	}
	if o := c.options.Owner; o != nil && *o != st.Uid {
		c.add(p, OtherOwner, "user %d, not %d", st.Uid, *o)
	}
	if wrong := c.layout.wrongMode(want.mode(), st.Mode); wrong != "" {
		c.add(p, OtherMode, "%s", wrong)
	}
	if st.Mode&unix.S_IFMT == unix.S_IFREG && st.Size != want.entry.Size {
		c.add(p, Changed, "%d bytes, not %d", st.Size, want.entry.Size)
		return false
	}
	return true
}

func (c *comparison) read(p string, got contents) {
	if c.options.Read != nil {
		c.options.Read()
	}
	want := c.expected[p].entry // which nobody writes to
	if got.hash == want.Hash {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if want.Mode == tag.ModeSymlink {
		c.add(p, OtherTarget, "it leads to %q", got.target)
		return
	}
	c.add(p, Changed, "other contents")
}

func (c *comparison) failed(p string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	want := c.expected[p]
	if errors.Is(err, fs.ErrNotExist) { // it went just now
		if want != nil && want.met {
			c.add(p, Missing, "")
			want.blind = true
		}
		return
	}
	c.add(p, Unread, "%v", err)
	if want != nil {
		want.met, want.blind = true, true
	}
}

// findMissing adds what was not met of the sorted entries. Of a directory that is gone only the topmost is named, and
// nothing that stands where nobody could look.
func (c *comparison) findMissing(entries []tag.Entry) {
	below := map[string]int{} // how many entries went with a directory
	for _, e := range entries {
		top, hidden := c.topmost(e.Path)
		switch {
		case hidden:
		case top != e.Path:
			below[top]++
		case !c.expected[e.Path].met:
			c.add(e.Path, Missing, "")
		}
	}
	for dir, n := range below {
		c.add(dir, Missing, "a directory with %d entries", n)
	}
}

// topmost returns the first directory on the way to p that was not met, or else p. It reports whether p stands below
// something that could not be looked into.
func (c *comparison) topmost(p string) (string, bool) {
	if c.expected["."].blind {
		return p, true
	}
	for i := range len(p) {
		if p[i] != '/' {
			continue
		}
		switch up := c.expected[p[:i]]; {
		case up.blind:
			return p, true
		case !up.met:
			return p[:i], false
		}
	}
	return p, false
}

func (e *expectation) typeName() string {
	switch {
	case e.dir:
		return typeName(unix.S_IFDIR)
	case e.entry.Mode == tag.ModeSymlink:
		return typeName(unix.S_IFLNK)
	}
	return typeName(unix.S_IFREG)
}

func (e *expectation) mode() source.Mode {
	if e.dir {
		return source.Directory
	}
	return source.Mode(e.entry.Mode)
}

// typeName names the type of a file, given its mode as the kernel has it.
func typeName(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFLNK:
		return "a symbolic link"
	case unix.S_IFIFO:
		return "a fifo"
	case unix.S_IFSOCK:
		return "a socket"
	}
	return "a device"
}
