package source

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
)

// firstFiles are what most cases begin with.
var firstFiles = []edit{
	write("defaults.yml", "a: 1\n"),
	write("source/etc/motd", "hello\n"),
	write("source/etc/hosts", "127.0.0.1 localhost\n"),
	write("source/usr/x", "x\n"),
}

// connectionCases are about what passes between the source and its upstream. The first two say most.
var connectionCases = []conformanceCase{
	{name: "first checkout", brief: true, run: testFirstCheckout},
	{name: "changed", brief: true, run: testChanged},
	{name: "no change", run: testNoChange},
	{name: "path deleted", run: testPathDeleted},
	{name: "rewritten", brief: true, needs: func(can abilities) bool { return can.rewrite != neverRewritten }, run: testRewritten},
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
	{name: "executable", needs: func(can abilities) bool { return can.modes }, run: testExecutable},
	{name: "mode change", needs: func(can abilities) bool { return can.modeChanges }, run: testModeChange},
	{name: "links", needs: func(can abilities) bool { return can.links }, run: testLinks},
	{name: "link to directory", needs: func(can abilities) bool { return can.links && can.replaces }, run: testLinkToDirectory},
	{name: "file to directory", needs: func(can abilities) bool { return can.replaces }, run: testFileToDirectory},
	{name: "empty directory", needs: func(can abilities) bool { return can.emptyDirs }, run: testEmptyDirectory},
	{name: "unusual names", brief: true, run: testUnusualNames},
	{name: "1 MB", run: testMegabyte},
	{name: "earlier revision", needs: func(can abilities) bool { return can.history }, run: testEarlierRevision},
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

// brokenCases are about what happens in the middle of an operation.
var brokenCases = []conformanceCase{
	{name: "interrupted clone", needs: cloning, run: testInterruptedClone},
	{name: "interrupted update", needs: cloning, run: testInterruptedUpdate},
	{name: "cancelled update", needs: cloning, run: testCancelledUpdate},
}

func cloning(can abilities) bool    { return can.clones }
func keepsLocal(can abilities) bool { return can.local }

func testFirstCheckout(c *conformance) {
	if !c.can().clones {
		c.commit(firstFiles...)
		_, err := c.source(rigOptions{}).Clone(c.t.Context())
		if err == nil || !strings.Contains(err.Error(), c.dir()) {
			c.t.Fatalf("Clone: %v", err)
		}
		c.update()
		return
	}
	s := c.source(rigOptions{})
	if reason, err := s.Foreign(); reason != "" || err != nil {
		c.t.Errorf("before it is made the working copy is foreign: %q, %v", reason, err)
	}
	if r, err := s.Current(c.t.Context()); err == nil {
		c.t.Errorf("before there is a working copy Current is %v", r)
	}
	c.start(firstFiles...)
	if reason, err := s.Foreign(); reason != "" || err != nil {
		c.t.Errorf("the working copy is foreign: %q, %v", reason, err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(c.dir()), clonePrefix(c.dir())) + "*")
	if err != nil || len(left) > 0 {
		c.t.Errorf("left over: %q, %v", left, err)
	}
}

func testCloneIsRefused(c *conformance) {
	c.commit(firstFiles...)
	writeTestFile(c.t, c.path("precious"), "x")
	if _, err := c.source(rigOptions{}).Clone(c.t.Context()); err == nil {
		c.t.Fatal("Clone succeeded")
	}
	listDir(c.t, c.dir()).same(c.t, "what stood there", listing{"precious": describe(Regular, "x")})
}

func testNoChange(c *conformance) {
	c.start(firstFiles...)
	for range 2 {
		out := c.update()
		if out.Changed != 0 || len(out.Warnings) > 0 || out.Discarded != "" || out.Rewritten {
			c.t.Errorf("the outcome is %+v", out)
		}
		if c.can().clones && out.Previous != out.Revision.ID {
			c.t.Errorf("previous is %q, the revision %q", out.Previous, out.Revision.ID)
		}
	}
}

func testChanged(c *conformance) {
	c.start(firstFiles...)
	c.follow(write("source/etc/motd", "hellO\n"))
	c.follow(write("source/etc/motd", "no end"), write("defaults.yml", ""), write("source/usr/x", "a\r\nb\r\n"))
	c.follow(write("source/etc/motd", "nul\x00\xff\n"), write("defaults.yml", "\n"), write("source/usr/x", "longer\n"))
}

func testAdded(c *conformance) {
	c.start(firstFiles...)
	c.follow(write("source/etc/issue", "new\n"))
	c.follow(write("a/b/c/d/e/f", "deep\n"), write("a/b/c2", "x\n"), write("empty", ""))
	c.follow(write("a-b", "sorts between a and a/b\n"))
}

func testDeleted(c *conformance) {
	c.start(append([]edit{write("d/e/f", "1\n"), write("d/g", "2\n"), write("alone/x", "3\n")}, firstFiles...)...)
	c.follow(remove("source/etc/motd"))
	c.follow(remove("alone/x"))
	c.follow(remove("d"))
	c.follow(write("source/etc/motd", "again\n"), write("d/g", "again\n"))
}

func testRenamed(c *conformance) {
	c.start(firstFiles...)
	c.follow(rename("source/etc/motd", "source/etc/issue"))
	c.follow(rename("source/usr", "source/lib"))
	c.follow(rename("source/lib/x", "y"), write("source/etc/motd", "another one\n"))
}

func testExecutable(c *conformance) {
	c.start(append([]edit{script("nodegrouper", "#!/bin/sh\n")}, firstFiles...)...)
	c.follow(script("source/run", "#!/bin/sh\nexit 1\n"))
	c.follow(script("nodegrouper", "#!/bin/sh\nexit 0\n"))
}

func testModeChange(c *conformance) {
	c.start(firstFiles...)
	c.follow(script("source/etc/motd", "hello\n"))
	c.follow(write("source/etc/motd", "hello\n"))
	c.follow(script("source/etc/motd", "both\n"))
	c.follow(write("source/etc/motd", "both again\n"))
}

func testLinks(c *conformance) {
	c.start(append([]edit{symlink("l", "defaults.yml")}, firstFiles...)...)
	c.follow(symlink("l", "source"), symlink("source/etc/up", "../../defaults.yml"), symlink("out", "/etc/passwd"),
		symlink("none", "no/such"))
	c.follow(write("l", "a file now\n"), symlink("source/etc/motd", "hosts"))
	c.follow(symlink("l", "defaults.yml"), write("source/etc/motd", "hello\n"), remove("out"))
}

func testLinkToDirectory(c *conformance) {
	c.start(firstFiles...)
	c.follow(remove("source/usr"), symlink("source/usr", "etc"))
	c.follow(remove("source/usr"), write("source/usr/x", "x\n"))
}

func testFileToDirectory(c *conformance) {
	c.start(append([]edit{write("x", "file\n")}, firstFiles...)...)
	c.follow(remove("x"), write("x/y/z", "in a directory\n"))
	c.follow(remove("x"), write("x", "file again\n"))
}

func testEmptyDirectory(c *conformance) {
	c.start(append([]edit{emptyDirectory("empty")}, firstFiles...)...)
	c.follow(emptyDirectory("source/also/empty"))
	c.follow(write("empty/x", "not any more\n"))
	c.follow(remove("source/also"))
}

func testUnusualNames(c *conformance) {
	edits := append([]edit{}, firstFiles...)
	var names []string
	for _, name := range oddNames {
		if can := c.can(); can.name == nil || can.name(name) {
			names = append(names, name)
			edits = append(edits, write(name, "1"), write("in a dir/"+name, "2"))
		}
	}
	if len(names) < len(oddNames)/2 {
		c.t.Fatalf("only %q of %q", names, oddNames)
	}
	c.start(edits...)
	edits = nil
	for i, name := range names {
		if i%2 == 0 {
			edits = append(edits, write(name, "changed"), remove("in a dir/"+name))
		}
	}
	c.follow(edits...)
}

// noise returns n bytes that cannot be compressed.
func noise(n int, seed uint64) string {
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	data := make([]byte, n)
	_, _ = source.Read(data) // never fails
	return string(data)
}

func testMegabyte(c *conformance) {
	data := noise(1<<20, 1)
	c.start(append([]edit{write("large", data)}, firstFiles...)...)
	c.follow(write("large", data[:1<<19]+"between"+data[1<<19:]))
	c.follow(write("large", data[:1<<19]), write("text", strings.Repeat("a line of text\n", 1<<16)))
}

func testEarlierRevision(c *conformance) {
	c.start(firstFiles...)
	s := c.source(rigOptions{})
	first, err := s.Current(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	had := c.upstream()
	c.follow(write("defaults.yml", "a: 2\n"), remove("source/etc/motd"), write("new/file", "x\n"))
	r, err := s.Resolve(c.t.Context(), first.ID)
	if err != nil || r.ID != first.ID || !r.Time.Equal(first.Time) {
		c.t.Fatalf("Resolve: %v, %v, want %v", r, err, first)
	}
	publishedBy(c.t, s, r).same(c.t, "the earlier revision", had)
}

func testResolve(c *conformance) {
	c.start(firstFiles...)
	s := c.source(rigOptions{})
	current, err := s.Current(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	if r, err := s.Resolve(c.t.Context(), current.ID); err != nil || r.ID != current.ID {
		c.t.Errorf("Resolve(%q): %v, %v", current.ID, r, err)
	}
	for _, name := range []string{"", "no such revision", "-r", "../x", "\x00"} {
		if r, err := s.Resolve(c.t.Context(), name); err == nil {
			c.t.Errorf("Resolve(%q): %v", name, r)
		}
	}
}

func testPathDeleted(c *conformance) {
	c.start(firstFiles...)
	if c.can().clones {
		c.deletePath()
		c.fails(rigOptions{})
		return
	}
	c.deletePath() // and with it the working copy
	if out, err := c.source(rigOptions{}).Update(c.t.Context()); err == nil {
		c.t.Errorf("Update: %+v", out)
	}
	if r, err := c.source(rigOptions{}).Current(c.t.Context()); err == nil {
		c.t.Errorf("Current: %v", r)
	}
}

func testRewritten(c *conformance) {
	c.start(firstFiles...)
	c.follow(write("source/etc/motd", "to be undone\n"), write("added", "to be undone\n"))
	c.rewrite(write("source/etc/issue", "instead\n"))
	if c.can().rewrite == rewriteIsRefused {
		c.fails(rigOptions{})
		return
	}
	if out := c.update(); !out.Rewritten {
		c.t.Errorf("the outcome is %+v", out)
	}
	c.follow(write("defaults.yml", "a: 2\n"))
}

// edited is what BeforeReplace was told of.
type edited map[string]string

func (e edited) note(path string, _, local, _ []byte) error {
	e[path] = string(local)
	return nil
}

// updateDiscards updates a working copy in which files with these contents have to be set aside. It returns what
// BeforeReplace was told.
func (c *conformance) updateDiscards(contents ...string) edited {
	c.t.Helper()
	told := edited{}
	out, err := c.source(rigOptions{beforeReplace: told.note}).Update(c.t.Context())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	c.isNewest(out)
	if out.Discarded == "" || !strings.Contains(strings.Join(out.Warnings, "\n"), out.Discarded) {
		c.t.Errorf("the outcome names no directory of what was set aside: %+v", out)
	}
	kept := c.setAside()
	for _, want := range contents {
		if !kept[want] {
			c.t.Errorf("%s was not set aside: %v", want, kept)
		}
	}
	return told
}

func testLocalEdits(c *conformance) {
	c.start(firstFiles...)
	writeTestFile(c.t, c.path("defaults.yml"), "a: local\n")
	told := c.updateDiscards(describe(Regular, "a: local\n"))
	if told["defaults.yml"] != "a: local\n" {
		c.t.Errorf("BeforeReplace was told %q", told)
	}
	if err := os.Remove(c.path("source/etc/motd")); err != nil {
		c.t.Fatal(err)
	}
	c.update()
	if err := os.RemoveAll(c.path("source/usr")); err != nil {
		c.t.Fatal(err)
	}
	c.update()
	if c.can().modes {
		if err := os.Chmod(c.path("source/etc/motd"), 0o755); err != nil {
			c.t.Fatal(err)
		}
		c.update()
	}
	outside := c.t.TempDir()
	writeTestFile(c.t, filepath.Join(outside, "hosts"), "outside\n")
	if err := os.RemoveAll(c.path("source/etc")); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Symlink(outside, c.path("source/etc")); err != nil {
		c.t.Fatal(err)
	}
	c.update()
	listDir(c.t, outside).same(c.t, "the directory that a link led to", listing{"hosts": describe(Regular, "outside\n")})
	if err := os.Remove(c.path("defaults.yml")); err != nil {
		c.t.Fatal(err)
	}
	writeTestFile(c.t, c.path("defaults.yml/x"), "in the way\n")
	c.updateDiscards(describe(Regular, "in the way\n"))
}

func testConflicts(c *conformance) {
	c.start(firstFiles...)
	writeTestFile(c.t, c.path("defaults.yml"), "a: local\n")
	writeTestFile(c.t, c.path("source/etc/motd"), "local greeting\n")
	writeTestFile(c.t, c.path("source/etc/issue"), "local issue\n")
	writeTestFile(c.t, c.path("source/usr/x"), "local x\n")
	writeTestFile(c.t, c.path("newdir/inside"), "local inside\n")
	c.commit(write("defaults.yml", "a: upstream\n"), remove("source/etc/motd"), write("source/etc/issue", "upstream\n"),
		write("newdir/inside", "upstream inside\n"), remove("source/usr"))
	told := c.updateDiscards(describe(Regular, "a: local\n"), describe(Regular, "local greeting\n"),
		describe(Regular, "local issue\n"), describe(Regular, "local x\n"), describe(Regular, "local inside\n"))
	if told["defaults.yml"] != "a: local\n" || told["source/etc/motd"] != "local greeting\n" {
		c.t.Errorf("BeforeReplace was told %q", told)
	}
}

func testUnversioned(c *conformance) {
	c.start(firstFiles...)
	writeTestFile(c.t, c.path("stray"), "stray\n")
	writeTestFile(c.t, c.path("source/etc/motd~"), "editor's\n")
	writeTestFile(c.t, c.path("source/object.o"), "often ignored\n")
	writeTestFile(c.t, c.path("dir/below/file"), "below\n")
	if err := os.Symlink("/etc/passwd", c.path("link")); err != nil {
		c.t.Fatal(err)
	}
	c.updateDiscards(describe(Regular, "stray\n"), describe(Regular, "editor's\n"), describe(Regular, "often ignored\n"),
		describe(Regular, "below\n"), describe(Symlink, "/etc/passwd"))
	if err := os.MkdirAll(c.path("nothing/in/it"), 0o755); err != nil {
		c.t.Fatal(err)
	}
	c.update()
}

// What is published of a revision is what upstream has of it, or nothing, whatever was done to the working copy.
func testPublishingBesideLocalEdits(c *conformance) {
	c.start(firstFiles...)
	s := c.source(rigOptions{})
	current, err := s.Current(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	for name, harm := range map[string]func() error{
		"edited":      func() error { return os.WriteFile(c.path("defaults.yml"), []byte("a: 9\n"), 0o644) },
		"removed":     func() error { return os.Remove(c.path("source/etc/motd")) },
		"unversioned": func() error { return os.WriteFile(c.path("source/stray"), []byte("stray\n"), 0o644) },
		"no directory": func() error {
			return errors.Join(os.RemoveAll(c.path("source/etc")), os.Symlink("usr", c.path("source/etc")))
		},
	} {
		if err := harm(); err != nil {
			c.t.Fatal(err)
		}
		if exporter, ok := s.(Exporter); ok {
			dir := c.t.TempDir()
			if _, err := exporter.Export(c.t.Context(), current, dir, ExportOptions{}); err == nil {
				listDir(c.t, dir).same(c.t, name+": what is published", c.upstream())
			}
		} else {
			publishedBy(c.t, s, current).same(c.t, name+": what is published", c.upstream())
		}
		c.update()
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

func testInterruptedClone(c *conformance) {
	c.commit(firstFiles...)
	for _, n := range runtest.Pick(interruptions, 6, 3) {
		step, reached := interruptAt(n)
		_, err := c.source(rigOptions{step: step}).Clone(c.t.Context())
		if !reached() {
			break
		}
		if err == nil {
			c.t.Fatalf("step %d: Clone succeeded", n)
		}
		s := c.source(rigOptions{})
		if current, err := s.Current(c.t.Context()); err == nil { // it was in place already, which is no half
			publishedBy(c.t, s, current).same(c.t, "what is published", c.upstream())
			if err := os.RemoveAll(c.dir()); err != nil {
				c.t.Fatal(err)
			}
		}
		c.leavesNothing()
	}
	if err := os.RemoveAll(c.dir()); err != nil {
		c.t.Fatal(err)
	}
	c.start(write("defaults.yml", "a: 2\n"))
}

// churning makes a first revision that the edits of churn(1), churn(2) and so on can follow.
func (c *conformance) churning() {
	c.t.Helper()
	c.start(slices.Concat(firstFiles, []edit{write("only/in/odd", "x\n"), write("only/in/even", "x\n")})...)
	c.follow(remove("only/in/odd"))
}

// churn returns edits that make one revision differ much from the one before.
func churn(n int) []edit {
	edits := []edit{write("defaults.yml", noise(100, uint64(n))), write("source/etc/motd", noise(1000, uint64(n)))}
	if n%2 == 0 {
		return append(edits, write("only/in/even", "x\n"), remove("only/in/odd"))
	}
	return append(edits, write("only/in/odd", "x\n"), remove("only/in/even"))
}

func testInterruptedUpdate(c *conformance) {
	c.churning()
	for i, n := range runtest.Pick(interruptions, 6, 3) {
		had := c.upstream()
		c.commit(churn(i + 1)...)
		writeTestFile(c.t, c.path("source/usr/x"), "local\n")
		step, reached := interruptAt(n)
		if _, err := c.source(rigOptions{step: step}).Update(c.t.Context()); reached() && err == nil {
			c.t.Fatalf("step %d: Update succeeded", n)
		}
		c.isWhole(had, c.upstream())
		c.update()
		if !reached() {
			return
		}
	}
}

// testCancelledUpdate cancels the context at a step, instead.
func testCancelledUpdate(c *conformance) {
	c.churning()
	for i, n := range runtest.Pick(interruptions[:6], 3, 1) {
		had := c.upstream()
		c.commit(churn(i + 1)...)
		ctx, cancel := context.WithCancel(c.t.Context())
		var taken int
		_, err := c.source(rigOptions{step: func(string) error {
			if taken++; taken == n+1 {
				cancel()
			}
			return nil
		}}).Update(ctx)
		cancel()
		if n == 0 && err == nil {
			c.t.Error("an update that was cancelled at its first step succeeded")
		}
		c.isWhole(had, c.upstream())
		c.update()
	}
}

func testUnreachable(c *conformance) {
	v := c.valve()
	if v == nil {
		return
	}
	c.start(firstFiles...)
	c.commit(write("defaults.yml", "a: 2\n"))
	v.shut()
	c.fails(rigOptions{})
	v.open()
	c.update()
}

func testHung(c *conformance) {
	v := c.valve()
	if v == nil {
		return
	}
	const limit = 300 * time.Millisecond
	c.commit(firstFiles...)
	v.silent()
	if _, err := c.source(rigOptions{timeout: limit}).Clone(c.t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		c.t.Errorf("Clone: %v", err)
	}
	c.leavesNothing()
	v.open()
	c.start(write("defaults.yml", "a: 2\n"))
	c.commit(write("defaults.yml", "a: 3\n"))
	v.silent()
	if err := c.fails(rigOptions{timeout: limit}); !errors.Is(err, context.DeadlineExceeded) {
		c.t.Errorf("Update: %v", err)
	}
	v.open()
	c.update()
}

// testCutOff ends the connection, or the caller's patience, after some bytes of an update.
func testCutOff(c *conformance) {
	v := c.valve()
	if v == nil {
		return
	}
	c.churning()
	for i, n := range runtest.Pick([]int64{0, 10, 500, 5_000, 200_000}, 3, 1) {
		had := c.upstream()
		c.commit(append(churn(i+1), write("source/etc/large", noise(400_000, uint64(i))))...)
		ctx, cancel := context.WithCancel(c.t.Context())
		if i%2 == 0 {
			v.after(n, v.shut)
		} else {
			v.after(n, cancel)
		}
		_, err := c.source(rigOptions{}).Update(ctx)
		cancel()
		if err == nil {
			c.t.Errorf("Update succeeded after %d bytes", n)
		}
		v.open()
		c.isWhole(had, c.upstream())
		c.update()
	}
}

// conformLarge runs the case of a file of a size in bytes, which is a multiple of 1 MB.
func conformLarge(t *testing.T, makeRig func(t *testing.T) rig, size int) {
	t.Parallel()
	r := makeRig(t)
	r.commit(write("large", strings.Repeat(noise(1<<20, 3), size>>20)), write("defaults.yml", "a: 1\n"))
	s := r.source(rigOptions{})
	update := s.Update
	if r.can().clones {
		update = s.Clone
	}
	out, err := update(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := sha256.New()
	for range size >> 20 {
		_, _ = io.WriteString(want, noise(1<<20, 3))
	}
	file, err := os.Open(filepath.Join(r.dir(), "large"))
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
func hashPublished(t *testing.T, s Source, r Revision, path string) string {
	t.Helper()
	hash := sha256.New()
	if exporter, ok := s.(Exporter); ok {
		dir := t.TempDir()
		if _, err := exporter.Export(t.Context(), r, dir, ExportOptions{}); err != nil {
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
	tree, err := s.(Store).Tree(t.Context(), r)
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
