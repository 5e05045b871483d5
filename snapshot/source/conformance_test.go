package source

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
)

// rig is one upstream, served by a real server, and the source under test that follows it. Each kind of source
// implements it once for all of its servers, in a file KINDrig_test.go, and runs the suite over every one of them:
//
//	func TestSVNConformance(t *testing.T) {
//		for _, server := range svnServers {
//			conform(t, server.served, func(t *testing.T) rig { return newSVNRig(t, server) })
//		}
//	}
//
// The suite makes a new rig for each case, so that cases run side by side. What a rig makes it makes below t.TempDir(),
// and what it starts ends with the test. A rig's methods fail its test where they do not succeed.
type rig interface {
	// can says what this kind of upstream can hold and do. It is the same for every rig of a kind and server.
	can() abilities
	// source returns the source under test. Every call is about the same working copy, which does not exist at first.
	source(o rigOptions) Source
	// dir is the place of the working copy, discards the directory below which local edits are set aside.
	dir() string
	discards() string
	// commit makes edits upstream, in order, and records them as one new revision, whose time is later than
	// that of every one before. A new rig's upstream has a path that the source follows, with no files in it;
	// a source that cannot clone has to have the new revision in its working copy when commit returns.
	commit(edits ...edit)
	// upstream lists the newest revision, without metadata, as the system's own tools give it (an export, say).
	upstream() listing
	// newest is the ID that the source has to give the newest revision; empty where only the source can tell.
	newest() string
	// rewrite replaces upstream's newest revision by another one: the edits are made to the revision before it.
	// It is called only where can().rewrite says so.
	rewrite(edits ...edit)
	// deletePath makes upstream lose what the source follows, such as the branch or the directory, but not more.
	deletePath()
	// valve returns what stands between the source and its server; nil where there is no connection to one.
	valve() *valve
}

// rigOptions are the options of a source that the suite has a say in. The others are the rig's business, above all
// Auth, and Now, which is to return theTime.
type rigOptions struct {
	timeout       time.Duration // of each network operation; 0: the rig chooses one that is not reached
	step          func(label string) error
	beforeReplace func(path string, base, local, upstream []byte) error
}

// abilities says which cases make sense for a kind. A case that does not is not run.
type abilities struct {
	clones      bool // Clone makes the working copy; otherwise another tool does, and Clone fails and says so
	local       bool // the source knows what is local in its working copy and sets it aside
	links       bool // upstream can hold symbolic links
	modes       bool // upstream can hold executable files
	modeChanges bool // and a later revision can change that without a change of contents
	emptyDirs   bool // upstream can hold empty directories, and they are published
	replaces    bool // a later revision can have a directory where a file was, and the reverse
	// name reports whether upstream can hold a file of this name; nil: every name that Linux can.
	name func(name string) bool
	// rewrite says what an Update does once upstream was rewritten.
	rewrite rewriting
	// history says that Resolve finds the ID of a revision before the newest, and that its tree can be had.
	history bool
	// transactional says that a revision that was fetched whole stays whole when a later Update fails on the way.
	// Otherwise Current may return an error then, instead.
	transactional bool
}

// rewriting is what happens where upstream's history is rewritten.
type rewriting int

const (
	neverRewritten    rewriting = iota // there is no history, or none that can be rewritten
	rewriteIsFollowed                  // Update succeeds; the working copy is what upstream is now
	rewriteIsRefused                   // Update fails and changes nothing
)

// edit is one change of a tree.
type edit struct {
	op      editOp
	path    string
	to      string // of a rename
	mode    Mode   // of a write: Regular, Executable or Symlink
	content string // or a link's target
}

type editOp int

const (
	opWrite  editOp = iota // makes or replaces a file or a link, and makes the directories above it
	opRemove               // removes a file, a link or a whole directory
	opRename               // moves a file or a directory, as the system's own command does it if it has one
	opMkdir                // makes an empty directory; only where can().emptyDirs
)

