package sourcetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
)

// FirstFiles are what most cases begin with.
var FirstFiles = []testbed.Edit{
	testbed.Write("defaults.yml", "a: 1\n"),
	testbed.Write("source/etc/motd", "hello\n"),
	testbed.Write("source/etc/hosts", "127.0.0.1 localhost\n"),
	testbed.Write("source/usr/x", "x\n"),
}

// connectionCases are about what passes between the source and its upstream. The first two say most.
var connectionCases = []conformanceCase{
	{name: "first checkout", brief: true, run: testFirstCheckout},
	{name: "changed", brief: true, run: testChanged},
	{name: "no change", run: testNoChange},
	{name: "path deleted", run: testPathDeleted},
	{name: "rewritten", brief: true, needs: func(can Abilities) bool { return can.Rewrite != NeverRewritten }, run: testRewritten},
	{name: "unreachable", brief: true, needs: cloning, run: testUnreachable},
	{name: "hung", needs: cloning, run: testHung},
	{name: "cut off", needs: cloning, run: testCutOff},
}

// treeCases are about what is made of it.
var treeCases = []conformanceCase{
	{name: "clone where something stands", needs: cloning, run: testCloneIsRefused},
	{name: "added", run: testAdded},
	{name: "deleted", run: testDeleted},
	{name: "renamed", brief: true, run: testRenamed},
	{name: "executable", needs: func(can Abilities) bool { return can.Modes }, run: testExecutable},
	{name: "mode change", needs: func(can Abilities) bool { return can.ModeChanges }, run: testModeChange},
	{name: "links", needs: func(can Abilities) bool { return can.Links }, run: testLinks},
	{name: "link to directory", needs: func(can Abilities) bool { return can.Links && can.Replaces }, run: testLinkToDirectory},
	{name: "file to directory", needs: func(can Abilities) bool { return can.Replaces }, run: testFileToDirectory},
	{name: "empty directory", needs: func(can Abilities) bool { return can.EmptyDirs }, run: testEmptyDirectory},
	{name: "unusual names", brief: true, run: testUnusualNames},
	{name: "1 MB", run: testMegabyte},
	{name: "earlier revision", needs: func(can Abilities) bool { return can.History }, run: testEarlierRevision},
	{name: "names of revisions", run: testResolve},
}

// localCases are about what else happens to the working copy.
var localCases = []conformanceCase{
	{name: "local edits", brief: true, needs: keepsLocal, run: testLocalEdits},
	{name: "local edits meet upstream's", needs: keepsLocal, run: testConflicts},
	{name: "unversioned files", needs: keepsLocal, run: testUnversioned},
	{name: "publishing beside local edits", needs: keepsLocal, run: testPublishingBesideLocalEdits},
	{name: "mounts that are not upstream's", needs: keepsLocal, run: testForeignMounts},
	{name: "mount in what a dead run left", needs: cloning, run: testMountInLeftovers},
	{name: "mounts on what is upstream's", needs: keepsLocal, run: testMountsOnUpstreams},
}

// brokenCases are about what happens in the middle of an operation. The first says most.
var brokenCases = []conformanceCase{
	{name: "interrupted update", needs: cloning, run: testInterruptedUpdate},
	{name: "interrupted clone", needs: cloning, run: testInterruptedClone},
	{name: "cancelled update", needs: cloning, run: testCancelledUpdate},
}

func cloning(can Abilities) bool    { return can.Clones }
func keepsLocal(can Abilities) bool { return can.Local }

