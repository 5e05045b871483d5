package svn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// baseCopy is a base that is a working copy as a whole, with trunk in it.
type baseCopy struct{ *svnCopy }

func newBaseCopy(t *testing.T) *baseCopy {
	t.Helper()
	c := &baseCopy{newSVNCopy(t)}
	for name, content := range map[string]string{
		"etchserver.conf": "auth\n", "nodetagger": "#!/bin/sh\n", "tagstate": "# marks\n", "lib/a": "a\n", "lib/b": "b\n",
	} {
		testbed.WriteTestFile(t, filepath.Join(c.edit(), name), content)
	}
	c.svn("add", "-q", "etchserver.conf", "nodetagger", "tagstate", "lib")
	c.Commit(sourcetest.FirstFiles...)
	c.o.URL = ""
	c.o.IsTagstate = func(path string) bool { return path == "tagstate" || path == "trunk/tagstate" }
	c.run(c.base, "svn", "checkout", "-q", "file://"+c.svnRepo.dir, ".")
	testbed.WriteTestFile(t, filepath.Join(c.base, "tags/etchautotag-20261122-0800/x"), "a tag\n")
	testbed.WriteTestFile(t, filepath.Join(c.base, "orig/x"), "the server's\n")
	return c
}

// outside writes a file of the base.
func (c *baseCopy) outside(name, content string) {
	testbed.WriteTestFile(c.t, filepath.Join(c.base, name), content)
}

// upstreams commits a file outside trunk.
func (c *baseCopy) upstreams(name, content string) {
	c.t.Helper()
	testbed.WriteTestFile(c.t, filepath.Join(c.edit(), name), content)
	c.svn("add", "-q", "--force", "--parents", name)
	c.record()
}

// has asserts that the base has a file with these contents.
func (c *baseCopy) has(name, content string) {
	c.t.Helper()
	if data, err := os.ReadFile(filepath.Join(c.base, name)); string(data) != content {
		c.t.Errorf("%q is %q, %v; want %q", name, data, err, content)
	}
}

func (c *baseCopy) svnInBase(args ...string) string {
	c.t.Helper()
	return c.run(c.base, "svn", append([]string{args[0], "--non-interactive"}, args[1:]...)...)
}

func TestSVNBaseIsUpdated(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := newBaseCopy(t)
	if reason, err := c.source().Foreign(); reason != "" || err != nil {
		t.Errorf("Foreign: %q, %v", reason, err)
	}
	if out := c.update(); out.Changed != 0 || len(out.Warnings) > 0 || out.Discarded != "" {
		t.Errorf("the outcome without a change is %+v", out)
	}
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	testbed.WriteTestFile(t, c.path("stray"), "local\n")
	testbed.WriteTestFile(t, c.path("source/etc/motd"), "local\n")
	c.upstreams("etchserver.conf", "better auth\n")
	c.upstreams("etchtag.yml", "tags: {}\n")
	c.upstreams("new/dir/file", "x\n")
	c.svn("propset", "-q", "svn:ignore", "tags", ".")
	c.svn("propset", "-q", "svn:ignore", "x", "lib")
	c.svn("remove", "-q", "lib/b")
	c.record()
	out := c.update()
	if out.Changed != 6 || out.Revision.ID != c.youngest() {
		t.Errorf("the outcome is %+v", out)
	}
	sourcetest.Warns(t, out, filepath.Join(c.base, "lib/b"), "stray")
	c.has("etchserver.conf", "better auth\n")
	c.has("etchtag.yml", "tags: {}\n")
	c.has("new/dir/file", "x\n")
	c.has("lib/b", "b\n")
	c.has("tags/etchautotag-20261122-0800/x", "a tag\n")
	c.has("orig/x", "the server's\n")
	if ignored := c.svnInBase("propget", "svn:ignore", ".", "lib"); !strings.Contains(ignored, "tags") ||
		!strings.Contains(ignored, "x") {
		t.Errorf("svn:ignore is %q", ignored)
	}
	c.exports()
	if out := c.update(); out.Changed != 0 || out.Discarded != "" {
		t.Errorf("the next outcome is %+v", out)
	}
}

