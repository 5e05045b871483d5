package svn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/snapshot/runtest"
)

// svnCopy is a working copy under test, whose upstream is read from files unless a test serves it.
type svnCopy struct {
	*svnRig
	o Options
}

func newSVNCopy(t *testing.T) *svnCopy {
	t.Helper()
	r := &svnRig{svnRepo: newSVNRepo(t), base: t.TempDir()}
	r.url = "file://" + r.svnRepo.dir + "/trunk"
	return &svnCopy{r, r.options(sourcetest.RigOptions{})}
}

// clonedSVN returns a working copy of the first files.
func clonedSVN(t *testing.T) *svnCopy {
	t.Helper()
	c := newSVNCopy(t)
	c.Commit(sourcetest.FirstFiles...)
	c.clone()
	return c
}

func (c *svnCopy) source() *Source { return New(c.o) }

func (c *svnCopy) clone() {
	c.t.Helper()
	if _, err := c.source().Clone(c.t.Context()); err != nil {
		c.t.Fatalf("Clone: %v", err)
	}
}

// update updates, and asserts that the working copy is exactly upstream's trunk then.
func (c *svnCopy) update() source.Outcome {
	c.t.Helper()
	out, err := c.source().Update(c.t.Context())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	c.exact()
	return out
}

// exact asserts that the working copy is what upstream exports, by our own and by svn's judgement.
func (c *svnCopy) exact() {
	c.t.Helper()
	sourcetest.ListWorkingCopy(c.t, c.Dir()).Same(c.t, "the working copy", c.Upstream())
	for line := range strings.Lines(c.run(c.Dir(), "svn", "status", "--no-ignore", "--ignore-externals")) {
		flags := strings.TrimSpace(line[:min(8, len(line))])
		if !slices.Contains([]string{"", "X", "K"}, flags) && !strings.HasPrefix(line, "---") {
			c.t.Errorf("svn status says: %s", line)
		}
	}
	if version := c.run(c.Dir(), "svnversion"); strings.ContainsAny(version, ":MSP") {
		c.t.Errorf("svnversion says %s", version)
	}
}

