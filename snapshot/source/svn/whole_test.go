package svn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// sitesCopy is a working copy whose upstream has externals of all kinds: from other repositories a directory that has an
// external of its own, from a third one, and one that is pinned to a revision; and a file of its own repository.
type sitesCopy struct {
	*svnCopy
	vendor, inner, pinned *svnRepo
}

func newSitesCopy(t *testing.T) *sitesCopy {
	t.Helper()
	c := &sitesCopy{vendor: newSVNRepo(t), inner: newSVNRepo(t), pinned: newSVNRepo(t)}
	c.inner.put("i", "old\n")
	c.vendor.put("v", "old\n", "propset", "svn:externals", "\n"+c.inner.trunk()+" inner", "trunk")
	c.pinned.put("p", "old\n")
	r := &svnRig{svnRepo: newSVNRepo(t), base: t.TempDir()}
	r.url = r.trunk()
	c.svnCopy = &svnCopy{r, r.options(sourcetest.RigOptions{})}
	r.put("defaults.yml", "a: old\n", "mkdir", "trunk/source", "mkdir", "trunk/lib")
	r.put("lib/shared", "old\n")
	c.define(c.everything())
	c.clone()
	return c
}

// put commits a file of trunk, and what other commands do.
func (r *svnRepo) put(path, content string, commands ...string) {
	r.t.Helper()
	file := filepath.Join(filepath.Dir(r.dir), "file")
	testbed.WriteTestFile(r.t, file, content)
	r.mucc(append(commands, "put", file, "trunk/"+path)...)
}

func (r *svnRepo) trunk() string { return "file://" + r.dir + "/trunk" }

// everything is what the externals are in the beginning.
func (c *sitesCopy) everything() string {
	return fmt.Sprintf("%s ext\n-r2 %s fixed\n^/trunk/lib/shared file\n", c.vendor.trunk(), c.pinned.trunk())
}

// define sets the externals of trunk.
func (c *sitesCopy) define(externals string) {
	c.t.Helper()
	c.mucc("propset", "svn:externals", "\n"+externals, "trunk")
}

// moveOn commits something everywhere.
func (c *sitesCopy) moveOn() {
	c.t.Helper()
	c.inner.put("i", "new\n")
	c.vendor.put("v", "new\n")
	c.pinned.put("p", "new\n")
	c.put("defaults.yml", "a: new\n")
	c.put("lib/shared", "new\n")
}

// down takes repositories away until the returned function is called.
func down(t *testing.T, repos ...*svnRepo) (up func()) {
	t.Helper()
	for _, r := range repos {
		if err := os.Rename(r.dir, r.dir+".down"); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, r := range repos {
			if err := os.Rename(r.dir+".down", r.dir); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func (c *sitesCopy) allDown() (up func()) {
	return down(c.t, c.svnRepo, c.vendor, c.inner, c.pinned)
}

// isMixed asserts that nothing of the working copy would be published, and that it is said why.
func (c *sitesCopy) isMixed() {
	c.t.Helper()
	info, err := c.source().in(c.Dir()).info(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	var mixed *source.MixedError
	_, err = c.source().Export(c.t.Context(), info.revision(), c.t.TempDir(), source.ExportOptions{})
	if !errors.As(err, &mixed) || mixed.Dir != c.Dir() {
		c.t.Errorf("Export: %v", err)
	}
	if r, err := c.source().Current(c.t.Context()); !errors.As(err, &mixed) {
		c.t.Errorf("Current is %v, %v", r, err)
	}
}

func TestSVNExternalThatIsDownChangesNothing(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for name, sites := range runtest.PickRows(map[string]func(c *sitesCopy) (repo *svnRepo, external string){
		"directory": func(c *sitesCopy) (*svnRepo, string) { return c.vendor, `"ext"` },
		"nested":    func(c *sitesCopy) (*svnRepo, string) { return c.inner, `"ext/inner"` },
		"pinned":    func(c *sitesCopy) (*svnRepo, string) { return c.pinned, `"fixed"` },
	}, 2, 0) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newSitesCopy(t)
			had, dir := c.Upstream(), testbed.ListDir(t, c.Dir())
			c.moveOn()
			repo, external := sites(c)
			up := down(t, repo)
			for range 2 {
				c.fails(external, repo.dir)
			}
			newest := source.Revision{ID: c.youngest()}
			if _, err := c.source().Export(t.Context(), newest, t.TempDir(), source.ExportOptions{}); err == nil {
				t.Error("a revision was exported without an external")
			}
			delete(dir, ".svn/wc.db") // which readers write to
			now := testbed.ListDir(t, c.Dir())
			delete(now, ".svn/wc.db")
			now.Same(t, "the working copy", dir)
			current, err := c.source().Current(t.Context())
			if err != nil {
				t.Fatalf("Current: %v", err)
			}
			sourcetest.PublishedBy(t, c.source(), current).Same(t, "what is published", had)
			up()
			c.update()
			c.exports()
		})
	}
}

// An administrator's way out, if the server of an external is gone for good, is to define another one, or none.
func TestSVNExternalThatIsDownMayBeDoneAwayWith(t *testing.T) {
	t.Parallel()
	for name, away := range runtest.PickRows(map[string]func(c *sitesCopy) (repo *svnRepo){
		"removed": func(c *sitesCopy) *svnRepo {
			c.define("^/trunk/lib/shared file")
			return c.vendor
		},
		"the last": func(c *sitesCopy) *svnRepo {
			c.mucc("propdel", "svn:externals", "trunk")
			return c.pinned
		},
		"from elsewhere": func(c *sitesCopy) *svnRepo {
			c.define(strings.Replace(c.everything(), c.pinned.trunk(), c.inner.trunk(), 1))
			return c.pinned
		},
		"nested": func(c *sitesCopy) *svnRepo {
			c.vendor.mucc("propset", "svn:externals", "^/trunk/v another", "trunk")
			return c.inner
		},
		"with the outer one": func(c *sitesCopy) *svnRepo {
			c.define("^/trunk/lib/shared file")
			return c.inner
		},
		"with its directory": func(c *sitesCopy) *svnRepo {
			c.define("^/trunk/lib/shared file")
			c.mucc("propset", "svn:externals", c.pinned.trunk()+" deep", "trunk/source")
			c.update()
			c.mucc("rm", "trunk/source")
			return c.pinned
		},
	}, 3, 1) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newSitesCopy(t)
			gone := away(c)
			down(t, gone)
			c.update()
		})
	}
}