func write(path, content string) edit {
	return edit{op: opWrite, path: path, mode: Regular, content: content}
}
func script(path, content string) edit {
	return edit{op: opWrite, path: path, mode: Executable, content: content}
}
func symlink(path, target string) edit {
	return edit{op: opWrite, path: path, mode: Symlink, content: target}
}
func remove(path string) edit         { return edit{op: opRemove, path: path} }
func rename(path, to string) edit     { return edit{op: opRename, path: path, to: to} }
func emptyDirectory(path string) edit { return edit{op: opMkdir, path: path} }

// editTree makes edits in a plain directory, for rigs whose system finds out by itself what was done.
func editTree(t *testing.T, dir string, edits []edit) {
	t.Helper()
	for _, e := range edits {
		if err := e.apply(filepath.Join(dir, e.path), filepath.Join(dir, e.to)); err != nil {
			t.Fatalf("editing %q: %v", e.path, err)
		}
	}
}

// apply makes an edit of a file at path.
func (e edit) apply(path, to string) error {
	above := path
	if e.op == opRename {
		above = to
	}
	if err := os.MkdirAll(filepath.Dir(above), 0o755); err != nil {
		return err
	}
	switch e.op {
	case opRemove:
		return os.RemoveAll(path)
	case opRename:
		return os.Rename(path, to)
	case opMkdir:
		return os.Mkdir(path, 0o755)
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	switch e.mode {
	case Symlink:
		return os.Symlink(e.content, path)
	case Executable:
		return os.WriteFile(path, []byte(e.content), 0o755)
	}
	return os.WriteFile(path, []byte(e.content), 0o644)
}

// served is one way to reach an upstream of a kind.
type served struct {
	name string
	role role
	// large says that a large file is worth its time, too.
	large bool
}

// role says which cases are run over a server.
type role int

const (
	chief   role = iota // all cases, in every run
	another             // all cases in a whole run; in a sample those that are about the connection
	// alike is for a server that differs from another one of the kind only in how one finds it or logs in. The cases about
	// the connection are run in a whole run, and two of them in a sample.
	alike
	// joined is for an upstream of which a revision comes from several places, one after the other. It is like alike, but
	// for the cases about what happens to the working copy, and in the middle of an operation.
	joined
)

// cases are those that are run over a server of this role.
func (r role) cases(extent runtest.Extent) []conformanceCase {
	all := slices.Concat(connectionCases, treeCases, localCases, brokenCases)
	first := connectionCases[:2]
	switch extent {
	case runtest.Whole:
		return map[role][]conformanceCase{chief: all, another: all, alike: connectionCases,
			joined: slices.Concat(connectionCases, localCases, brokenCases)}[r]
	case runtest.Sample:
		return map[role][]conformanceCase{chief: all, another: connectionCases, alike: first,
			joined: slices.Concat(first, brokenCases[1:2])}[r]
	}
	if r != chief {
		return nil
	}
	return slices.DeleteFunc(all, func(c conformanceCase) bool { return !c.brief })
}

// conform runs the suite over one kind of source and one server.
func conform(t *testing.T, s served, makeRig func(t *testing.T) rig) {
	cases := s.role.cases(runtest.Asked())
	if len(cases) == 0 {
		return
	}
	t.Run(s.name, func(t *testing.T) {
		t.Parallel()
		can := makeRig(t).can()
		for _, test := range cases {
			if test.needs != nil && !test.needs(can) {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(newConformance(t, makeRig(t)))
			})
		}
		switch extent := runtest.Asked(); {
		case s.large && extent == runtest.Whole:
			t.Run("100 MB", func(t *testing.T) { conformLarge(t, makeRig, 100<<20) })
		case s.large && extent == runtest.Sample && s.role == chief:
			t.Run("16 MB", func(t *testing.T) { conformLarge(t, makeRig, 16<<20) })
		}
	})
}

// conformanceCase is one case of the suite.
type conformanceCase struct {
	name  string
	brief bool                     // it is part of a brief run
	needs func(can abilities) bool // nil: every kind has it
	run   func(c *conformance)
}

// conformance is one run of a case.
type conformance struct {
	rig
	t       *testing.T
	written map[string]string // what the edits come to, but for directories
	before  map[string]string // the same before the last commit
}

func newConformance(t *testing.T, r rig) *conformance {
	return &conformance{rig: r, t: t, written: map[string]string{}}
}

