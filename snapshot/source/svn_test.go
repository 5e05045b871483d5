package source

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/snapshot/runtest"
)

// svnCopy is a working copy under test, whose upstream is read from files unless a test serves it.
type svnCopy struct {
	*svnRig
	o SVNOptions
}

func newSVNCopy(t *testing.T) *svnCopy {
	t.Helper()
	r := &svnRig{svnRepo: newSVNRepo(t), base: t.TempDir()}
	r.url = "file://" + r.svnRepo.dir + "/trunk"
	return &svnCopy{r, r.options(rigOptions{})}
}

// clonedSVN returns a working copy of the first files.
func clonedSVN(t *testing.T) *svnCopy {
	t.Helper()
	c := newSVNCopy(t)
	c.commit(firstFiles...)
	c.clone()
	return c
}

func (c *svnCopy) source() *SVN { return NewSVN(c.o) }

func (c *svnCopy) clone() {
	c.t.Helper()
	if _, err := c.source().Clone(c.t.Context()); err != nil {
		c.t.Fatalf("Clone: %v", err)
	}
}

// update updates, and asserts that the working copy is exactly upstream's trunk then.
func (c *svnCopy) update() Outcome {
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
	listWorkingCopy(c.t, c.dir()).same(c.t, "the working copy", c.upstream())
	for line := range strings.Lines(c.run(c.dir(), "svn", "status", "--no-ignore", "--ignore-externals")) {
		flags := strings.TrimSpace(line[:min(8, len(line))])
		if !slices.Contains([]string{"", "X", "K"}, flags) && !strings.HasPrefix(line, "---") {
			c.t.Errorf("svn status says: %s", line)
		}
	}
	if version := c.run(c.dir(), "svnversion"); strings.ContainsAny(version, ":MSP") {
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
	publishedBy(c.t, c.source(), current).same(c.t, "what is published", c.upstream())
}

func (c *svnCopy) path(name string) string { return filepath.Join(c.dir(), name) }

// inside runs svn in the working copy, as an administrator would.
func (c *svnCopy) inside(args ...string) string {
	c.t.Helper()
	return c.run(c.dir(), "svn", append([]string{args[0], "--non-interactive"}, args[1:]...)...)
}

// warns asserts that an outcome's warnings say all of the words.
func warns(t *testing.T, out Outcome, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(strings.Join(out.Warnings, "\n"), word) {
			t.Errorf("no warning says %q: %q", word, out.Warnings)
		}
	}
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
	writeTestFile(t, c.path("defaults.yml"), "a: local\n")
	writeTestFile(t, c.path("source/etc/motd"), "local\n")
	c.commit(write("defaults.yml", "a: upstream\n"), remove("source/etc"))
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
	for _, has := range listDir(t, c.discards()) {
		found = found || strings.Contains(has, "a: local")
	}
	if !found {
		t.Errorf("the local edit is nowhere: %v", listDir(t, c.discards()))
	}
}

func TestSVNScheduledChangesAreUndone(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	writeTestFile(t, c.path("added"), "added\n")
	writeTestFile(t, c.path("newdir/below"), "below\n")
	c.inside("add", "-q", "added", "newdir")
	c.inside("remove", "-q", "source/usr")
	c.inside("remove", "-q", "--keep-local", "source/etc/hosts")
	c.inside("copy", "-q", "source/etc", "copy")
	c.inside("move", "-q", "source/etc/motd", "moved")
	c.inside("propset", "-q", "svn:executable", "*", "defaults.yml")
	c.inside("changelist", "-q", "work", "defaults.yml")
	out := c.update()
	warns(t, out, "added")
	c.exports()
}

func TestSVNModesAreUpstreams(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.commit(script("run", "#!/bin/sh\n"), write("plain", "x\n"), symlink("link", "plain"), write("locked", "x\n"),
		write("private/x", "x\n"))
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
		writeTestFile(t, c.path(name), name)
	}
	if err := unix.Mkfifo(c.path("source/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.source().Current(t.Context()); err != nil {
		t.Errorf("Current: %v", err)
	}
	out := c.update()
	warns(t, out, out.Discarded)
	if names := listDir(t, out.Discarded); names["new\nline"] != describe(Regular, "new\nline") {
		t.Errorf("set aside is %v", names)
	}
}

func TestSVNUnusualNames(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.commit(write("at@file", "1"), write("@", "2"), write("x@12", "3"), write("a b/@head@", "4"), write("%41", "5"),
		write("ünï/#?&", "6"), write("-r", "7"), write("\"quoted'", "8"))
	c.clone()
	for _, name := range []string{"at@file", "@", "x@12", "a b/@head@", "%41", "ünï/#?&", "-r", "\"quoted'"} {
		writeTestFile(t, c.path(name), "local "+name)
	}
	writeTestFile(t, c.path("not@upstreams@3"), "x")
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
	c.commit(write("at@file", "new"), write("ünï/#?&", "new"))
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
	c.commit(write("source/etc/motd", "changed\n"), write("source/usr/x", "changed\n"))
	if out := c.update(); len(out.Warnings) > 0 {
		t.Errorf("the outcome is %+v", out)
	}
	c.exports()
}

func TestSVNConvertsFilesAsTheirPropertiesSay(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.commit(write("crlf", "a\nb\n"), write("native", "a\nb\n"), write("id", "$Id$ $Date$\n"))
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
	c.commit(write("native", "a\nc\n"))
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
			c.commit(write("defaults.yml", "a: 2\n"))
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
			c.commit(write("defaults.yml", "a: 2\n"))
			c.sqlite(c.dir(), statement)
			c.update()
		})
	}
}

func TestSVNBusyWorkingCopyIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	c.commit(write("defaults.yml", "a: 2\n"))
	c.sqlite(c.dir(), "insert into wc_lock values (1, '', -1)")
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
		"1.7": func(c *svnCopy) { c.sqlite(c.dir(), "pragma user_version = 29") },
		"1.6": func(c *svnCopy) {
			if err := os.RemoveAll(c.path(".svn")); err != nil {
				c.t.Fatal(err)
			}
			writeTestFile(c.t, c.path(".svn/entries"), "10\n")
			writeTestFile(c.t, c.path(".svn/format"), "10\n")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			age(c)
			before := listDir(t, c.dir())
			err := c.fails("svn upgrade " + c.dir())
			var format *FormatError
			if !errors.As(err, &format) {
				t.Errorf("the error is %v", err)
			}
			listDir(t, c.dir()).same(t, "the working copy", before)
		})
	}
}

// svnDamages are ways in which what svn keeps in a working copy can be lost.
var svnDamages = map[string]func(c *svnCopy) error{
	"no database":       func(c *svnCopy) error { return os.Remove(c.path(".svn/wc.db")) },
	"empty database":    func(c *svnCopy) error { return os.Truncate(c.path(".svn/wc.db"), 0) },
	"cut database":      func(c *svnCopy) error { return os.Truncate(c.path(".svn/wc.db"), 20_000) },
	"database of noise": func(c *svnCopy) error { return os.WriteFile(c.path(".svn/wc.db"), []byte(noise(50_000, 1)), 0o644) },
	"noise in database": func(c *svnCopy) error {
		f, err := os.OpenFile(c.path(".svn/wc.db"), os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt([]byte(noise(40_000, 2)), 3*4096)
		return errors.Join(err, f.Close())
	},
	"no pristine files": func(c *svnCopy) error {
		return errors.Join(os.RemoveAll(c.path(".svn/pristine")), os.Remove(c.path("source/etc/motd")))
	},
	"corrupt pristine file": func(c *svnCopy) error {
		writeTestFile(c.t, c.path("defaults.yml"), "a: 3\n")
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
			writeTestFile(t, c.path("tagstate"), "mark\n")
			c.commit(write("defaults.yml", "a: 2\n"))
			told := edited{}
			c.o.BeforeReplace = told.note
			if err := damage(c); err != nil {
				t.Fatal(err)
			}
			before := listDir(t, c.dir())
			c.o.URL = "file://" + c.svnRepo.dir + ".gone/trunk"
			if _, err := c.source().Update(t.Context()); err == nil {
				t.Fatal("Update succeeded without upstream")
			}
			if name != "no pristine files" { // which svn undoes as far as it can
				listDir(t, c.dir()).same(t, "the working copy while upstream is down", before)
			}
			c.o.URL = c.url
			out := c.update()
			if told["tagstate"] != "mark\n" {
				t.Errorf("BeforeReplace was told %q", told)
			}
			if !strings.Contains(strings.Join(out.Warnings, "\n"), "checked out anew") {
				t.Errorf("the warnings are %q", out.Warnings)
			}
			if kept := listDir(t, c.discards()); !slices.Contains(values(kept), describe(Regular, "mark\n")) {
				t.Error("the old working copy was not set aside")
			}
			if left, _ := filepath.Glob(filepath.Join(c.base, ".trunk.clone-*")); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
			c.exports()
		})
	}
}

func values(l listing) []string {
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
			c.commit(write("source/etc/motd", "another\n"))
		},
		"other revisions and a newer one": func(c *svnCopy) {
			c.without()
			c.commit(write("source/etc/motd", "another\n"))
			c.commit(write("source/etc/issue", "newer\n"))
		},
		"another repository": func(c *svnCopy) { c.run(c.base, "svnadmin", "setuuid", c.svnRepo.dir) },
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedSVN(t)
			c.commit(write("defaults.yml", "a: to be undone\n"))
			c.update()
			writeTestFile(t, c.path("source/usr/x"), "local\n")
			told := edited{}
			c.o.BeforeReplace = told.note
			rewrite(c)
			out := c.update()
			if !out.Rewritten {
				t.Errorf("the outcome is %+v", out)
			}
			warns(t, out, "rewritten")
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
	writeTestFile(t, c.path("defaults.yml"), "a: committed here\n")
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
	c.commit(remove("defaults.yml"), remove("source"))
	c.fails("no files at all")
	if _, err := os.Stat(c.path("defaults.yml")); err != nil {
		t.Error(err)
	}
}

func TestSVNResolveTakesRevisionsOnly(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	c.commit(write("defaults.yml", "a: 2\n"))
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
		_, err := NewSVN(SVNOptions{Dir: filepath.Join(t.TempDir(), "trunk"), URL: url}).Clone(context.Background())
		if err == nil || strings.Contains(err.Error(), "s3cr3t") || strings.Contains(err.Error(), "exit status") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func TestSVNURLWithAPegSign(t *testing.T) {
	t.Parallel()
	c := newSVNCopy(t)
	c.svn("mkdir", "-q", "t@1@")
	c.commit(firstFiles...)
	c.svn("move", "-q", "trunk", "t@1/x@2")
	c.record()
	c.o.URL = "file://" + c.svnRepo.dir + "/t@1/x@2"
	c.clone()
	listWorkingCopy(t, c.dir()).same(t, "the working copy", c.export("t@1/x@2@"))
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