func testFirstCheckout(c *Conformance) {
	if !c.Can().Clones {
		c.Commit(FirstFiles...)
		_, err := c.Source(RigOptions{}).Clone(c.T.Context())
		if err == nil || !strings.Contains(err.Error(), c.Dir()) {
			c.T.Fatalf("Clone: %v", err)
		}
		c.Update()
		return
	}
	s := c.Source(RigOptions{})
	if reason, err := s.Foreign(); reason != "" || err != nil {
		c.T.Errorf("before it is made the working copy is foreign: %q, %v", reason, err)
	}
	if r, err := s.Current(c.T.Context()); err == nil {
		c.T.Errorf("before there is a working copy Current is %v", r)
	}
	c.Start(FirstFiles...)
	if reason, err := s.Foreign(); reason != "" || err != nil {
		c.T.Errorf("the working copy is foreign: %q, %v", reason, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(c.Dir()), workcopy.ClonePrefix(c.Dir())) + "*")
	if err != nil || len(left) > 0 {
		c.T.Errorf("left over: %q, %v", left, err)
	}
}

func testCloneIsRefused(c *Conformance) {
	c.Commit(FirstFiles...)
	testbed.WriteTestFile(c.T, c.Path("precious"), "x")
	if _, err := c.Source(RigOptions{}).Clone(c.T.Context()); err == nil {
		c.T.Fatal("Clone succeeded")
	}
	testbed.ListDir(c.T, c.Dir()).Same(c.T, "what stood there", testbed.Listing{"precious": testbed.Describe(source.Regular, "x")})
}

func testNoChange(c *Conformance) {
	c.Start(FirstFiles...)
	for range 2 {
		out := c.Update()
		if out.Changed != 0 || len(out.Warnings) > 0 || out.Discarded != "" || out.Rewritten {
			c.T.Errorf("the outcome is %+v", out)
		}
		if c.Can().Clones && out.Previous != out.Revision.ID {
			c.T.Errorf("previous is %q, the revision %q", out.Previous, out.Revision.ID)
		}
	}
}

func testChanged(c *Conformance) {
	c.Start(FirstFiles...)
	c.follow(testbed.Write("source/etc/motd", "hellO\n"))
	c.follow(testbed.Write("source/etc/motd", "no end"), testbed.Write("defaults.yml", ""), testbed.Write("source/usr/x", "a\r\nb\r\n"))
	c.follow(testbed.Write("source/etc/motd", "nul\x00\xff\n"), testbed.Write("defaults.yml", "\n"), testbed.Write("source/usr/x", "longer\n"))
}

func testAdded(c *Conformance) {
	c.Start(FirstFiles...)
	c.follow(testbed.Write("source/etc/issue", "new\n"))
	c.follow(testbed.Write("a/b/c/d/e/f", "deep\n"), testbed.Write("a/b/c2", "x\n"), testbed.Write("empty", ""))
	c.follow(testbed.Write("a-b", "sorts between a and a/b\n"))
}

func testDeleted(c *Conformance) {
	c.Start(append([]testbed.Edit{testbed.Write("d/e/f", "1\n"), testbed.Write("d/g", "2\n"), testbed.Write("alone/x", "3\n")}, FirstFiles...)...)
	c.follow(testbed.Remove("source/etc/motd"))
	c.follow(testbed.Remove("alone/x"))
	c.follow(testbed.Remove("d"))
	c.follow(testbed.Write("source/etc/motd", "again\n"), testbed.Write("d/g", "again\n"))
}

func testRenamed(c *Conformance) {
	c.Start(FirstFiles...)
	c.follow(testbed.Rename("source/etc/motd", "source/etc/issue"))
	c.follow(testbed.Rename("source/usr", "source/lib"))
	c.follow(testbed.Rename("source/lib/x", "y"), testbed.Write("source/etc/motd", "another one\n"))
}

func testExecutable(c *Conformance) {
	c.Start(append([]testbed.Edit{testbed.Script("nodegrouper", "#!/bin/sh\n")}, FirstFiles...)...)
	c.follow(testbed.Script("source/run", "#!/bin/sh\nexit 1\n"))
	c.follow(testbed.Script("nodegrouper", "#!/bin/sh\nexit 0\n"))
}

func testModeChange(c *Conformance) {
	c.Start(FirstFiles...)
	c.follow(testbed.Script("source/etc/motd", "hello\n"))
	c.follow(testbed.Write("source/etc/motd", "hello\n"))
	c.follow(testbed.Script("source/etc/motd", "both\n"))
	c.follow(testbed.Write("source/etc/motd", "both again\n"))
}