// fails asserts that an update fails with an error that says all of the words.
func (c *svnCopy) fails(words ...string) error {
	c.t.Helper()
	_, err := c.source().Update(c.t.Context())
	if err == nil {
		c.t.Fatal("Update succeeded")
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			c.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	return err
}

// exports asserts that what is published of the current revision is what upstream exports.
func (c *svnCopy) exports() {
	c.t.Helper()
	current, err := c.source().Current(c.t.Context())
	if err != nil {
		c.t.Fatalf("Current: %v", err)
	}
	sourcetest.PublishedBy(c.t, c.source(), current).Same(c.t, "what is published", c.Upstream())
}

func (c *svnCopy) path(name string) string { return filepath.Join(c.Dir(), name) }

// inside runs svn in the working copy, as an administrator would.
func (c *svnCopy) inside(args ...string) string {
	c.t.Helper()
	return c.run(c.Dir(), "svn", append([]string{args[0], "--non-interactive"}, args[1:]...)...)
}

// propset sets a property of something below upstream's trunk.
func (c *svnCopy) propset(path, name, value string) string {
	c.t.Helper()
	c.svn("propset", "-q", name, value, "--", filepath.Join("trunk", path)+"@")
	return c.record()
}

func TestSVNConflictsDoNotStay(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	testbed.WriteTestFile(t, c.path("defaults.yml"), "a: local\n")
	testbed.WriteTestFile(t, c.path("source/etc/motd"), "local\n")
	c.Commit(testbed.Write("defaults.yml", "a: upstream\n"), testbed.Remove("source/etc"))
	c.inside("update", "-q", "--accept", "postpone")
	if _, err := os.Stat(c.path("defaults.yml.mine")); err != nil {
		t.Fatalf("there is no conflict: %v", err)
	}
	c.exports() // without the network, too
	out := c.update()
	if out.Discarded != "" {
		t.Errorf("after the export there is nothing to set aside: %+v", out)
	}
	found := false
	for _, has := range testbed.ListDir(t, c.Discards()) {
		found = found || strings.Contains(has, "a: local")
	}
	if !found {
		t.Errorf("the local edit is nowhere: %v", testbed.ListDir(t, c.Discards()))
	}
}

func TestSVNScheduledChangesAreUndone(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	testbed.WriteTestFile(t, c.path("added"), "added\n")
	testbed.WriteTestFile(t, c.path("newdir/below"), "below\n")
	c.inside("add", "-q", "added", "newdir")
	c.inside("remove", "-q", "source/usr")
	c.inside("remove", "-q", "--keep-local", "source/etc/hosts")
	c.inside("copy", "-q", "source/etc", "copy")
	c.inside("move", "-q", "source/etc/motd", "moved")
	c.inside("propset", "-q", "svn:executable", "*", "defaults.yml")
	c.inside("changelist", "-q", "work", "defaults.yml")
	out := c.update()
	sourcetest.Warns(t, out, "added")
	c.exports()
}

func TestSVNModesAreUpstreams(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.Commit(testbed.Script("run", "#!/bin/sh\n"), testbed.Write("plain", "x\n"), testbed.Symlink("link", "plain"), testbed.Write("locked", "x\n"),
		testbed.Write("private/x", "x\n"))
	c.propset("locked", "svn:needs-lock", "*")
	c.clone()
	modes := func(when string) {
		t.Helper()
		for name, want := range map[string]os.FileMode{
			"run": 0o755, "plain": 0o644, "locked": 0o444, "private": 0o755 | os.ModeDir, "private/x": 0o644, "": 0o755 | os.ModeDir,
		} {
			info, err := os.Lstat(c.path(name))
			if err != nil || info.Mode()&^0o022 != want {
				t.Errorf("%s: %q has mode %v (%v), want %v", when, name, info.Mode(), err, want)
			}
		}
	}
	modes("cloned")
	for name, mode := range map[string]os.FileMode{
		"run": 0o600, "plain": 0o755, "private/x": 0o000, "private": 0o700, "locked": 0o444 | os.ModeSetuid,
	} {
		if err := os.Chmod(c.path(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	c.exports()
	modes("exported")
	if err := os.Chmod(c.path("run"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := c.update(); out.Changed != 1 {
		t.Errorf("the outcome is %+v", out)
	}
	modes("updated")
}

func TestSVNStrangeNamesAreSetAside(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	for _, name := range []string{"bell\a", "new\nline", "\xff\xfe", "source/etc/tab\there", "dir\x01/file"} {
		testbed.WriteTestFile(t, c.path(name), name)
	}
	if err := unix.Mkfifo(c.path("source/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.source().Current(t.Context()); err != nil {
		t.Errorf("Current: %v", err)
	}
	out := c.update()
	sourcetest.Warns(t, out, out.Discarded)
	if names := testbed.ListDir(t, out.Discarded); names["new\nline"] != testbed.Describe(source.Regular, "new\nline") {
		t.Errorf("set aside is %v", names)
	}
}

func TestSVNUnusualNames(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.Commit(testbed.Write("at@file", "1"), testbed.Write("@", "2"), testbed.Write("x@12", "3"), testbed.Write("a b/@head@", "4"), testbed.Write("%41", "5"),
		testbed.Write("ünï/#?&", "6"), testbed.Write("-r", "7"), testbed.Write("\"quoted'", "8"))
	c.clone()
	for _, name := range []string{"at@file", "@", "x@12", "a b/@head@", "%41", "ünï/#?&", "-r", "\"quoted'"} {
		testbed.WriteTestFile(t, c.path(name), "local "+name)
	}
	testbed.WriteTestFile(t, c.path("not@upstreams@3"), "x")
	var told []string
	c.o.BeforeReplace = func(path string, base, local, upstream []byte) error {
		if path != "not@upstreams@3" {
			if string(local) != "local "+path || len(base) != 1 || string(upstream) != "new" && string(upstream) != string(base) {
				t.Errorf("%q: base %q, local %q, upstream %q", path, base, local, upstream)
			}
		}
		told = append(told, path)
		return nil
	}
	c.Commit(testbed.Write("at@file", "new"), testbed.Write("ünï/#?&", "new"))
	c.update()
	if len(told) != 9 {
		t.Errorf("told of %q", told)
	}
	c.exports()
}

func TestSVNLocksOfFilesDoNotMatter(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := clonedSVN(t)
	c.propset("defaults.yml", "svn:needs-lock", "*")
	c.update()
	c.inside("lock", "defaults.yml", "source/etc/motd")
	c.svn("lock", "--force", "trunk/source/etc/motd", "trunk/source/etc/hosts") // and one of them is stolen
	c.Commit(testbed.Write("source/etc/motd", "changed\n"), testbed.Write("source/usr/x", "changed\n"))
	if out := c.update(); len(out.Warnings) > 0 {
		t.Errorf("the outcome is %+v", out)
	}
	c.exports()
}

func TestSVNConvertsFilesAsTheirPropertiesSay(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.Commit(testbed.Write("crlf", "a\nb\n"), testbed.Write("native", "a\nb\n"), testbed.Write("id", "$Id$ $Date$\n"))
	c.svn("propset", "-q", "svn:eol-style", "CRLF", "trunk/crlf")
	c.svn("propset", "-q", "svn:eol-style", "native", "trunk/native")
	c.propset("id", "svn:keywords", "Id Date")
	c.clone()
	if data, _ := os.ReadFile(c.path("crlf")); string(data) != "a\r\nb\r\n" {
		t.Errorf("crlf is %q", data)
	}
	if data, _ := os.ReadFile(c.path("id")); !strings.Contains(string(data), "$Id: id ") ||
		!strings.Contains(string(data), "+0000") {
		t.Errorf("id is %q", data)
	}
	c.exact()
	c.exports()
	c.Commit(testbed.Write("native", "a\nc\n"))
	c.update()
}

func TestSVNSwitchedAndSparsePartsAreUndone(t *testing.T) {
	t.Parallel()
	for name, harm := range runtest.PickRows(map[string]func(c *svnCopy){
		"switched": func(c *svnCopy) {
			c.inside("switch", "-q", "--ignore-ancestry", "^/trunk/source/usr", "source/etc")
		},
		"sparse":   func(c *svnCopy) { c.inside("update", "-q", "--set-depth", "empty", "source") },
		"excluded": func(c *svnCopy) { c.inside("update", "-q", "--set-depth", "exclude", "source/usr") },
		"mixed":    func(c *svnCopy) { c.inside("update", "-q", "-r", "PREV", "defaults.yml") },
		"older":    func(c *svnCopy) { c.inside("update", "-q", "-r", "2") },
		"both": func(c *svnCopy) {
			c.inside("switch", "-q", "--ignore-ancestry", "^/trunk/source/usr", "source/etc")
			c.inside("update", "-q", "--set-depth", "empty", "source/usr")
		},
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
			c.update()
			harm(c)
			if r, err := c.source().Current(t.Context()); err == nil && name != "older" {
				t.Errorf("Current is %v", r)
			}
			if out := c.update(); out.Changed == 0 {
				t.Errorf("the outcome is %+v", out)
			}
			c.exports()
			if out := c.update(); out.Changed != 0 || len(out.Warnings) > 0 {
				t.Errorf("the next outcome is %+v", out)
			}
		})
	}
}

func TestSVNInterruptedClientIsCleanedUp(t *testing.T) {
	t.Parallel()
	for name, statement := range runtest.PickRows(map[string]string{
		"lock":       "insert into wc_lock values (1, '', -1)",
		"lock below": "insert into wc_lock values (1, 'source', -1)",
		"unfinished": "insert into work_queue (work) values ('(file-remove defaults.yml)')",
		// "svn cleanup" gives up, and does nothing.
		"unknown":   "insert into work_queue (work) values ('(nonsense)')",
		"malformed": "insert into work_queue (work) values ('(file-remove 12:defaults.yml)')",
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
			c.sqlite(c.Dir(), statement)
			c.update()
		})
	}
}

func TestSVNBusyWorkingCopyIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	c.sqlite(c.Dir(), "insert into wc_lock values (1, '', -1)")
	db, err := os.Open(c.path(".svn/wc.db")) // as another svn has
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c.fails("another process is at work", "E155004")
}

func TestSVNOldFormatIsRefused(t *testing.T) {
	t.Parallel()
	for name, age := range map[string]func(c *svnCopy){
		"1.7": func(c *svnCopy) { c.sqlite(c.Dir(), "pragma user_version = 29") },
		"1.6": func(c *svnCopy) {
			if err := os.RemoveAll(c.path(".svn")); err != nil {
				c.t.Fatal(err)
			}
			testbed.WriteTestFile(c.t, c.path(".svn/entries"), "10\n")
			testbed.WriteTestFile(c.t, c.path(".svn/format"), "10\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			age(c)
			before := testbed.ListDir(t, c.Dir())
			err := c.fails("svn upgrade " + c.Dir())
			var format *FormatError
			if !errors.As(err, &format) {
				t.Errorf("the error is %v", err)
			}
			testbed.ListDir(t, c.Dir()).Same(t, "the working copy", before)
		})
	}
}

// svnDamages are ways in which what svn keeps in a working copy can be lost.
var svnDamages = map[string]func(c *svnCopy) error{
	"no database":    func(c *svnCopy) error { return os.Remove(c.path(".svn/wc.db")) },
	"empty database": func(c *svnCopy) error { return os.Truncate(c.path(".svn/wc.db"), 0) },
	"cut database":   func(c *svnCopy) error { return os.Truncate(c.path(".svn/wc.db"), 20_000) },
	"database of noise": func(c *svnCopy) error {
		return os.WriteFile(c.path(".svn/wc.db"), []byte(sourcetest.Noise(50_000, 1)), 0o644)
	},
	"noise in database": func(c *svnCopy) error {
		f, err := os.OpenFile(c.path(".svn/wc.db"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(sourcetest.Noise(40_000, 2)), 3*4096)
		return errors.Join(err, f.Close())
	},
	"no pristine files": func(c *svnCopy) error {
		return errors.Join(os.RemoveAll(c.path(".svn/pristine")), os.Remove(c.path("source/etc/motd")))
	},
	"corrupt pristine file": func(c *svnCopy) error {
		testbed.WriteTestFile(c.t, c.path("defaults.yml"), "a: 3\n")
		return filepath.WalkDir(c.path(".svn/pristine"), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_ = os.Chmod(path, 0o644)
				err = os.WriteFile(path, []byte("b: 1\n"), 0o444)
			}
			return err
		})
	},
}

func TestSVNDamagedWorkingCopyIsCheckedOutAnew(t *testing.T) {
	t.Parallel()
	for name, damage := range runtest.PickRows(svnDamages, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			testbed.WriteTestFile(t, c.path("tagstate"), "mark\n")
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
			told := sourcetest.Edited{}
			c.o.BeforeReplace = told.Note
			if err := damage(c); err != nil {
				t.Fatal(err)
			}
			before := testbed.ListDir(t, c.Dir())
			c.o.URL = "file://" + c.svnRepo.dir + ".gone/trunk"
			if _, err := c.source().Update(t.Context()); err == nil {
				t.Fatal("Update succeeded without upstream")
			}
			if name != "no pristine files" { // which svn undoes as far as it can
				testbed.ListDir(t, c.Dir()).Same(t, "the working copy while upstream is down", before)
			}
			c.o.URL = c.url
			out := c.update()
			if told["tagstate"] != "mark\n" {
				t.Errorf("BeforeReplace was told %q", told)
			}
			if !strings.Contains(strings.Join(out.Warnings, "\n"), "checked out anew") {
				t.Errorf("the warnings are %q", out.Warnings)
			}
			if kept := testbed.ListDir(t, c.Discards()); !slices.Contains(values(kept), testbed.Describe(source.Regular, "mark\n")) {
				t.Error("the old working copy was not set aside")
			}
			if left, _ := filepath.Glob(filepath.Join(c.base, ".trunk.clone-*")); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
			c.exports()
		})
	}
}

// TestSVNEditsSurviveAFaultWhileItIsCheckedOutAnew fails each operation in turn.
func TestSVNEditsSurviveAFaultWhileItIsCheckedOutAnew(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for n, reached := 0, true; reached; n++ {
		c := clonedSVN(t)
		testbed.WriteTestFile(t, c.path("defaults.yml"), "mine\n")
		testbed.Must(t, svnDamages["no database"](c))
		c.o.Step, reached = nil, false
		left := n
		c.o.Step = func(string) error {
			if left--; left == -1 {
				reached = true
				return errors.New("failed")
			}
			return nil
		}
		if _, err := c.source().Update(t.Context()); (err != nil) != reached {
			t.Fatalf("operation %d: %v", n, err)
		}
		c.o.Step = nil
		c.update()
		mine := testbed.Describe(source.Regular, "mine\n")
		if kept := testbed.ListDir(t, c.Discards()); !slices.Contains(values(kept), mine) {
			t.Errorf("operation %d failed, and the edit is gone", n)
		}
	}
}

func values(l testbed.Listing) []string {
	var all []string
	for _, v := range l {
		all = append(all, v)
	}
	return all
}

func TestSVNRewrittenUpstreamIsFollowed(t *testing.T) {
	t.Parallel()
	for name, rewrite := range runtest.PickRows(map[string]func(c *svnCopy){
		"older": func(c *svnCopy) { c.without() },
		"other revisions of the same number": func(c *svnCopy) {
			c.without()
			c.Commit(testbed.Write("source/etc/motd", "another\n"))
		},
		"other revisions and a newer one": func(c *svnCopy) {
			c.without()
			c.Commit(testbed.Write("source/etc/motd", "another\n"))
			c.Commit(testbed.Write("source/etc/issue", "newer\n"))
		},
		"another repository": func(c *svnCopy) { c.run(c.base, "svnadmin", "setuuid", c.svnRepo.dir) },
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			c.Commit(testbed.Write("defaults.yml", "a: to be undone\n"))
			c.update()
			testbed.WriteTestFile(t, c.path("source/usr/x"), "local\n")
			told := sourcetest.Edited{}
			c.o.BeforeReplace = told.Note
			rewrite(c)
			out := c.update()
			if !out.Rewritten {
				t.Errorf("the outcome is %+v", out)
			}
			sourcetest.Warns(t, out, "rewritten")
			if told["source/usr/x"] != "local\n" {
				t.Errorf("BeforeReplace was told %q", told)
			}
			if out := c.update(); out.Rewritten || len(out.Warnings) > 0 {
				t.Errorf("the next outcome is %+v", out)
			}
		})
	}
}