func TestSVNBaseIsNotTouchedWhereItWasEdited(t *testing.T) {
	t.Parallel()
	for name, test := range runtest.PickRows(map[string]struct {
		harm func(c *baseCopy)
		word string
	}{
		"edited":     {func(c *baseCopy) { c.outside("etchserver.conf", "local\n") }, "etchserver.conf"},
		"edited too": {func(c *baseCopy) { c.outside("lib/a", "local\n"); c.upstreams("lib/a", "upstream\n") }, "lib/a"},
		"missing":    {func(c *baseCopy) { c.run(c.base, "rm", "etchserver.conf") }, "etchserver.conf"},
		"deleted":    {func(c *baseCopy) { c.svnInBase("remove", "-q", "lib/a") }, "lib/a"},
		"added":      {func(c *baseCopy) { c.svnInBase("mkdir", "-q", "added") }, "added"},
		"property":   {func(c *baseCopy) { c.svnInBase("propset", "-q", "x", "y", "lib/a") }, "lib/a"},
		"obstructed": {func(c *baseCopy) { c.run(c.base, "sh", "-c", "rm lib/a; mkdir lib/a") }, "lib/a"},
		"conflict": {func(c *baseCopy) {
			c.outside("lib/a", "local\n")
			c.upstreams("lib/a", "upstream\n")
			c.svnInBase("update", "-q", "--accept", "postpone", "lib/a")
		}, "lib/a"},
		"tree conflict": {func(c *baseCopy) {
			c.svn("remove", "-q", "lib/a")
			c.record()
			c.outside("lib/a", "local\n")
			c.svnInBase("update", "-q", "--accept", "postpone", "lib/a")
		}, "lib/a"},
		"in the way": {func(c *baseCopy) { c.outside("etchtag.yml", "local\n"); c.upstreams("etchtag.yml", "upstream\n") },
			"etchtag.yml"},
		"directory in the way": {func(c *baseCopy) {
			c.outside("new/mine", "local\n")
			c.upstreams("new/theirs", "upstream\n")
		}, "new"},
		"both marked": {func(c *baseCopy) { c.outside("tagstate", "local\n"); c.upstreams("tagstate", "upstream\n") },
			"tagstate"},
	}, 4, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newBaseCopy(t)
			test.harm(c)
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
			testbed.WriteTestFile(t, c.path("stray"), "local\n")
			before := sourcetest.ListWorkingCopy(t, c.base)
			c.fails(filepath.Join(c.base, test.word))
			sourcetest.ListWorkingCopy(t, c.base).Same(t, "the base", before)
		})
	}
}

func TestSVNBaseWithMarksMadeInAnEmergencyIsUpdated(t *testing.T) {
	t.Parallel()
	c := newBaseCopy(t)
	c.outside("tagstate", "etchautotag-20261122-0800 bad\n")
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	c.upstreams("etchserver.conf", "better auth\n")
	out := c.update()
	sourcetest.Warns(t, out, filepath.Join(c.base, "tagstate"), "commit it")
	c.has("tagstate", "etchautotag-20261122-0800 bad\n")
	c.has("etchserver.conf", "better auth\n")
	c.exports()
}

func TestSVNTrunkIsRestoredInBase(t *testing.T) {
	t.Parallel()
	c := newBaseCopy(t)
	if err := os.RemoveAll(c.Dir()); err != nil {
		t.Fatal(err)
	}
	c.outside("lib/mine", "local\n")
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	c.clone()
	c.exact()
	if _, err := os.Stat(c.path(".svn")); err == nil {
		t.Error("it has become a working copy of its own")
	}
	c.has("lib/mine", "local\n")
}

func TestSVNDamagedBaseIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := newBaseCopy(t)
	if err := os.Truncate(filepath.Join(c.base, ".svn/wc.db"), 0); err != nil {
		t.Fatal(err)
	}
	before := testbed.ListDir(t, c.base)
	c.o.URL = c.url
	c.fails("by hand")
	testbed.ListDir(t, c.base).Same(t, "the base", before)
}

func TestSVNRewrittenUpstreamOfABaseIsAnError(t *testing.T) {
	t.Parallel()
	c := newBaseCopy(t)
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	c.update()
	c.without()
	before := testbed.ListDir(t, c.base)
	c.fails("rewritten", "by hand")
	testbed.ListDir(t, c.base).Same(t, "the base", before)
}

func TestSVNBaseOfAnotherURLIsForeign(t *testing.T) {
	t.Parallel()
	c := newBaseCopy(t)
	root := "file://" + c.svnRepo.dir
	for url, foreign := range map[string]bool{root: false, root + "/trunk": false, root + "/lib": true} {
		c.o.URL = url
		if reason, err := c.source().Foreign(); err != nil || (reason != "") != foreign {
			t.Errorf("%q: %q, %v", url, reason, err)
		}
	}
}