// TestSVNMixtureIsNotPublished leaves the working copy as an update does that ends on the way, and takes upstream away.
func TestSVNMixtureIsNotPublished(t *testing.T) {
	t.Parallel()
	tree := func(c *sitesCopy) { c.inside("update", "-q", "--ignore-externals") }
	for name, test := range runtest.PickRows(map[string]struct {
		upstream func(c *sitesCopy) // what changes upstream; nil: something everywhere
		update   func(c *sitesCopy)
	}{
		"the tree":             {nil, tree},
		"an external":          {nil, func(c *sitesCopy) { c.inside("update", "-q", "--ignore-externals", "ext") }},
		"a nested external":    {nil, func(c *sitesCopy) { c.inside("update", "-q", "ext/inner") }},
		"a file":               {nil, func(c *sitesCopy) { c.inside("update", "-q", "file") }},
		"all but one external": {nil, func(c *sitesCopy) { tree(c); c.inside("update", "-q", "--ignore-externals", "ext", "file") }},
		"an external undefined": {func(c *sitesCopy) {
			c.define(strings.Replace(c.everything(), c.vendor.trunk()+" ext", "", 1))
		}, tree},
		"all externals undefined": {func(c *sitesCopy) { c.define("# none") }, tree},
		"a file undefined": {func(c *sitesCopy) {
			c.define(strings.Replace(c.everything(), "^/trunk/lib/shared file", "", 1))
		}, tree},
		"an external defined": {func(c *sitesCopy) { c.define(c.everything() + c.inner.trunk() + " more") }, tree},
		"another revision": {func(c *sitesCopy) {
			c.pinned.put("p", "new\n")
			c.define(strings.Replace(c.everything(), "-r2", "-r3", 1))
		}, tree},
		"another place": {func(c *sitesCopy) {
			c.define(strings.Replace(c.everything(), c.vendor.trunk(), c.inner.trunk(), 1))
		}, tree},
		"and a strange name": {nil, func(c *sitesCopy) { tree(c); testbed.WriteTestFile(c.t, c.path("be\al"), "x") }},
	}, 4, 2) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newSitesCopy(t)
			if test.upstream == nil {
				test.upstream = (*sitesCopy).moveOn
			}
			test.upstream(c)
			test.update(c)
			up := c.allDown()
			c.fails(c.svnRepo.dir)
			c.isMixed()
			up()
			c.update()
		})
	}
}

// What changes nothing here is no reason to call what is here a mixture.
func TestSVNNumberAloneMakesNoMixture(t *testing.T) {
	t.Parallel()
	c := newSitesCopy(t)
	c.mucc("mkdir", "elsewhere")
	c.inside("update", "-q", "--ignore-externals")
	c.vendor.mucc("mkdir", "elsewhere")
	c.inside("update", "-q", "ext")
	defer c.allDown()()
	if _, err := c.source().Current(t.Context()); err != nil {
		t.Errorf("Current: %v", err)
	}
}