func testLinks(c *Conformance) {
	c.Start(append([]testbed.Edit{testbed.Symlink("l", "defaults.yml")}, FirstFiles...)...)
	c.follow(testbed.Symlink("l", "source"), testbed.Symlink("source/etc/up", "../../defaults.yml"), testbed.Symlink("out", "/etc/passwd"),
		testbed.Symlink("none", "no/such"))
	c.follow(testbed.Write("l", "a file now\n"), testbed.Symlink("source/etc/motd", "hosts"))
	c.follow(testbed.Symlink("l", "defaults.yml"), testbed.Write("source/etc/motd", "hello\n"), testbed.Remove("out"))
}

func testLinkToDirectory(c *Conformance) {
	c.Start(FirstFiles...)
	c.follow(testbed.Remove("source/usr"), testbed.Symlink("source/usr", "etc"))
	c.follow(testbed.Remove("source/usr"), testbed.Write("source/usr/x", "x\n"))
}

func testFileToDirectory(c *Conformance) {
	c.Start(append([]testbed.Edit{testbed.Write("x", "file\n")}, FirstFiles...)...)
	c.follow(testbed.Remove("x"), testbed.Write("x/y/z", "in a directory\n"))
	c.follow(testbed.Remove("x"), testbed.Write("x", "file again\n"))
}

func testEmptyDirectory(c *Conformance) {
	c.Start(append([]testbed.Edit{testbed.EmptyDirectory("empty")}, FirstFiles...)...)
	c.follow(testbed.EmptyDirectory("source/also/empty"))
	c.follow(testbed.Write("empty/x", "not any more\n"))
	c.follow(testbed.Remove("source/also"))
}

func testUnusualNames(c *Conformance) {
	edits := append([]testbed.Edit{}, FirstFiles...)
	var names []string
	for _, name := range testbed.OddNames {
		if can := c.Can(); can.Name == nil || can.Name(name) {
			names = append(names, name)
			edits = append(edits, testbed.Write(name, "1"), testbed.Write("in a dir/"+name, "2"))
		}
	}
	if len(names) < len(testbed.OddNames)/2 {
		c.T.Fatalf("only %q of %q", names, testbed.OddNames)
	}
	c.Start(edits...)
	edits = nil
	for i, name := range names {
		if i%2 == 0 {
			edits = append(edits, testbed.Write(name, "changed"), testbed.Remove("in a dir/"+name))
		}
	}
	c.follow(edits...)
}

// Noise returns n bytes that cannot be compressed.
func Noise(n int, seed uint64) string {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	data := make([]byte, n)
	_, _ = source.Read(data) // never fails
	return string(data)
}

func testMegabyte(c *Conformance) {
	data := Noise(1<<20, 1)
	c.Start(append([]testbed.Edit{testbed.Write("large", data)}, FirstFiles...)...)
	c.follow(testbed.Write("large", data[:1<<19]+"between"+data[1<<19:]))
	c.follow(testbed.Write("large", data[:1<<19]), testbed.Write("text", strings.Repeat("a line of text\n", 1<<16)))
}

func testEarlierRevision(c *Conformance) {
	c.Start(FirstFiles...)
	s := c.Source(RigOptions{})
	first, err := s.Current(c.T.Context())
	if err != nil {
		c.T.Fatal(err)
	}
	had := c.Upstream()
	c.follow(testbed.Write("defaults.yml", "a: 2\n"), testbed.Remove("source/etc/motd"), testbed.Write("new/file", "x\n"))
	r, err := s.Resolve(c.T.Context(), first.ID)
	if err != nil || r.ID != first.ID || !r.Time.Equal(first.Time) {
		c.T.Fatalf("Resolve: %v, %v, want %v", r, err, first)
	}
	PublishedBy(c.T, s, r).Same(c.T, "the earlier revision", had)
}

