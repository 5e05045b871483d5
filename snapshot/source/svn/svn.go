// Package svn is a source that is a Subversion working copy, with its externals. The network is the svn program's affair:
// there is no other implementation of its protocols. What is local and what is upstream's is told from svn's own records.
// A tag is what is proved to have come here together.
package svn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// Options says where a working copy of Subversion is and how to reach its upstream.
type Options struct {
	Dir string // the working copy, absolute; it may be a symbolic link
	// Base is the directory that the working copy lies in, absolute. If Dir has no .svn of its own but Base has, Base is
	// the working copy. Then all that is said of the working copy is meant of Dir alone; see Update.
	Base    string
	URL     string        // upstream; empty: what is checked out
	Timeout time.Duration // what each run of svn that reaches the network may take; 0: no limit
	Auth    remote.Auth   // empty: svn's own store, and ssh's own keys and known hosts

	// IsTagstate says which files of Base outside Dir hold marks, by path relative to Base. A local edit of one does
	// not keep the rest from being updated. May be nil.
	IsTagstate func(path string) bool
	// Progress is told when files begin to come here ("checkout", with no total), and how many there are in the end.
	Progress source.ProgressFunc

	aside.Edits // a run of svn is an operation, too
}

// Source is a working copy of Subversion and its upstream. It runs the command line client, svn, which never asks anything
// and takes from the user's configuration what the options do not say. A revision's ID is its number, its time that of
// the last commit that changed the tree.
//
// Externals are followed. Those that are not pinned to a revision are always upstream's newest: what they were at an
// earlier revision of the tree cannot be known. So each update that has brought all of it here records what came together
// (svnwhole.go), and only that is published: svn itself does not tell it from what an update leaves that ends between the
// tree and an external.
//
// Where upstream's newest revision is the working copy's own, but for its number, the working copy stays as it is.
type Source struct {
	o Options
}

var _ source.Exporter = (*Source)(nil)

// New returns the source for a working copy that need not exist yet.
func New(o Options) *Source { return &Source{o} }

// Kind returns "svn".
func (s *Source) Kind() string { return "svn" }

// At implements Source. At another place the base is not the working copy.
func (s *Source) At(dir string) source.Source {
	o := s.o
	if o.Dir != dir {
		o.Dir, o.Base = dir, ""
	}
	return New(o)
}

