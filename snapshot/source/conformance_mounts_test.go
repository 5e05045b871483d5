package source

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/mounttest"
	"golang.org/x/sys/unix"
)

// testForeignMounts mounts things beside what is upstream's, and in directories that are not. They stay, and so does what
// leads there; all else goes on, and nothing of it is published.
func testForeignMounts(c *conformance) {
	c.start(firstFiles...)
	points := []string{"extra/deep/directory", "nested/directory", "source/usr/directory", "source/usr/file"}
	writeTestFile(c.t, c.path("extra/beside"), "is not upstream's")
	writeTestFile(c.t, c.path("nested/.git/HEAD"), "ref: refs/heads/main\n")
	for _, p := range points {
		if strings.HasSuffix(p, "file") {
			mounttest.File(c.t, c.path(p))
		} else {
			mounttest.Directory(c.t, c.path(p))
		}
	}
	c.followsAround(points)
	c.commit(write("source/etc/motd", "hellO\n"), write("new/x", "x\n"))
	c.followsAround(points)
	c.commit(remove("source/usr/x")) // and so its directory
	c.followsAround(points)
	c.followsAround(points)
	for has := range c.setAside() {
		if has == describe(Regular, "gold") {
			c.t.Error("what was mounted was set aside")
		}
	}

	for _, p := range points {
		if err := unix.Unmount(c.path(p), unix.MNT_DETACH); err != nil {
			c.t.Fatal(err)
		}
	}
	c.update()
}

// followsAround updates the working copy, and proves that all is upstream's but what stands where something is mounted.
func (c *conformance) followsAround(points []string) {
	c.t.Helper()
	s := c.source(rigOptions{})
	out, err := s.Update(c.t.Context())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	for _, p := range points {
		if !slices.ContainsFunc(out.Warnings, func(w string) bool { return strings.Contains(w, quotePath(p)) }) {
			c.t.Errorf("nothing says that %s stays: %q", p, out.Warnings)
		}
	}
	upstream := c.upstream()
	got := listWorkingCopy(c.t, c.dir())
	for _, p := range points {
		if got[p] == "" {
			c.t.Errorf("%s is gone", p)
		}
	}
	maps.DeleteFunc(got, func(path, _ string) bool {
		stays := slices.ContainsFunc(points, func(p string) bool { return isAtOrBelow(path, p) || isAtOrBelow(p, path) })
		return stays && upstream[path] == "" || path == "extra/beside"
	})
	got.same(c.t, "the working copy", upstream)
	current, err := s.Current(c.t.Context())
	if err != nil || current.ID != out.Revision.ID {
		c.t.Fatalf("Current is %v, %v, the outcome's is %v", current, err, out.Revision)
	}
	publishedBy(c.t, s, current).same(c.t, "what is published", upstream)
}

// testMountsOnUpstreams mounts things where upstream has something. The working copy cannot be exact, so the update fails
// and says where; what is mounted stays as it is, whatever upstream does there.
func testMountsOnUpstreams(c *conformance) {
	c.start(firstFiles...)
	for at, mount := range map[string]func(){
		"source/etc":      func() { mounttest.Directory(c.t, c.path("source/etc")) },
		"source/etc/motd": func() { mounttest.File(c.t, c.path("source/etc/motd")) },
	} {
		mount()
		before := listDir(c.t, filepath.Dir(c.path(at)))
		for _, edits := range [][]edit{
			{write("source/usr/x", at)},
			{write("source/etc/motd", at), write("defaults.yml", at)},
			{remove("source/usr/x"), write("source/usr/y", "y\n")},
		} {
			c.commit(edits...)
			_, err := c.source(rigOptions{}).Update(c.t.Context())
			if mounted, ok := errors.AsType[*MountError](err); !ok || !slices.Equal(mounted.Points, []string{c.path(at)}) {
				c.t.Errorf("%s: Update: %v", at, err)
			}
			listDir(c.t, filepath.Dir(c.path(at))).same(c.t, "where something is mounted", before)
			c.isWholeOrMixed()
		}
		if err := unix.Unmount(c.path(at), unix.MNT_DETACH); err != nil {
			c.t.Fatal(err)
		}
		c.update()
		c.commit(write("source/usr/x", "x\n"), remove("source/usr/y"))
		c.update()
	}
}

// isWholeOrMixed fails the test unless there is a whole revision to publish, or the source says that there is none.
func (c *conformance) isWholeOrMixed() {
	c.t.Helper()
	s := c.source(rigOptions{})
	current, err := s.Current(c.t.Context())
	if exporter, ok := s.(Exporter); ok && err == nil {
		_, err = exporter.Export(c.t.Context(), current, c.t.TempDir(), ExportOptions{})
	}
	if _, mixed := errors.AsType[*MixedError](err); err != nil && !mixed {
		c.t.Errorf("there is no saying whether it is whole: %v", err)
	}
}

func testMountInLeftovers(c *conformance) {
	c.start(firstFiles...)
	left := filepath.Join(filepath.Dir(c.dir()), clonePrefix(c.dir())+"1")
	mounttest.Directory(c.t, filepath.Join(left, "tree/mounted"))
	for range 2 {
		if out := c.update(); len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], left) {
			c.t.Errorf("the warnings are %q", out.Warnings)
		}
	}
}
