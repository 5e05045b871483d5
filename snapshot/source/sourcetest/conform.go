// Package sourcetest is the conformance suite: what every kind of source must do, over every server. A kind gives it a
// rig, which makes an upstream, edits it and says what it can hold.
package sourcetest

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
)

// Rig is one upstream, served by a real server, and the source under test that follows it. Each kind of source
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
type Rig interface {
	// Can says what this kind of upstream can hold and do. It is the same for every rig of a kind and server.
	Can() Abilities
	// Source returns the source under test. Every call is about the same working copy, which does not exist at first.
	Source(o RigOptions) source.Source
	// Dir is the place of the working copy, discards the directory below which local edits are set aside.
	Dir() string
	Discards() string
	// Commit makes edits upstream, in order, and records them as one new revision, whose time is later than
	// that of every one before. A new rig's upstream has a path that the source follows, with no files in it;
	// a source that cannot clone has to have the new revision in its working copy when commit returns.
	Commit(edits ...testbed.Edit)
	// Upstream lists the newest revision, without metadata, as the system's own tools give it (an export, say).
	Upstream() testbed.Listing
	// Newest is the ID that the source has to give the newest revision; empty where only the source can tell.
	Newest() string
	// Rewrite replaces upstream's newest revision by another one: the edits are made to the revision before it.
	// It is called only where Can().Rewrite says so.
	Rewrite(edits ...testbed.Edit)
	// DeletePath makes upstream lose what the source follows, such as the branch or the directory, but not more.
	DeletePath()
	// Valve returns what stands between the source and its server; nil where there is no connection to one.
	Valve() *testbed.Valve
}

// RigOptions are the options of a source that the suite has a say in. The others are the rig's business, above all
// Auth, and Now, which is to return theTime.
type RigOptions struct {
	Timeout       time.Duration // of each network operation; 0: the rig chooses one that is not reached
	Step          func(label string) error
	BeforeReplace func(path string, base, local, upstream []byte) error
}

// Edits are what a source is told of local edits.
func (o RigOptions) Edits(r Rig) aside.Edits {
	return aside.Edits{Discard: r.Discards(), BeforeReplace: o.BeforeReplace, Step: o.Step,
		Now: func() time.Time { return testbed.TheTime }}
}

// Abilities says which cases make sense for a kind. A case that does not is not run.
type Abilities struct {
	Clones      bool // Clone makes the working copy; otherwise another tool does, and Clone fails and says so
	Local       bool // the source knows what is local in its working copy and sets it aside
	Links       bool // upstream can hold symbolic links
	Modes       bool // upstream can hold executable files
	ModeChanges bool // and a later revision can change that without a change of contents
	EmptyDirs   bool // upstream can hold empty directories, and they are published
	Replaces    bool // a later revision can have a directory where a file was, and the reverse
	// Name reports whether upstream can hold a file of this name; nil: every name that Linux can.
	Name func(name string) bool
	// Rewrite says what an Update does once upstream was rewritten.
	Rewrite rewriting
	// History says that Resolve finds the ID of a revision before the newest, and that its tree can be had.
	History bool
	// Transactional says that a revision that was fetched whole stays whole when a later Update fails on the way.
	// Otherwise Current may return an error then, instead.
	Transactional bool
}

// rewriting is what happens where upstream's history is rewritten.
type rewriting int

const (
	NeverRewritten    rewriting = iota // there is no history, or none that can be rewritten
	RewriteIsFollowed                  // Update succeeds; the working copy is what upstream is now
	rewriteIsRefused                   // Update fails and changes nothing
)

// Served is one way to reach an upstream of a kind.
type Served struct {
	Name string
	Role Role
	// Large says that a large file is worth its time, too.
	Large bool
}

// Role says which cases are run over a server.
type Role int

const (
	Chief   Role = iota // all cases, in every run
	Another             // all cases in a whole run; in a sample those that are about the connection
	// Alike is for a server that differs from another one of the kind only in how one finds it or logs in. The cases about
	// the connection are run in a whole run, and two of them in a sample.
	Alike
	// Joined is for an upstream of which a revision comes from several places, one after the other. It is like alike, but
	// for the cases about what happens to the working copy, and in the middle of an operation; in a sample, one of these.
	Joined
)

// cases are those that are run over a server of this role.
func (r Role) cases(extent runtest.Extent) []conformanceCase {
	all := slices.Concat(connectionCases, treeCases, localCases, brokenCases)
	first := connectionCases[:2]
	switch extent {
	case runtest.Whole:
		return map[Role][]conformanceCase{Chief: all, Another: all, Alike: connectionCases,
			Joined: slices.Concat(connectionCases, localCases, brokenCases)}[r]
	case runtest.Sample:
		return map[Role][]conformanceCase{Chief: all, Another: connectionCases, Alike: first,
			Joined: slices.Concat(first, brokenCases[:1])}[r]
	}
	if r != Chief {
		return nil
	}
	return slices.DeleteFunc(all, func(c conformanceCase) bool { return !c.brief })
}