func testResolve(c *Conformance) {
	c.Start(FirstFiles...)
	s := c.Source(RigOptions{})
	current, err := s.Current(c.T.Context())
	if err != nil {
		c.T.Fatal(err)
	}
	if r, err := s.Resolve(c.T.Context(), current.ID); err != nil || r.ID != current.ID {
		c.T.Errorf("Resolve(%q): %v, %v", current.ID, r, err)
	}
	for _, name := range []string{"", "no such revision", "-r", "../x", "\x00"} {
		if r, err := s.Resolve(c.T.Context(), name); err == nil {
			c.T.Errorf("Resolve(%q): %v", name, r)
		}
	}
}

func testPathDeleted(c *Conformance) {
	c.Start(FirstFiles...)
	if c.Can().Clones {
		c.DeletePath()
		c.fails(RigOptions{})
		return
	}
	c.DeletePath() // and with it the working copy
	if out, err := c.Source(RigOptions{}).Update(c.T.Context()); err == nil {
		c.T.Errorf("Update: %+v", out)
	}
	if r, err := c.Source(RigOptions{}).Current(c.T.Context()); err == nil {
		c.T.Errorf("Current: %v", r)
	}
}

func testRewritten(c *Conformance) {
	c.Start(FirstFiles...)
	c.follow(testbed.Write("source/etc/motd", "to be undone\n"), testbed.Write("added", "to be undone\n"))
	c.rewrite(testbed.Write("source/etc/issue", "instead\n"))
	if c.Can().Rewrite == rewriteIsRefused {
		c.fails(RigOptions{})
		return
	}
	if out := c.Update(); !out.Rewritten {
		c.T.Errorf("the outcome is %+v", out)
	}
	c.follow(testbed.Write("defaults.yml", "a: 2\n"))
}

// Edited is what BeforeReplace was told of.
type Edited map[string]string

func (e Edited) Note(path string, _, local, _ []byte) error {
	e[path] = string(local)
	return nil
}

// updateDiscards updates a working copy in which files with these contents have to be set aside. It returns what
// BeforeReplace was told.
func (c *Conformance) updateDiscards(contents ...string) Edited {
	c.T.Helper()
	told := Edited{}
	out, err := c.Source(RigOptions{BeforeReplace: told.Note}).Update(c.T.Context())
	if err != nil {
		c.T.Fatalf("Update: %v", err)
	}
	c.isNewest(out)
	if out.Discarded == "" || !strings.Contains(strings.Join(out.Warnings, "\n"), out.Discarded) {
		c.T.Errorf("the outcome names no directory of what was set aside: %+v", out)
	}
	kept := c.setAside()
	for _, want := range contents {
		if !kept[want] {
			c.T.Errorf("%s was not set aside: %v", want, kept)
		}
	}
	return told
}

func testLocalEdits(c *Conformance) {
	c.Start(FirstFiles...)
	testbed.WriteTestFile(c.T, c.Path("defaults.yml"), "a: local\n")
	told := c.updateDiscards(testbed.Describe(source.Regular, "a: local\n"))
	if told["defaults.yml"] != "a: local\n" {
		c.T.Errorf("BeforeReplace was told %q", told)
	}
	if err := os.Remove(c.Path("source/etc/motd")); err != nil {
		c.T.Fatal(err)
	}
	c.Update()
	if err := os.RemoveAll(c.Path("source/usr")); err != nil {
		c.T.Fatal(err)
	}
	c.Update()
	if c.Can().Modes {
		if err := os.Chmod(c.Path("source/etc/motd"), 0o755); err != nil {
			c.T.Fatal(err)
		}
		c.Update()
	}
	outside := c.T.TempDir()
	testbed.WriteTestFile(c.T, filepath.Join(outside, "hosts"), "outside\n")
	if err := os.RemoveAll(c.Path("source/etc")); err != nil {
		c.T.Fatal(err)
	}
	if err := os.Symlink(outside, c.Path("source/etc")); err != nil {
		c.T.Fatal(err)
	}
	c.Update()
	testbed.ListDir(c.T, outside).Same(c.T, "the directory that a link led to", testbed.Listing{"hosts": testbed.Describe(source.Regular, "outside\n")})
	if err := os.Remove(c.Path("defaults.yml")); err != nil {
		c.T.Fatal(err)
	}
	testbed.WriteTestFile(c.T, c.Path("defaults.yml/x"), "in the way\n")
	c.updateDiscards(testbed.Describe(source.Regular, "in the way\n"))
}