func TestSVNCommitsElsewhereChangeNothing(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	before, err := c.source().Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c.svn("mkdir", "-q", "elsewhere")
	c.record()
	var steps []string
	c.o.Step = func(label string) error { steps = append(steps, label); return nil }
	if out := c.update(); out.Revision != before || out.Previous != before.ID || out.Changed != 0 {
		t.Errorf("the outcome is %+v, it was %v", out, before)
	}
	if len(steps) > 0 {
		t.Errorf("%q was done", steps)
	}
}

func TestSVNCommitsFromTheWorkingCopyAreFollowed(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	testbed.WriteTestFile(t, c.path("defaults.yml"), "a: committed here\n")
	c.inside("commit", "-q", "-m", "here")
	if r, err := c.source().Current(t.Context()); err == nil {
		t.Errorf("a working copy of mixed revisions is %v", r)
	}
	if out := c.update(); len(out.Warnings) > 0 || out.Revision.ID != c.youngest() {
		t.Errorf("the outcome is %+v", out)
	}
}

func TestSVNEmptiedUpstreamIsNotFollowed(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	c.Commit(testbed.Remove("defaults.yml"), testbed.Remove("source"))
	c.fails("no files at all")
	if _, err := os.Stat(c.path("defaults.yml")); err != nil {
		t.Error(err)
	}
}