// Conform runs the suite over one kind of source and one server.
func Conform(t *testing.T, s Served, makeRig func(t *testing.T) Rig) {
	cases := s.Role.cases(runtest.Asked())
	if len(cases) == 0 {
		return
	}
	t.Run(s.Name, func(t *testing.T) {
		t.Parallel()
		can := makeRig(t).Can()
		for _, test := range cases {
			if test.needs != nil && !test.needs(can) {
				continue
			}
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(NewConformance(t, makeRig(t)))
			})
		}
		switch extent := runtest.Asked(); {
		case s.Large && extent == runtest.Whole:
			t.Run("100 MB", func(t *testing.T) { conformLarge(t, makeRig, 100<<20) })
		case s.Large && extent == runtest.Sample && s.Role == Chief:
			t.Run("16 MB", func(t *testing.T) { conformLarge(t, makeRig, 16<<20) })
		}
	})
}

// conformanceCase is one case of the suite.
type conformanceCase struct {
	name  string
	brief bool                     // it is part of a brief run
	needs func(can Abilities) bool // nil: every kind has it
	run   func(c *Conformance)
}

// Conformance is one run of a case.
type Conformance struct {
	Rig
	T       *testing.T
	written map[string]string // what the edits come to, but for directories
	before  map[string]string // the same before the last commit
}

func NewConformance(t *testing.T, r Rig) *Conformance {
	return &Conformance{Rig: r, T: t, written: map[string]string{}}
}

// Commit makes edits upstream, and notes what they come to.
func (c *Conformance) Commit(edits ...testbed.Edit) {
	c.T.Helper()
	c.before = maps.Clone(c.written)
	c.note(edits)
	c.Rig.Commit(edits...)
}

func (c *Conformance) rewrite(edits ...testbed.Edit) {
	c.T.Helper()
	c.written = maps.Clone(c.before)
	c.note(edits)
	c.Rig.Rewrite(edits...)
}

func (c *Conformance) note(edits []testbed.Edit) {
	for _, e := range edits {
		switch e.Op {
		case testbed.OpWrite:
			c.written[e.Path] = testbed.Describe(e.Mode, e.Content)
		case testbed.OpRemove, testbed.OpRename:
			for path, has := range maps.Clone(c.written) {
				if path != e.Path && !strings.HasPrefix(path, e.Path+"/") {
					continue
				}
				delete(c.written, path)
				if e.Op == testbed.OpRename {
					c.written[e.To+strings.TrimPrefix(path, e.Path)] = has
				}
			}
		}
	}
}

// Start makes the first revision and its working copy.
func (c *Conformance) Start(edits ...testbed.Edit) {
	c.T.Helper()
	c.Commit(edits...)
	s := c.Source(RigOptions{})
	if !c.Can().Clones {
		c.Update()
		return
	}
	out, err := s.Clone(c.T.Context())
	if err != nil {
		c.T.Fatalf("Clone: %v", err)
	}
	c.isNewest(out)
}

// Update brings the working copy to the newest revision, and proves that it is there.
func (c *Conformance) Update() source.Outcome {
	c.T.Helper()
	out, err := c.Source(RigOptions{}).Update(c.T.Context())
	if err != nil {
		c.T.Fatalf("Update: %v", err)
	}
	c.isNewest(out)
	return out
}

// follow commits edits and updates. Nothing is worth a warning.
func (c *Conformance) follow(edits ...testbed.Edit) {
	c.T.Helper()
	c.Commit(edits...)
	if out := c.Update(); len(out.Warnings) > 0 || out.Discarded != "" || out.Rewritten {
		c.T.Errorf("the outcome is %+v", out)
	}
}

// isNewest fails the test unless the working copy and what would be published are upstream's newest revision.
func (c *Conformance) isNewest(out source.Outcome) {
	c.T.Helper()
	upstream := c.Upstream()
	upstream.Files().Same(c.T, "upstream", c.written)
	ListWorkingCopy(c.T, c.Dir()).Same(c.T, "the working copy", upstream)
	s := c.Source(RigOptions{})
	current, err := s.Current(c.T.Context())
	if err != nil || current.ID != out.Revision.ID || !current.Time.Equal(out.Revision.Time) {
		c.T.Fatalf("Current is %v, %v, the outcome's is %v", current, err, out.Revision)
	}
	if newest := c.Newest(); newest != "" && newest != current.ID {
		c.T.Fatalf("Current is %q, upstream's is %q", current.ID, newest)
	}
	PublishedBy(c.T, s, current).Same(c.T, "what is published", upstream)
}