// commit makes edits upstream, and notes what they come to.
func (c *conformance) commit(edits ...edit) {
	c.t.Helper()
	c.before = maps.Clone(c.written)
	c.note(edits)
	c.rig.commit(edits...)
}

func (c *conformance) rewrite(edits ...edit) {
	c.t.Helper()
	c.written = maps.Clone(c.before)
	c.note(edits)
	c.rig.rewrite(edits...)
}

func (c *conformance) note(edits []edit) {
	for _, e := range edits {
		switch e.op {
		case opWrite:
			c.written[e.path] = describe(e.mode, e.content)
		case opRemove, opRename:
			for path, has := range maps.Clone(c.written) {
				if path != e.path && !strings.HasPrefix(path, e.path+"/") {
					continue
				}
				delete(c.written, path)
				if e.op == opRename {
					c.written[e.to+strings.TrimPrefix(path, e.path)] = has
				}
			}
		}
	}
}

// start makes the first revision and its working copy.
func (c *conformance) start(edits ...edit) {
	c.t.Helper()
	c.commit(edits...)
	s := c.source(rigOptions{})
	if !c.can().clones {
		c.update()
		return
	}
	out, err := s.Clone(c.t.Context())
	if err != nil {
		c.t.Fatalf("Clone: %v", err)
	}
	c.isNewest(out)
}

// update brings the working copy to the newest revision, and proves that it is there.
func (c *conformance) update() Outcome {
	c.t.Helper()
	out, err := c.source(rigOptions{}).Update(c.t.Context())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	c.isNewest(out)
	return out
}

// follow commits edits and updates. Nothing is worth a warning.
func (c *conformance) follow(edits ...edit) {
	c.t.Helper()
	c.commit(edits...)
	if out := c.update(); len(out.Warnings) > 0 || out.Discarded != "" || out.Rewritten {
		c.t.Errorf("the outcome is %+v", out)
	}
}

// isNewest fails the test unless the working copy and what would be published are upstream's newest revision.
func (c *conformance) isNewest(out Outcome) {
	c.t.Helper()
	upstream := c.upstream()
	upstream.files().same(c.t, "upstream", c.written)
	listWorkingCopy(c.t, c.dir()).same(c.t, "the working copy", upstream)
	s := c.source(rigOptions{})
	current, err := s.Current(c.t.Context())
	if err != nil || current.ID != out.Revision.ID || !current.Time.Equal(out.Revision.Time) {
		c.t.Fatalf("Current is %v, %v, the outcome's is %v", current, err, out.Revision)
	}
	if newest := c.newest(); newest != "" && newest != current.ID {
		c.t.Fatalf("Current is %q, upstream's is %q", current.ID, newest)
	}
	publishedBy(c.t, s, current).same(c.t, "what is published", upstream)
}

// fails runs an Update that has to fail, and to leave the revision that was there.
func (c *conformance) fails(o rigOptions) error {
	c.t.Helper()
	s := c.source(o)
	before, err := s.Current(c.t.Context())
	if err != nil {
		c.t.Fatalf("Current: %v", err)
	}
	had := publishedBy(c.t, s, before)
	workingCopy := listWorkingCopy(c.t, c.dir())
	_, failure := s.Update(c.t.Context())
	if failure == nil {
		c.t.Fatal("Update succeeded")
	}
	after, err := s.Current(c.t.Context())
	if err != nil || after != before {
		c.t.Fatalf("Current is %v, %v, was %v", after, err, before)
	}
	publishedBy(c.t, s, after).same(c.t, "what is published", had)
	listWorkingCopy(c.t, c.dir()).same(c.t, "the working copy", workingCopy)
	return failure
}

// isWhole fails the test unless what Current says is whole is one of these.
func (c *conformance) isWhole(trees ...listing) {
	c.t.Helper()
	s := c.source(rigOptions{})
	current, err := s.Current(c.t.Context())
	if err != nil {
		if c.can().transactional {
			c.t.Fatalf("Current: %v", err)
		}
		return
	}
	if exporter, ok := s.(Exporter); ok && !c.can().transactional {
		_, err := exporter.Export(c.t.Context(), current, c.t.TempDir(), ExportOptions{})
		if errors.As(err, new(*MixedError)) {
			return // there are local edits, and it says so
		}
	}
	got := publishedBy(c.t, s, current)
	if !slices.ContainsFunc(trees, func(l listing) bool { return maps.Equal(l, got) }) {
		got.same(c.t, "what is published after a failed update", trees[0])
	}
}

