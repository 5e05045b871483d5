package cvs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
)

// cvsCopy is a working copy under test, whose repository is on this machine unless a test serves it.
type cvsCopy struct {
	*cvsRig
	o   Options
	env []string // of the administrator's own client
}

func newCVSCopy(t *testing.T) *cvsCopy {
	t.Helper()
	r := newCVSRig(t)
	return &cvsCopy{cvsRig: r, o: r.options(sourcetest.RigOptions{})}
}

// clonedCVS returns a working copy of the first files.
func clonedCVS(t *testing.T) *cvsCopy {
	t.Helper()
	c := newCVSCopy(t)
	c.Commit(sourcetest.FirstFiles...)
	c.clone()
	return c
}

func (c *cvsCopy) source() *Source         { return New(c.o) }
func (c *cvsCopy) path(name string) string { return filepath.Join(c.Dir(), name) }

func (c *cvsCopy) clone() {
	c.t.Helper()
	if _, err := c.source().Clone(c.t.Context()); err != nil {
		c.t.Fatalf("Clone: %v", err)
	}
}

// update updates, and asserts that the working copy and what is published are exactly upstream's then.
func (c *cvsCopy) update() source.Outcome {
	c.t.Helper()
	out, err := c.source().Update(c.t.Context())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	c.exact(c.Upstream())
	return out
}

// exact asserts what the working copy and what is published are. CVS itself has to find nothing to do there.
func (c *cvsCopy) exact(want testbed.Listing) {
	c.t.Helper()
	sourcetest.ListWorkingCopy(c.t, c.Dir()).Same(c.t, "the working copy", want)
	current, err := c.source().Current(c.t.Context())
	if err != nil {
		c.t.Fatalf("Current: %v", err)
	}
	sourcetest.PublishedBy(c.t, c.source(), current).Same(c.t, "what is published", want)
	if says, _ := c.inside("-n", "-q", "update", "-P"); says != "" {
		c.t.Errorf("cvs update says %q", says)
	}
}