func testConflicts(c *Conformance) {
	c.Start(FirstFiles...)
	testbed.WriteTestFile(c.T, c.Path("defaults.yml"), "a: local\n")
	testbed.WriteTestFile(c.T, c.Path("source/etc/motd"), "local greeting\n")
	testbed.WriteTestFile(c.T, c.Path("source/etc/issue"), "local issue\n")
	testbed.WriteTestFile(c.T, c.Path("source/usr/x"), "local x\n")
	testbed.WriteTestFile(c.T, c.Path("newdir/inside"), "local inside\n")
	c.Commit(testbed.Write("defaults.yml", "a: upstream\n"), testbed.Remove("source/etc/motd"), testbed.Write("source/etc/issue", "upstream\n"),
		testbed.Write("newdir/inside", "upstream inside\n"), testbed.Remove("source/usr"))
	told := c.updateDiscards(testbed.Describe(source.Regular, "a: local\n"), testbed.Describe(source.Regular, "local greeting\n"),
		testbed.Describe(source.Regular, "local issue\n"), testbed.Describe(source.Regular, "local x\n"), testbed.Describe(source.Regular, "local inside\n"))
	if told["defaults.yml"] != "a: local\n" || told["source/etc/motd"] != "local greeting\n" {
		c.T.Errorf("BeforeReplace was told %q", told)
	}
}

func testUnversioned(c *Conformance) {
	c.Start(FirstFiles...)
	testbed.WriteTestFile(c.T, c.Path("stray"), "stray\n")
	testbed.WriteTestFile(c.T, c.Path("source/etc/motd~"), "editor's\n")
	testbed.WriteTestFile(c.T, c.Path("source/object.o"), "often ignored\n")
	testbed.WriteTestFile(c.T, c.Path("dir/below/file"), "below\n")
	if err := os.Symlink("/etc/passwd", c.Path("link")); err != nil {
		c.T.Fatal(err)
	}
	c.updateDiscards(testbed.Describe(source.Regular, "stray\n"), testbed.Describe(source.Regular, "editor's\n"), testbed.Describe(source.Regular, "often ignored\n"),
		testbed.Describe(source.Regular, "below\n"), testbed.Describe(source.Symlink, "/etc/passwd"))
	if err := os.MkdirAll(c.Path("nothing/in/it"), 0o755); err != nil {
		c.T.Fatal(err)
	}
	c.Update()
}

// What is published of a revision is what upstream has of it, or nothing, whatever was done to the working copy.
func testPublishingBesideLocalEdits(c *Conformance) {
	c.Start(FirstFiles...)
	s := c.Source(RigOptions{})
	current, err := s.Current(c.T.Context())
	if err != nil {
		c.T.Fatal(err)
	}
	for name, harm := range map[string]func() error{
		"edited":      func() error { return os.WriteFile(c.Path("defaults.yml"), []byte("a: 9\n"), 0o644) },
		"removed":     func() error { return os.Remove(c.Path("source/etc/motd")) },
		"unversioned": func() error { return os.WriteFile(c.Path("source/stray"), []byte("stray\n"), 0o644) },
		"no directory": func() error {
			return errors.Join(os.RemoveAll(c.Path("source/etc")), os.Symlink("usr", c.Path("source/etc")))
		},
	} {
		if err := harm(); err != nil {
			c.T.Fatal(err)
		}
		if exporter, ok := s.(source.Exporter); ok {
			dir := c.T.TempDir()
			if _, err := exporter.Export(c.T.Context(), current, dir, source.ExportOptions{}); err == nil {
				testbed.ListDir(c.T, dir).Same(c.T, name+": what is published", c.Upstream())
			}
		} else {
			PublishedBy(c.T, s, current).Same(c.T, name+": what is published", c.Upstream())
		}
		c.Update()
	}
}