// Of a checkout that an administrator has made, or that an earlier version has updated, it is not known.
func TestSVNExternalsOfAnUnknownUpdateAreNotPublished(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for name, harm := range runtest.PickRows(map[string]func(c *sitesCopy) error{
		"no record":      func(c *sitesCopy) error { return os.Remove(c.path(".svn/" + svnRecordName)) },
		"damaged record": func(c *sitesCopy) error { return os.WriteFile(c.path(".svn/"+svnRecordName), []byte("x"), 0o644) },
		"no file":        func(c *sitesCopy) error { return os.Chmod(c.path(".svn/"+svnRecordName), 0) },
	}, 3, 1) {
		if name == "no file" && os.Geteuid() == 0 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newSitesCopy(t)
			if err := harm(c); err != nil {
				t.Fatal(err)
			}
			c.isMixed()
			if out := c.update(); out.Changed != 0 {
				t.Errorf("the outcome is %+v", out)
			}
			c.exports()
		})
	}
}

// Pinned externals are what the tree's revision says.
func TestSVNPinnedExternalsNeedNoRecord(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := newSitesCopy(t)
	c.define(fmt.Sprintf("-r2 %s fixed\n%s@3 ext", c.pinned.trunk(), c.vendor.trunk()))
	c.vendor.mucc("propdel", "svn:externals", "trunk")
	c.update()
	if err := os.RemoveAll(c.path(".svn/" + svnRecordName)); err != nil {
		t.Fatal(err)
	}
	c.exports()
}

func TestSVNIdleUpdateWithExternalsChangesNothing(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := newSitesCopy(t)
	c.update()
	c.mucc("mkdir", "elsewhere")
	c.o.Step = func(label string) error { return fmt.Errorf("%q is not needed", label) }
	if out := c.update(); out.Changed != 0 || len(out.Warnings) > 0 {
		t.Errorf("the outcome is %+v", out)
	}
}

// TestSVNKilledInAnExternal kills the client when it has brought the tree here, and is at the external.
func TestSVNKilledInAnExternal(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := sourcetest.NewConformance(t, newJoinedRig(t))
	c.Start(sourcetest.FirstFiles...)
	had := c.Upstream()
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"), testbed.Write("source/etc/large", sourcetest.Noise(400_000, 7)))
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	c.Valve().After(100_000, kill)
	if _, err := c.Source(sourcetest.RigOptions{}).Update(ctx); err == nil {
		t.Fatal("Update succeeded")
	}
	if data, err := os.ReadFile(c.Path("defaults.yml")); string(data) != "a: 2\n" {
		t.Fatalf("it was killed too early: %q, %v", data, err)
	}
	c.Valve().Shut()
	s := c.Source(sourcetest.RigOptions{})
	for range 2 {
		if r, err := s.Current(t.Context()); !errors.As(err, new(*source.MixedError)) {
			t.Errorf("Current is %v, %v", r, err)
		}
		if _, err := s.Update(t.Context()); err == nil {
			t.Error("Update succeeded")
		}
	}
	c.Valve().Open()
	c.IsWhole(had, c.Upstream())
	c.Update()
}

func TestSVNBaseWithExternalsIsNoMixture(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := newBaseCopy(t)
	vendor := newSVNRepo(t)
	vendor.put("v", "old\n")
	c.propset("", "svn:externals", vendor.trunk()+" ext")
	c.update()
	vendor.put("v", "new\n")
	c.Commit(testbed.Write("defaults.yml", "a: new\n"))
	c.inside("update", "-q", "--ignore-externals")
	up := down(t, vendor)
	if r, err := c.source().Current(t.Context()); !errors.As(err, new(*source.MixedError)) {
		t.Errorf("Current is %v, %v", r, err)
	}
	c.fails(`"ext"`)
	up()
	c.update()
	c.exports()
	down(t, vendor)
	c.Commit(testbed.Write("defaults.yml", "a: newer\n"))
	c.fails(`"ext"`)
	if _, err := c.source().Current(t.Context()); err != nil {
		t.Errorf("Current: %v", err)
	}
}

// What is checked out anew is exchanged as a whole, so it stays if anything is mounted in it.
func TestSVNWorkingCopyWithAMountInItIsNotExchanged(t *testing.T) {
	t.Parallel()
	c := clonedSVN(t)
	testbed.Must(t, svnDamages["no database"](c))
	mounttest.Directory(t, c.path("extra/mounted"))
	before := testbed.ListDir(t, c.Dir())
	_, err := c.source().Update(t.Context())
	sourcetest.IsMounted(t, err, c.path("extra/mounted"))
	testbed.ListDir(t, c.Dir()).Same(t, "the working copy", before)
}
