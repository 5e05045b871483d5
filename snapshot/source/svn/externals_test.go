package svn

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

func TestParseSVNExternals(t *testing.T) {
	t.Parallel()
	for value, want := range map[string][]external{
		"":                                       nil,
		"^/a b\n":                                {{"d", "d/b", "^/a", ""}},
		"^/a b\r\n\r\n# comment\n  ^/c  e/f  \n": {{"d", "d/b", "^/a", ""}, {"d", "d/e/f", "^/c", ""}},
		"-r 12 ^/a b":                            {{"d", "d/b", "^/a", "12"}},
		"-r12 ^/a@7 b":                           {{"d", "d/b", "^/a", "12"}},
		"^/a@7 b":                                {{"d", "d/b", "^/a", "7"}},
		"http://u@h/x b":                         {{"d", "d/b", "http://u@h/x", ""}},
		"//h/x b":                                {{"d", "d/b", "//h/x", ""}},
		"../x b":                                 {{"d", "d/b", "../x", ""}},
		"/x b":                                   {{"d", "d/b", "/x", ""}},
		"b http://h/x":                           {{"d", "d/b", "http://h/x", ""}},
		"b -r 12 http://h/x@y":                   {{"d", "d/b", "http://h/x@y", "12"}},
		"b -r12 http://h/x":                      {{"d", "d/b", "http://h/x", "12"}},
		`^/a "with blank"`:                       {{"d", "d/with blank", "^/a", ""}},
		`^/a with\ blank`:                        {{"d", "d/with blank", "^/a", ""}},
		`"^/with blank" 'b c'`:                   {{"d", "d/b c", "^/with blank", ""}},
		"^/a ./b/":                               {{"d", "d/b", "^/a", ""}},
		"^/a -rb":                                {{"d", "d/-rb", "^/a", ""}},
		"^/a":                                    nil,
		"^/a b c d e":                            nil,
	} {
		if got := parseExternals("d", value); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestSVNExternalURLsAreResolved(t *testing.T) {
	t.Parallel()
	above := wcInfo{URL: "svn://h:1/repo/trunk/d%20e", Root: "svn://h:1/repo"}
	for url, want := range map[string]string{
		"^/a":               "svn://h:1/repo/a",
		"^/../other/a":      "svn://h:1/other/a",
		"//i/x":             "svn://i/x",
		"/other/x":          "svn://h:1/other/x",
		"../x":              "svn://h:1/repo/trunk/x",
		"../../with blank/": "svn://h:1/repo/with%20blank",
		"http://h/x":        "http://h/x",
	} {
		if got := (external{url: url}).resolve(above); !sameSVN(got, want) {
			t.Errorf("%q: %q, want %q", url, got, want)
		}
	}
}

func FuzzParseSVNExternals(f *testing.F) {
	for _, seed := range []string{"^/a b", "b -r 1 http://h/x", `^/a "x`, `\`, "-r", "# x", "a\tb\r\nc d", "a@1 b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, e := range parseExternals("dir", value) {
			if e.path != filepath.Clean(e.path) {
				t.Errorf("%q: %q", value, e.path)
			}
		}
	})
}

// withExternals returns a working copy with externals of every kind: directories, one pinned, one in a directory that
// is not versioned itself, one that has an external of its own, and a file.
func withExternals(t *testing.T) *svnCopy {
	t.Helper()
	c := newSVNCopy(t)
	pinned := c.mucc("mkdir", "shared", "mkdir", "inner", "put", c.blob(testbed.Write("", "x1\n")), "shared/x",
		"put", c.blob(testbed.Write("", "#!/bin/sh\n")), "shared/run", "propset", "svn:executable", "*", "shared/run",
		"put", c.blob(testbed.Write("", "i1\n")), "inner/i")
	c.mucc("propset", "svn:externals", `^/inner "in ner"`, "shared")
	c.Commit(sourcetest.FirstFiles...)
	c.mucc("propset", "svn:externals",
		fmt.Sprintf("^/shared ext\n-r%s ^/shared pinned@%s\n^/inner a/b/deep\n^/shared/run file\n", pinned, pinned), "trunk")
	c.clone()
	return c
}

// externals sets the externals of trunk.
func (c *svnCopy) externals(value string) {
	c.t.Helper()
	if value == "" {
		c.svn("propdel", "-q", "svn:externals", "trunk")
		c.record()
		return
	}
	c.propset("", "svn:externals", value)
}

func TestSVNExternalsAreFollowed(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := withExternals(t)
	c.exact()
	c.exports()
	if info, err := os.Stat(c.path("file")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("an external file has mode %v, %v", info, err)
	}
	testbed.WriteTestFile(t, filepath.Join(c.edit(), "shared/x"), "x2\n")
	testbed.WriteTestFile(t, filepath.Join(c.edit(), "inner/i"), "i2\n")
	testbed.WriteTestFile(t, filepath.Join(c.edit(), "shared/run"), "#!/bin/sh -e\n")
	c.record()
	if out := c.update(); out.Changed != 5 || len(out.Warnings) > 0 { // x, run, file, and i twice
		t.Errorf("the outcome is %+v", out)
	}
	c.exports()
	if out := c.update(); out.Changed != 0 || len(out.Warnings) > 0 {
		t.Errorf("the next outcome is %+v", out)
	}
}

func TestSVNExternalsAreExact(t *testing.T) {
	t.Parallel()
	for name, harm := range runtest.PickRows(map[string]func(c *svnCopy){
		"edited":         func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("ext/x"), "local\n") },
		"edited within":  func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("ext/in ner/i"), "local\n") },
		"edited file":    func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("file"), "local\n") },
		"edited pinned":  func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("pinned@"), "x\n") },
		"unversioned":    func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("ext/stray"), "local\n") },
		"on the way":     func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("a/stray"), "local\n") },
		"further":        func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("a/b/sub/stray"), "local\n") },
		"mode":           func(c *svnCopy) { c.run(c.Dir(), "chmod", "0755", "ext/x") },
		"strange name":   func(c *svnCopy) { testbed.WriteTestFile(c.t, c.path("ext/be\al"), "local\n") },
		"added":          func(c *svnCopy) { c.run(c.path("ext"), "svn", "mkdir", "-q", "newdir") },
		"file is a link": func(c *svnCopy) { c.run(c.Dir(), "ln", "-sf", "defaults.yml", "file") },
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := withExternals(t)
			harm(c)
			c.exports()
			c.update()
			harm(c)
			c.update()
		})
	}
}

func TestSVNExternalsAreRestored(t *testing.T) {
	t.Parallel()
	for name, harm := range runtest.PickRows(map[string]func(c *svnCopy){
		"removed":      func(c *svnCopy) { c.run(c.Dir(), "rm", "-r", "ext", "a") },
		"no .svn":      func(c *svnCopy) { c.run(c.Dir(), "rm", "-r", "ext/.svn") },
		"a file":       func(c *svnCopy) { c.run(c.Dir(), "sh", "-c", "rm -r ext; echo local > ext") },
		"a link":       func(c *svnCopy) { c.run(c.Dir(), "sh", "-c", "rm -r ext; ln -s source ext") },
		"switched":     func(c *svnCopy) { c.run(c.path("ext"), "svn", "switch", "-q", "--ignore-ancestry", "^/inner", ".") },
		"sparse":       func(c *svnCopy) { c.run(c.path("ext"), "svn", "update", "-q", "--set-depth", "empty", ".") },
		"mixed":        func(c *svnCopy) { c.run(c.path("ext"), "svn", "update", "-q", "-r", "2", "x") },
		"no file":      func(c *svnCopy) { c.run(c.Dir(), "rm", "file") },
		"damaged":      func(c *svnCopy) { c.run(c.Dir(), "rm", "ext/.svn/wc.db") },
		"locked":       func(c *svnCopy) { c.sqlite(c.path("ext"), "insert into wc_lock values (1, '', -1)") },
		"another copy": func(c *svnCopy) { c.run(c.Dir(), "sh", "-c", "rm -r ext; cp -a a/b/deep ext") },
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := withExternals(t)
			harm(c)
			if current, err := c.source().Current(t.Context()); err == nil {
				if _, err := c.source().Export(t.Context(), current, t.TempDir(), source.ExportOptions{}); err == nil {
					c.exact()
				}
			}
			c.update()
			c.exports()
		})
	}
}

func TestSVNRemovedExternalsLeaveNothing(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := withExternals(t)
	testbed.WriteTestFile(t, c.path("ext/stray"), "local\n")
	testbed.WriteTestFile(t, c.path("a/b/stray"), "local\n")
	testbed.WriteTestFile(t, c.path("file"), "local\n")
	c.externals("^/inner other")
	out := c.update()
	sourcetest.Warns(t, out, "ext/stray", "a/b/stray", "file")
	testbed.WriteTestFile(t, c.path("other/stray"), "local\n")
	c.externals("")
	c.update()
	c.exports()
}

func TestSVNExternalThatCannotBeHadIsAnError(t *testing.T) {
	t.Parallel()
	c := withExternals(t)
	c.svn("propset", "-q", "svn:externals", "^/nowhere ext", "trunk")
	c.svn("commit", "-q", "-m", "a mistake")
	c.fails("nowhere")
}

func TestSVNEarlierRevisionHasItsPinnedExternals(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := withExternals(t)
	c.externals("^/shared@2 pinned")
	first := c.youngest()
	had := c.Upstream()
	c.update()
	c.externals("^/inner other")
	c.update()
	s := c.source()
	r, err := s.Resolve(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	export, err := s.Export(t.Context(), r, dir, source.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	testbed.ListDir(t, dir).Same(t, "the export", had)
	if len(export.Warnings) != 1 || !strings.Contains(export.Warnings[0], "externals") {
		t.Errorf("the warnings are %q", export.Warnings)
	}
}