// fails runs an Update that has to fail, and to leave the revision that was there.
func (c *Conformance) fails(o RigOptions) error {
	c.T.Helper()
	s := c.Source(o)
	before, err := s.Current(c.T.Context())
	if err != nil {
		c.T.Fatalf("Current: %v", err)
	}
	had := PublishedBy(c.T, s, before)
	workingCopy := ListWorkingCopy(c.T, c.Dir())
	_, failure := s.Update(c.T.Context())
	if failure == nil {
		c.T.Fatal("Update succeeded")
	}
	after, err := s.Current(c.T.Context())
	if err != nil || after != before {
		c.T.Fatalf("Current is %v, %v, was %v", after, err, before)
	}
	PublishedBy(c.T, s, after).Same(c.T, "what is published", had)
	ListWorkingCopy(c.T, c.Dir()).Same(c.T, "the working copy", workingCopy)
	return failure
}

// IsWhole fails the test unless what Current says is whole is one of these.
func (c *Conformance) IsWhole(trees ...testbed.Listing) {
	c.T.Helper()
	s := c.Source(RigOptions{})
	current, err := s.Current(c.T.Context())
	if err != nil {
		if c.Can().Transactional {
			c.T.Fatalf("Current: %v", err)
		}
		return
	}
	if exporter, ok := s.(source.Exporter); ok && !c.Can().Transactional {
		_, err := exporter.Export(c.T.Context(), current, c.T.TempDir(), source.ExportOptions{})
		if errors.As(err, new(*source.MixedError)) {
			return // there are local edits, and it says so
		}
	}
	got := PublishedBy(c.T, s, current)
	if !slices.ContainsFunc(trees, func(l testbed.Listing) bool { return maps.Equal(l, got) }) {
		got.Same(c.T, "what is published after a failed update", trees[0])
	}
}

// leavesNothing fails the test if something of a clone that failed is left.
func (c *Conformance) leavesNothing() {
	c.T.Helper()
	if left, err := os.ReadDir(c.Dir()); err == nil && len(left) > 0 {
		c.T.Errorf("there is a working copy: %v", left)
	}
	prefix := filepath.Join(filepath.Dir(c.Dir()), workcopy.ClonePrefix(c.Dir()))
	if left, _ := filepath.Glob(prefix + "*"); len(left) > 0 {
		c.T.Errorf("left over: %q", left)
	}
}

// setAside lists the contents of all files that were set aside.
func (c *Conformance) setAside() map[string]bool {
	c.T.Helper()
	contents := map[string]bool{}
	if disk.Exists(c.Discards()) {
		for _, has := range testbed.ListDir(c.T, c.Discards()) {
			contents[has] = true
		}
	}
	return contents
}

// Path is the place of a file in the working copy.
func (c *Conformance) Path(name string) string { return filepath.Join(c.Dir(), name) }

// ListWorkingCopy lists a directory without what version control systems keep in it.
func ListWorkingCopy(t testbed.Failer, dir string) testbed.Listing {
	t.Helper()
	list := testbed.ListDir(t, dir)
	for path := range list {
		if slices.ContainsFunc(strings.Split(path, "/"), workcopy.IsMetadata) {
			delete(list, path)
		}
	}
	return list
}

// PublishedBy lists what a source has to publish of a revision, as a Store or as an Exporter.
func PublishedBy(t *testing.T, s source.Source, r source.Revision) testbed.Listing {
	t.Helper()
	if store, ok := s.(source.Store); ok {
		tree, err := store.Tree(t.Context(), r)
		if err != nil {
			t.Fatalf("Tree: %v", err)
		}
		if tree.Revision() != r {
			t.Fatalf("the tree of %v says that it is of %v", r, tree.Revision())
		}
		return Published(t, tree)
	}
	dir := t.TempDir()
	var promised []source.Entry
	var done, total int
	export, err := s.(source.Exporter).Export(t.Context(), r, dir, source.ExportOptions{
		Room:     func(entries []source.Entry) error { promised = entries; return nil },
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
	list := testbed.ListDir(t, dir)
	testbed.IsListed(t, export.Entries, list)
	return list
}

// Published lists what stands in a tree as listDir would list it once it is staged.
func Published(t testbed.Failer, tree source.Tree) testbed.Listing {
	t.Helper()
	r, err := tree.NewReader()
	if err != nil {
		t.Fatalf("opening a reader: %v", err)
	}
	defer r.Close()
	list := testbed.Listing{}
	dirs := map[string]bool{}
	previous := ""
	for _, e := range tree.Entries() {
		if e.Path <= previous {
			t.Fatalf("%q comes after %q", e.Path, previous)
		}
		previous = e.Path
		disk.ParentDirs(dirs, e.Path)
		if e.Mode == source.Directory {
			dirs[e.Path] = true
			continue
		}
		var contents strings.Builder
		if err := r.WriteTo(&contents, e); err != nil {
			t.Fatalf("reading %q: %v", e.Path, err)
		}
		list[e.Path] = testbed.Describe(e.Mode, contents.String())
	}
	for dir := range dirs {
		list[dir] = testbed.Describe(source.Directory, "")
	}
	return list
}

// Warns asserts that an outcome's warnings say all of the words.
func Warns(t *testing.T, out source.Outcome, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(strings.Join(out.Warnings, "\n"), word) {
			t.Errorf("no warning says %q: %q", word, out.Warnings)
		}
	}
}