// inside runs the client in the working copy, as an administrator would.
func (c *cvsCopy) inside(args ...string) (string, error) {
	cmd := exec.Command("cvs", append([]string{"-f"}, args...)...)
	cmd.Dir = c.Dir()
	cmd.Env = testbed.GitEnv(c.env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// must fails the test if the client, run inside the working copy, failed.
func (c *cvsCopy) must(args ...string) {
	c.t.Helper()
	if out, err := c.inside(args...); err != nil {
		c.t.Fatalf("cvs %q: %v\n%s", args, err, out)
	}
}

// isMixed asserts that there is no revision that could be published.
func (c *cvsCopy) isMixed() {
	c.t.Helper()
	var mixed *source.MixedError
	if r, err := c.source().Current(c.t.Context()); !errors.As(err, &mixed) {
		c.t.Errorf("Current is %v, %v", r, err)
	}
}

// exportFails asserts that what the last update left cannot be published by now.
func (c *cvsCopy) exportFails(words ...string) {
	c.t.Helper()
	record := readCVSRecord(c.Dir())
	_, err := c.source().Export(c.t.Context(), record.revision, c.t.TempDir(), source.ExportOptions{})
	if err == nil {
		c.t.Fatal("Export succeeded")
	}
	says(c.t, err, words...)
}

// says asserts that an error says all of the words.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// wasSetAside asserts that files with these contents were set aside.
func (c *cvsCopy) wasSetAside(out source.Outcome, contents ...string) {
	c.t.Helper()
	sourcetest.Warns(c.t, out, out.Discarded)
	kept := testbed.ListDir(c.t, c.Discards())
	for _, want := range contents {
		found := false
		for _, has := range kept {
			found = found || has == testbed.Describe(source.Regular, want)
		}
		if !found {
			c.t.Errorf("%q was not set aside: %v", want, kept)
		}
	}
}

func TestCVSStickyTagsAndDatesDoNotStay(t *testing.T) {
	t.Parallel()
	for name, stick := range map[string][]string{
		"date":               {"update", "-D", "2020-01-01 00:01:30 +0000"},
		"tag":                {"update", "-r", "old"},
		"tag of a directory": {"update", "-r", "old", "source"},
		"revision of a file": {"update", "-r", "1.1", "defaults.yml"},
		"newest, but sticky": {"update", "-r", "1.2", "defaults.yml"},
		"only some files":    {"update", "-D", "2020-01-01 00:01:30 +0000", "-l"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedCVS(t)
			c.cvs(c.base, "rtag", "old", cvsModule)
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"), testbed.Write("new", "x\n"), testbed.Remove("source/etc/motd"))
			c.update()
			c.must(append([]string{"-Q"}, stick...)...)
			c.isMixed()
			out := c.update()
			if len(out.Warnings) > 0 || out.Rewritten {
				t.Errorf("the outcome is %+v", out)
			}
			for _, dir := range []string{"", "source", "source/etc"} {
				if disk.Exists(c.path(filepath.Join(dir, "CVS/Tag"))) {
					t.Errorf("%q sticks to something", dir)
				}
			}
			if out := c.update(); out.Changed != 0 {
				t.Errorf("the next outcome is %+v", out)
			}
		})
	}
}

func TestCVSFollowsABranch(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	c.Commit(sourcetest.FirstFiles...)
	want := c.Upstream()
	c.cvs(c.base, "rtag", "-b", "stable", cvsModule)
	c.cvs(c.base, "checkout", "-r", "stable", "-d", "work", cvsModule)
	testbed.WriteTestFile(t, filepath.Join(c.base, "work/defaults.yml"), "a: stable\n")
	c.cvs(filepath.Join(c.base, "work"), "commit", "-m", "stable")
	c.o.Branch = "stable"
	c.clone()
	want["defaults.yml"] = testbed.Describe(source.Regular, "a: stable\n")
	c.exact(want)
	out, err := c.source().Update(t.Context())
	if err != nil || out.Changed != 0 {
		t.Errorf("the outcome is %+v, %v", out, err)
	}
	c.o.Branch = "" // the site goes back to the trunk
	if out := c.update(); out.Changed != 1 || out.Rewritten {
		t.Errorf("the outcome is %+v", out)
	}
}

func TestCVSConflictsAreNeverPublished(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	testbed.WriteTestFile(t, c.path("defaults.yml"), "a: local\n")
	c.Commit(testbed.Write("defaults.yml", "a: upstream\n"))
	if _, err := c.inside("admin", "-kkv", "defaults.yml"); err != nil { // files of type -kb are not merged
		t.Fatal(err)
	}
	_, _ = c.inside("-Q", "update", "-kkv")
	if data, err := os.ReadFile(c.path("defaults.yml")); err != nil || !strings.Contains(string(data), "<<<<<<<") {
		t.Fatalf("there is no conflict: %q, %v", data, err)
	}
	c.isMixed()
	c.exportFails()
	out := c.update()
	found := false
	for _, has := range testbed.ListDir(t, out.Discarded) {
		found = found || strings.Contains(has, "<<<<<<<")
	}
	if !found {
		t.Error("the file with the conflict is nowhere")
	}
}

func TestCVSNoticesEditsThatKeepTimeAndSize(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	info, err := os.Stat(c.path("source/etc/motd"))
	if err != nil {
		t.Fatal(err)
	}
	testbed.WriteTestFile(t, c.path("source/etc/motd"), "HELLO\n")
	if err := os.Chtimes(c.path("source/etc/motd"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if says, _ := c.inside("-n", "-q", "update"); says != "" {
		t.Fatalf("cvs notices the edit by itself: %q", says)
	}
	c.exportFails("source/etc/motd", "edited")
	var had [3]string
	c.o.BeforeReplace = func(_ string, base, local, upstream []byte) error {
		had = [3]string{string(base), string(local), string(upstream)}
		return nil
	}
	c.wasSetAside(c.update(), "HELLO\n")
	if want := [3]string{"hello\n", "HELLO\n", "hello\n"}; had != want {
		t.Errorf("BeforeReplace was told %q, want %q", had, want)
	}
}

func TestCVSTouchedFilesAreNoEdits(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	if err := errors.Join(os.Chtimes(c.path("defaults.yml"), testbed.TheTime, testbed.TheTime),
		os.Chmod(c.path("source/etc/motd"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if out := c.update(); out.Discarded != "" || len(out.Warnings) > 0 {
		t.Errorf("the outcome is %+v", out)
	}
}

func TestCVSLocalAdditionsAndRemovalsAreUndone(t *testing.T) {
	t.Parallel()
	for name, harm := range map[string]func(c *cvsCopy){
		"file added": func(c *cvsCopy) {
			testbed.WriteTestFile(c.t, c.path("added"), "added\n")
			c.must("-Q", "add", "added")
		},
		"file added that upstream adds, too": func(c *cvsCopy) {
			testbed.WriteTestFile(c.t, c.path("new"), "added\n")
			c.must("-Q", "add", "new")
			c.Commit(testbed.Write("new", "upstream's\n"))
		},
		"file removed":          func(c *cvsCopy) { c.must("-Q", "remove", "-f", "defaults.yml") },
		"directory removed":     func(c *cvsCopy) { c.must("-Q", "remove", "-f", "source/usr") },
		"file of CVS's removed": func(c *cvsCopy) { _ = os.Remove(c.path("source/CVS/Entries")) },
		"all of CVS's removed":  func(c *cvsCopy) { _ = os.RemoveAll(c.path("source/etc/CVS")) },
		"entries of noise":      func(c *cvsCopy) { testbed.WriteTestFile(c.t, c.path("CVS/Entries"), sourcetest.Noise(500, 1)) },
		"record of noise":       func(c *cvsCopy) { testbed.WriteTestFile(c.t, c.path("CVS/"+cvsRecordName), sourcetest.Noise(500, 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedCVS(t)
			harm(c)
			if r, err := c.source().Current(t.Context()); err == nil {
				t.Errorf("Current is %v", r)
			}
			out := c.update()
			if strings.Contains(name, "added") {
				c.wasSetAside(out, "added\n")
			}
		})
	}
}

func TestCVSIgnoredFilesGo(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	c.Commit(append([]testbed.Edit{testbed.Write(".cvsignore", "*.log\nstrange dir\n")}, sourcetest.FirstFiles...)...)
	c.clone()
	ignored := map[string]string{"x.log": "log\n", "core": "core\n", "source/a.o": "object\n", "source/usr/x~": "editor's\n",
		"strange dir/x": "x below\n", ".#defaults.yml.1.1": "old\n"}
	for name, content := range ignored {
		testbed.WriteTestFile(t, c.path(name), content)
	}
	c.exportFails("is not upstream's")
	c.wasSetAside(c.update(), "log\n", "core\n", "object\n", "editor's\n", "x below\n", "old\n")
}

func TestCVSKeywords(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	c.cvs(c.base, "checkout", "-d", "work", cvsModule)
	work := filepath.Join(c.base, "work")
	testbed.WriteTestFile(t, filepath.Join(work, "text"), "$Id$\n")
	testbed.WriteTestFile(t, filepath.Join(work, "binary"), "$Id$\r\n")
	c.cvs(work, "add", "text")
	c.cvs(work, "add", "-kb", "binary")
	c.cvs(work, "commit", "-m", "keywords")
	c.clone()
	text, err := os.ReadFile(c.path("text"))
	if err != nil || !strings.HasPrefix(string(text), "$Id: text,v 1.1 ") {
		t.Errorf("text is %q, %v", text, err)
	}
	want := testbed.Listing{"text": testbed.Describe(source.Regular, string(text)), "binary": testbed.Describe(source.Regular, "$Id$\r\n")}
	c.exact(want)
	testbed.WriteTestFile(t, c.path("text"), "$Id$\n") // which CVS would call the same
	c.exportFails("text", "edited")
	if _, err := c.source().Update(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.exact(want)
}

func TestCVSUnusualNames(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	names := []string{"a file", "a dir/-dash", " ", "-r", "a dir/-d/$x `y` 'z' \"q\"", "semi;colon", "per%cent"}
	for _, name := range names {
		c.Commit(testbed.Write(name, "1"))
	}
	c.clone()
	for _, name := range names {
		testbed.WriteTestFile(t, c.path(name), "local "+name)
	}
	var told []string
	c.o.BeforeReplace = func(path string, base, local, upstream []byte) error {
		want := "1"
		if path == "a file" {
			want = "2"
		}
		if string(base) != "1" || string(local) != "local "+path || string(upstream) != want {
			t.Errorf("%q: base %q, local %q, upstream %q", path, base, local, upstream)
		}
		told = append(told, path)
		return nil
	}
	c.Commit(testbed.Write("a file", "2"))
	c.update()
	if slices.Sort(told); len(slices.Compact(told)) != len(names) {
		t.Errorf("told of %q", told)
	}
}

func TestCVSResurrectedFiles(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	c.Commit(testbed.Remove("source/etc/motd"), testbed.Remove("source/usr"))
	c.update()
	testbed.WriteTestFile(t, c.path("source/etc/motd"), "local\n")
	c.Commit(testbed.Write("source/etc/motd", "again\n"), testbed.Write("source/usr/x", "again\n"))
	c.wasSetAside(c.update(), "local\n")
	c.Commit(testbed.Remove("source/etc/motd"))
	c.Commit(testbed.Write("source/etc/motd", "hello\n"))
	c.update()
}

func TestCVSDoesNotFollowUpstreamIntoNothing(t *testing.T) {
	t.Parallel()
	for name, empty := range map[string]func(c *cvsCopy){
		"all files removed":  func(c *cvsCopy) { c.Commit(testbed.Remove("defaults.yml"), testbed.Remove("source")) },
		"module lost":        func(c *cvsCopy) { c.DeletePath() },
		"repository lost":    func(c *cvsCopy) { _ = os.RemoveAll(c.repo) },
		"module of metadata": func(c *cvsCopy) { c.Commit(testbed.Write("source/.git/config", "x")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := clonedCVS(t)
			before := testbed.ListDir(t, c.Dir())
			was, err := c.source().Current(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			empty(c)
			if out, err := c.source().Update(t.Context()); err == nil {
				t.Fatalf("the outcome is %+v", out)
			}
			is, err := c.source().Current(t.Context())
			if name == "module of metadata" {
				return // which is known only when it is here
			}
			if err != nil || is != was {
				t.Errorf("Current is %v, %v, was %v", is, err, was)
			}
			testbed.ListDir(t, c.Dir()).Same(t, "the working copy", before)
		})
	}
}

func TestCVSAdoptsWhatAnotherClientCheckedOut(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	c.Commit(sourcetest.FirstFiles...)
	c.cvs(c.base, "checkout", "-d", "trunk", cvsModule)
	c.o.URL, c.o.Module = "", ""
	testbed.WriteTestFile(t, c.path("defaults.yml"), "a: local\n")
	if r, err := c.source().Current(t.Context()); !errors.Is(err, source.ErrNoRevision) {
		t.Errorf("Current is %v, %v", r, err)
	}
	c.Commit(testbed.Write("source/etc/issue", "x\n"))
	c.wasSetAside(c.update(), "a: local\n")
	c.Commit(testbed.Write("source/etc/issue", "y\n"))
	c.update()
}

func TestCVSFollowsAModuleByItsName(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	c.Commit(sourcetest.FirstFiles...)
	testbed.WriteTestFile(t, filepath.Join(c.repo, "CVSROOT/modules"), "servers "+cvsModule+"\n")
	c.o.Module = "servers"
	c.clone()
	c.o.URL, c.o.Module = "", ""
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	c.update()
	c.o.Module = "servers"
	if reason, err := c.source().Foreign(); reason != "" || err != nil {
		t.Errorf("it is foreign: %q, %v", reason, err)
	}
}

func TestCVSForeign(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	for _, test := range []struct{ url, module, reason string }{
		{c.repo, cvsModule, ""},
		{":local:" + c.repo + "/", cvsModule + "/", ""},
		{"", "", ""},
		{c.repo, "etch/branch", "module"},
		{c.repo + "2", cvsModule, "repository"},
		{":ext:me@host:" + c.repo, cvsModule, "repository"},
	} {
		c.o.URL, c.o.Module = test.url, test.module
		reason, err := c.source().Foreign()
		if err != nil || (reason == "") != (test.reason == "") || !strings.Contains(reason, test.reason) {
			t.Errorf("%q, %q: %q, %v, want %q", test.url, test.module, reason, err, test.reason)
		}
	}
	other := t.TempDir()
	c.o.Dir = other
	if reason, err := c.source().Foreign(); reason != "" || err != nil {
		t.Errorf("an empty directory is foreign: %q, %v", reason, err)
	}
	testbed.WriteTestFile(t, filepath.Join(other, ".git/config"), "")
	if reason, err := c.source().Foreign(); reason == "" || err != nil {
		t.Errorf("a repository of git is not foreign: %v", err)
	}
}

func TestCVSCloneWithoutUpstreamSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	c.o.URL, c.o.Module = "", ""
	_, err := c.source().Clone(t.Context())
	says(t, err, "there is no working copy at", c.Dir(), "no repository and module are configured")
}

func TestCVSMissingClientIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := filepath.Join(t.TempDir(), "trunk")
	_, err := New(Options{Dir: dir, URL: "/srv/cvs", Module: "m"}).Clone(t.Context())
	says(t, err, "cvs is not installed", "package cvs")
}

func TestCVSSweepsWhatAKilledRunLeft(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	left := filepath.Join(c.base, workcopy.ClonePrefix(c.Dir())+"1")
	testbed.WriteTestFile(t, filepath.Join(left, "cvspass"), "secret\n")
	testbed.WriteTestFile(t, c.path("CVS/"+disk.TempPrefix+"1"), "half a record")
	c.update()
	if disk.Exists(left) || disk.Exists(c.path("CVS/"+disk.TempPrefix+"1")) {
		t.Error("it is still there")
	}
}

// What is checked out anew is exchanged as a whole, so it stays if anything is mounted in it.
func TestCVSWorkingCopyWithAMountInItIsNotExchanged(t *testing.T) {
	t.Parallel()
	c := clonedCVS(t)
	testbed.Must(t, os.Remove(c.path("CVS/"+cvsRecordName)))
	mounttest.Directory(t, c.path("extra/mounted"))
	before := testbed.ListDir(t, c.Dir())
	_, err := c.source().Update(t.Context())
	sourcetest.IsMounted(t, err, c.path("extra/mounted"))
	testbed.ListDir(t, c.Dir()).Same(t, "the working copy", before)
}