var errInterrupted = errors.New("interrupted")

// interruptions are the steps at which an operation is interrupted, one after the other: each one at first, then
// fewer.
var interruptions = []int{0, 1, 2, 3, 4, 6, 9, 13, 19, 30, 60}

// interruptAt returns a hook that fails the step of this number, or the next one that may not fail, and says whether
// it was reached.
func interruptAt(n int) (step func(string) error, reached func() bool) {
	var taken int
	var fired bool
	return func(label string) error {
		// What could not be cleaned up is no reason to fail: the next run does it.
		if taken++; taken > n && !fired && !strings.HasPrefix(label, "remove ") {
			fired = true
			return errInterrupted
		}
		return nil
	}, func() bool { return fired }
}

func testInterruptedClone(c *Conformance) {
	c.Commit(FirstFiles...)
	for _, n := range runtest.Pick(interruptions, 4, 3) {
		step, reached := interruptAt(n)
		_, err := c.Source(RigOptions{Step: step}).Clone(c.T.Context())
		if !reached() {
			break
		}
		if err == nil {
			c.T.Fatalf("step %d: Clone succeeded", n)
		}
		s := c.Source(RigOptions{})
		if current, err := s.Current(c.T.Context()); err == nil { // it was in place already, which is no half
			PublishedBy(c.T, s, current).Same(c.T, "what is published", c.Upstream())
			if err := os.RemoveAll(c.Dir()); err != nil {
				c.T.Fatal(err)
			}
		}
		c.leavesNothing()
	}
	if err := os.RemoveAll(c.Dir()); err != nil {
		c.T.Fatal(err)
	}
	c.Start(testbed.Write("defaults.yml", "a: 2\n"))
}

// churning makes a first revision that the edits of churn(1), churn(2) and so on can follow.
func (c *Conformance) churning() {
	c.T.Helper()
	c.Start(slices.Concat(FirstFiles, []testbed.Edit{testbed.Write("only/in/odd", "x\n"), testbed.Write("only/in/even", "x\n")})...)
	c.follow(testbed.Remove("only/in/odd"))
}

// Churn returns edits that make one revision differ much from the one before.
func Churn(n int) []testbed.Edit {
	edits := []testbed.Edit{testbed.Write("defaults.yml", Noise(100, uint64(n))), testbed.Write("source/etc/motd", Noise(1000, uint64(n)))}
	if n%2 == 0 {
		return append(edits, testbed.Write("only/in/even", "x\n"), testbed.Remove("only/in/odd"))
	}
	return append(edits, testbed.Write("only/in/odd", "x\n"), testbed.Remove("only/in/even"))
}

func testInterruptedUpdate(c *Conformance) {
	c.churning()
	for i, n := range runtest.Pick(interruptions, 4, 3) {
		had := c.Upstream()
		c.Commit(Churn(i + 1)...)
		testbed.WriteTestFile(c.T, c.Path("source/usr/x"), "local\n")
		step, reached := interruptAt(n)
		if _, err := c.Source(RigOptions{Step: step}).Update(c.T.Context()); reached() && err == nil {
			c.T.Fatalf("step %d: Update succeeded", n)
		}
		c.IsWhole(had, c.Upstream())
		c.Update()
		if !reached() {
			return
		}
	}
}

// testCancelledUpdate cancels the context at a step, instead.
func testCancelledUpdate(c *Conformance) {
	c.churning()
	for i, n := range runtest.Pick(interruptions[:6], 3, 1) {
		had := c.Upstream()
		c.Commit(Churn(i + 1)...)
		ctx, cancel := context.WithCancel(c.T.Context())
		var taken int
		_, err := c.Source(RigOptions{Step: func(string) error {
			if taken++; taken == n+1 {
				cancel()
			}
			return nil
		}}).Update(ctx)
		cancel()
		if n == 0 && err == nil {
			c.T.Error("an update that was cancelled at its first step succeeded")
		}
		c.IsWhole(had, c.Upstream())
		c.Update()
	}
}