// Foreign implements Source. Two URLs that differ in the user, the usual port or the spelling of the path's end are
// one upstream.
func (s *Source) Foreign() (reason string, err error) {
	entries, err := os.ReadDir(s.o.Dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	r, err := s.begin()
	if err != nil {
		return "it is not a checkout of Subversion", nil
	}
	info, err := r.client.info(context.Background())
	switch {
	case err != nil && r.inBase() && hasCode(err, "155010", "155007"):
		return "it is not a checkout of Subversion", nil
	case err != nil: // Update says what is wrong, and mends what can be
		return "", nil
	}
	return r.foreign(info), nil
}

// foreign says why what is checked out is not what is configured.
func (r *run) foreign(info wcInfo) string {
	if r.o.URL == "" || sameSVN(info.URL, r.o.URL) {
		return ""
	}
	if r.inBase() && sameSVN(strings.TrimSuffix(info.URL, "/"+filepath.Base(r.root)), r.o.URL) {
		return ""
	}
	return fmt.Sprintf("its upstream is %s, not %s", remote.Redact(info.URL), remote.Redact(r.o.URL))
}

// svnDir is the directory in which svn keeps what it knows of a working copy.
const svnDir = ".svn"

// isSVNDir reports whether a path ends in that name.
func isSVNDir(path string) bool {
	_, name := disk.SplitPath(path)
	return name == svnDir
}

// run is one operation on a working copy.
type run struct {
	*Source
	root    string // Dir, links resolved
	wcRoot  string // where .svn is: root, or the base
	client  client
	discard aside.Discarder
	out     source.Outcome
	before  *workcopy.Copy // what stood there at first
}

// errNoSVN says that there is no working copy of Subversion at a place.
var errNoSVN = errors.New("it is not a checkout of Subversion")

// begin finds the working copy.
func (s *Source) begin() (*run, error) {
	root, err := filepath.EvalSymlinks(s.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the working copy: %w", err)
	}
	r := s.runAt(root)
	if disk.Exists(filepath.Join(root, svnDir)) {
		return r, nil
	}
	if s.o.Base != "" && disk.Exists(filepath.Join(s.o.Base, svnDir)) {
		if r.wcRoot, err = filepath.EvalSymlinks(s.o.Base); err != nil {
			return nil, fmt.Errorf("open the base: %w", err)
		}
		if r.rel() != "" {
			return r, nil
		}
	}
	return nil, fmt.Errorf("open the working copy %q: %w", s.o.Dir, errNoSVN)
}

func (s *Source) runAt(root string) *run {
	return &run{
		Source: s, root: root, wcRoot: root, client: s.in(root),
		discard: aside.Discarder{Edits: s.o.Edits},
	}
}

// inBase reports whether the base is the working copy.
func (r *run) inBase() bool { return r.wcRoot != r.root }

// rel is the path of root in the base; it is empty if it does not lie there.
func (r *run) rel() string {
	rel, ok := strings.CutPrefix(r.root, r.wcRoot+"/")
	if !ok {
		return ""
	}
	return rel
}

// nextDiscard notes what was set aside, and lets more be set aside in a directory of its own: what was put in the
// place of something that was set aside may be local, too.
func (r *run) nextDiscard() {
	d := r.discard
	d.Close()
	r.out.Discarded = cmp.Or(r.out.Discarded, d.Dir)
	if w := d.Warning(); w != "" {
		r.out.Warnings = append(r.out.Warnings, w)
	}
	r.discard = aside.Discarder{Edits: d.Edits}
}

// Current returns the revision that is checked out, if it is whole: all of one revision, with no part left out, and with
// the externals that came with it. Else it fails with a MixedError. Local edits do not count, because Export sets them
// aside.
func (s *Source) Current(ctx context.Context) (source.Revision, error) {
	r, err := s.begin()
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, errNoSVN) && isEmptyDir(s.o.Dir) {
		return source.Revision{}, fmt.Errorf("the working copy %q: %w", s.o.Dir, source.ErrNoRevision)
	}
	if err != nil {
		return source.Revision{}, err
	}
	f, err := r.inspect(ctx)
	if workcopy.IsHidden(err) {
		return source.Revision{}, &source.MixedError{Dir: s.o.Dir, Err: err}
	}
	if err != nil {
		return source.Revision{}, fmt.Errorf("the working copy %q: %w", s.o.Dir, err)
	}
	if len(f.strange) > 0 { // what else there is is for Export to find out
		return f.info.revision(), nil
	}
	if err := r.proveWhole(f); err != nil {
		return source.Revision{}, err
	}
	return f.info.revision(), nil
}

func isEmptyDir(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) == 0
}

func (i wcInfo) revision() source.Revision {
	return source.Revision{ID: i.Revision, Time: commitTime(i.Commit.Date)}
}

var (
	svnNumber = remote.LazyRegexp(`^r?([0-9]{1,18})$`)
	svnDate   = remote.LazyRegexp(`^\{[0-9TZ:.+-]+\}$`)
)

// Resolve finds a revision by its number, as 1234 or r1234, by a date, as {2026-11-22T09:00Z}, or by the name HEAD,
// which is upstream's newest. A date without a zone is in UTC.
func (s *Source) Resolve(ctx context.Context, name string) (source.Revision, error) {
	revision := name
	if m := svnNumber().FindStringSubmatch(name); m != nil {
		revision = m[1]
	} else if name != "HEAD" && !svnDate().MatchString(name) {
		return source.Revision{}, fmt.Errorf("%q is no revision of Subversion: write 1234, r1234, HEAD or {2026-11-22T09:00Z}", name)
	}
	r, err := s.begin()
	if err != nil {
		return source.Revision{}, err
	}
	info, err := r.client.info(ctx)
	if err != nil {
		return source.Revision{}, fmt.Errorf("the working copy %q: %w", s.o.Dir, err)
	}
	if revision == info.Revision {
		return info.revision(), nil
	}
	found, err := r.client.remoteInfo(ctx, info.URL, revision, "HEAD")
	if err != nil {
		return source.Revision{}, fmt.Errorf("find revision %q of %s: %w", name, remote.Redact(info.URL), err)
	}
	return found.revision(), nil
}