func TestSVNResolveTakesRevisionsOnly(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	c.update()
	for name, want := range map[string]string{"2": "2", "r2": "2", "HEAD": "3", "3": "3", "{2999-01-01}": "3"} {
		if r, err := c.source().Resolve(t.Context(), name); err != nil || r.ID != want || r.Time.IsZero() {
			t.Errorf("Resolve(%q): %v, %v", name, r, err)
		}
	}
	for _, name := range []string{"", "-1", "--config-dir", "4", "2:3", "{now}", "{2026-01-01 09:00}", "BASE", "2 ", "r",
		"{1999-01-01}"} {
		if r, err := c.source().Resolve(t.Context(), name); err == nil {
			t.Errorf("Resolve(%q): %v", name, r)
		}
	}
}

func TestSVNURLsThatSVNMisreadsAreRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "-rHEAD", "--config-dir=/x", "/path", "trunk", "svn://", "svn://-oProxyCommand=x/y",
		"svn+ssh://-oProxyCommand=x@h/y", "ftp://h/x", "svn://h/\nx", "svn://u:s3cr3t@h/x"} {
		_, err := New(Options{Dir: filepath.Join(t.TempDir(), "trunk"), URL: url}).Clone(context.Background())
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "exit status") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestSVNURLWithAPegSign(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.svn("mkdir", "-q", "t@1@")
	c.Commit(sourcetest.FirstFiles...)
	c.svn("move", "-q", "trunk", "t@1/x@2")
	c.record()
	c.o.URL = "file://" + c.svnRepo.dir + "/t@1/x@2"
	c.clone()
	sourcetest.ListWorkingCopy(t, c.Dir()).Same(t, "the working copy", c.export("t@1/x@2@"))
	if _, err := c.source().Update(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSVNForeign(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	for url, foreign := range map[string]bool{
		"": false, c.url: false, c.url + "/": false, "file://localhost" + strings.TrimPrefix(c.url, "file://"): false,
		c.url + "2": true, "svn://h/x": true,
	} {
		c.o.URL = url
		if reason, err := c.source().Foreign(); err != nil || (reason != "") != foreign {
			t.Errorf("%q: %q, %v", url, reason, err)
		}
	}
	c.o.URL = c.url + "2"
	c.fails("its upstream is")
	c.o.URL = c.url
	if err := os.RemoveAll(c.path(".svn")); err != nil {
		t.Fatal(err)
	}
	if reason, err := c.source().Foreign(); err != nil || reason == "" {
		t.Errorf("without .svn: %q, %v", reason, err)
	}
}