// leavesNothing fails the test if something of a clone that failed is left.
func (c *conformance) leavesNothing() {
	c.t.Helper()
	if left, err := os.ReadDir(c.dir()); err == nil && len(left) > 0 {
		c.t.Errorf("there is a working copy: %v", left)
	}
	prefix := filepath.Join(filepath.Dir(c.dir()), clonePrefix(c.dir()))
	if left, _ := filepath.Glob(prefix + "*"); len(left) > 0 {
		c.t.Errorf("left over: %q", left)
	}
}

// setAside lists the contents of all files that were set aside.
func (c *conformance) setAside() map[string]bool {
	c.t.Helper()
	contents := map[string]bool{}
	if exists(c.discards()) {
		for _, has := range listDir(c.t, c.discards()) {
			contents[has] = true
		}
	}
	return contents
}

// path is the place of a file in the working copy.
func (c *conformance) path(name string) string { return filepath.Join(c.dir(), name) }

// files is the listing without directories.
func (l listing) files() listing {
	files := listing{}
	for path, has := range l {
		if has != describe(Directory, "") {
			files[path] = has
		}
	}
	return files
}

// listWorkingCopy lists a directory without what version control systems keep in it.
func listWorkingCopy(t failer, dir string) listing {
	t.Helper()
	list := listDir(t, dir)
	for path := range list {
		if slices.ContainsFunc(strings.Split(path, "/"), isMetadata) {
			delete(list, path)
		}
	}
	return list
}

// publishedBy lists what a source has to publish of a revision, as a Store or as an Exporter.
func publishedBy(t *testing.T, s Source, r Revision) listing {
	t.Helper()
	if store, ok := s.(Store); ok {
		tree, err := store.Tree(t.Context(), r)
		if err != nil {
			t.Fatalf("Tree: %v", err)
		}
		if tree.Revision() != r {
			t.Fatalf("the tree of %v says that it is of %v", r, tree.Revision())
		}
		return published(t, tree)
	}
	dir := t.TempDir()
	var promised []Entry
	var done, total int
	export, err := s.(Exporter).Export(t.Context(), r, dir, ExportOptions{
		Room:     func(entries []Entry) error { promised = entries; return nil },
		Progress: func(d, t int) { done, total = d, t },
	})
	if err != nil {
		t.Fatalf("Export: %v", err)
	}
	if export.Revision.ID != r.ID {
		t.Fatalf("the export of %v says that it is of %v", r, export.Revision)
	}
	if len(promised) != len(export.Entries) || done != len(export.Entries) || total != done {
		t.Errorf("%d entries were announced, %d exported, %d of %d reported", len(promised), len(export.Entries), done,
			total)
	}
	list := listDir(t, dir)
	isListed(t, export.Entries, list)
	return list
}

// isListed fails the test unless the entries of an export are sorted, and are what the listing has.
func isListed(t failer, entries []ExportedEntry, list listing) {
	t.Helper()
	dirs := map[string]bool{}
	hashes := listing{}
	previous := ""
	for _, e := range entries {
		if e.Path <= previous {
			t.Fatalf("%q comes after %q", e.Path, previous)
		}
		previous = e.Path
		parentDirs(dirs, e.Path)
		hashes[e.Path] = fmt.Sprintf("%c %x", e.Mode, e.Hash)
	}
	want := listing{}
	for path, has := range list {
		contents, err := strconv.Unquote(has[2:])
		if err != nil {
			t.Fatalf("%q is %s", path, has)
		}
		switch {
		case Mode(has[0]) != Directory:
			want[path] = fmt.Sprintf("%c %x", has[0], sha256.Sum256([]byte(contents)))
		case !dirs[path]:
			want[path] = fmt.Sprintf("%c %x", Directory, [sha256.Size]byte{})
		}
	}
	hashes.same(t, "the list of what was exported", want)
}