func testUnreachable(c *Conformance) {
	v := c.Valve()
	if v == nil {
		return
	}
	c.Start(FirstFiles...)
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	v.Shut()
	c.fails(RigOptions{})
	v.Open()
	c.Update()
}

func testHung(c *Conformance) {
	v := c.Valve()
	if v == nil {
		return
	}
	const limit = 300 * time.Millisecond
	c.Commit(FirstFiles...)
	v.Silent()
	if _, err := c.Source(RigOptions{Timeout: limit}).Clone(c.T.Context()); !errors.Is(err, context.DeadlineExceeded) {
		c.T.Errorf("Clone: %v", err)
	}
	c.leavesNothing()
	v.Open()
	c.Start(testbed.Write("defaults.yml", "a: 2\n"))
	c.Commit(testbed.Write("defaults.yml", "a: 3\n"))
	v.Silent()
	if err := c.fails(RigOptions{Timeout: limit}); !errors.Is(err, context.DeadlineExceeded) {
		c.T.Errorf("Update: %v", err)
	}
	v.Open()
	c.Update()
}

// testCutOff ends the connection, or the caller's patience, after some bytes of an update.
func testCutOff(c *Conformance) {
	v := c.Valve()
	if v == nil {
		return
	}
	c.churning()
	for i, n := range runtest.Pick([]int64{0, 10, 500, 5_000, 200_000}, 3, 1) {
		had := c.Upstream()
		c.Commit(append(Churn(i+1), testbed.Write("source/etc/large", Noise(400_000, uint64(i))))...)
		ctx, cancel := context.WithCancel(c.T.Context())
		if i%2 == 0 {
			v.After(n, v.Shut)
		} else {
			v.After(n, cancel)
		}
		_, err := c.Source(RigOptions{}).Update(ctx)
		cancel()
		if err == nil {
			c.T.Errorf("Update succeeded after %d bytes", n)
		}
		v.Open()
		c.IsWhole(had, c.Upstream())
		c.Update()
	}
}

// conformLarge runs the case of a file of a size in bytes, which is a multiple of 1 MB.
func conformLarge(t *testing.T, makeRig func(t *testing.T) Rig, size int) {
	t.Parallel()
	r := makeRig(t)
	r.Commit(testbed.Write("large", strings.Repeat(Noise(1<<20, 3), size>>20)), testbed.Write("defaults.yml", "a: 1\n"))
	s := r.Source(RigOptions{})
	update := s.Update
	if r.Can().Clones {
		update = s.Clone
	}
	out, err := update(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.New()
	for range size >> 20 {
		_, _ = io.WriteString(want, Noise(1<<20, 3))
	}
	file, err := os.Open(filepath.Join(r.Dir(), "large"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got := sha256.New()
	if _, err := io.Copy(got, file); err != nil || string(got.Sum(nil)) != string(want.Sum(nil)) {
		t.Errorf("the working copy's file is another (%v)", err)
	}
	if hash := hashPublished(t, s, out.Revision, "large"); hash != string(want.Sum(nil)) {
		t.Errorf("the published file is another: %x", hash)
	}
}

// hashPublished returns the hash of a file as it is published.
func hashPublished(t *testing.T, s source.Source, r source.Revision, path string) string {
	t.Helper()
	hash := sha256.New()
	if exporter, ok := s.(source.Exporter); ok {
		dir := t.TempDir()
		if _, err := exporter.Export(t.Context(), r, dir, source.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		file, err := os.Open(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := io.Copy(hash, file); err != nil {
			t.Fatal(err)
		}
		return string(hash.Sum(nil))
	}
	tree, err := s.(source.Store).Tree(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := tree.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, e := range tree.Entries() {
		if e.Path != path {
			continue
		}
		if err := reader.WriteTo(hash, e); err != nil {
			t.Fatal(err)
		}
	}
	return string(hash.Sum(nil))
}
