package sourcetest

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"
)

// testForeignMounts mounts things beside what is upstream's, and in directories that are not. They stay, and so does what
// leads there; all else goes on, and nothing of it is published.
func testForeignMounts(c *Conformance) {
	c.Start(FirstFiles...)
	points := []string{"extra/deep/directory", "nested/directory", "source/usr/directory", "source/usr/file"}
	testbed.WriteTestFile(c.T, c.Path("extra/beside"), "is not upstream's")
	testbed.WriteTestFile(c.T, c.Path("nested/.git/HEAD"), "ref: refs/heads/main\n")
	for _, p := range points {
		if strings.HasSuffix(p, "file") {
			mounttest.File(c.T, c.Path(p))
		} else {
			mounttest.Directory(c.T, c.Path(p))
		}
	}
	c.followsAround(points)
	c.Commit(testbed.Write("source/etc/motd", "hellO\n"), testbed.Write("new/x", "x\n"))
	c.followsAround(points)
	c.Commit(testbed.Remove("source/usr/x")) // and so its directory
	c.followsAround(points)
	c.followsAround(points)
	for has := range c.setAside() {
		if has == testbed.Describe(source.Regular, "gold") {
			c.T.Error("what was mounted was set aside")
		}
	}

	for _, p := range points {
		if err := unix.Unmount(c.Path(p), unix.MNT_DETACH); err != nil {
			c.T.Fatal(err)
		}
	}
	c.Update()
}

// followsAround updates the working copy, and proves that all is upstream's but what stands where something is mounted.
func (c *Conformance) followsAround(points []string) {
	c.T.Helper()
	s := c.Source(RigOptions{})
	out, err := s.Update(c.T.Context())
	if err != nil {
		c.T.Fatalf("Update: %v", err)
	}
	for _, p := range points {
		if !slices.ContainsFunc(out.Warnings, func(w string) bool { return strings.Contains(w, disk.QuotePath(p)) }) {
			c.T.Errorf("nothing says that %s stays: %q", p, out.Warnings)
		}
	}
	upstream := c.Upstream()
	got := ListWorkingCopy(c.T, c.Dir())
	for _, p := range points {
		if got[p] == "" {
			c.T.Errorf("%s is gone", p)
		}
	}
	maps.DeleteFunc(got, func(path, _ string) bool {
		stays := slices.ContainsFunc(points, func(p string) bool { return disk.IsAtOrBelow(path, p) || disk.IsAtOrBelow(p, path) })
		return stays && upstream[path] == "" || path == "extra/beside"
	})
	got.Same(c.T, "the working copy", upstream)
	current, err := s.Current(c.T.Context())
	if err != nil || current.ID != out.Revision.ID {
		c.T.Fatalf("Current is %v, %v, the outcome's is %v", current, err, out.Revision)
	}
	PublishedBy(c.T, s, current).Same(c.T, "what is published", upstream)
}

// testMountsOnUpstreams mounts things where upstream has something. The working copy cannot be exact, so the update fails
// and says where; what is mounted stays as it is, whatever upstream does there.
func testMountsOnUpstreams(c *Conformance) {
	c.Start(FirstFiles...)
	for at, mount := range map[string]func(){
		"source/etc":      func() { mounttest.Directory(c.T, c.Path("source/etc")) },
		"source/etc/motd": func() { mounttest.File(c.T, c.Path("source/etc/motd")) },
	} {
		mount()
		before := testbed.ListDir(c.T, filepath.Dir(c.Path(at)))
		for _, edits := range [][]testbed.Edit{
			{testbed.Write("source/usr/x", at)},
			{testbed.Write("source/etc/motd", at), testbed.Write("defaults.yml", at)},
			{testbed.Remove("source/usr/x"), testbed.Write("source/usr/y", "y\n")},
		} {
			c.Commit(edits...)
			_, err := c.Source(RigOptions{}).Update(c.T.Context())
			if mounted, ok := errors.AsType[*disk.MountError](err); !ok || !slices.Equal(mounted.Points, []string{c.Path(at)}) {
				c.T.Errorf("%s: Update: %v", at, err)
			}
			testbed.ListDir(c.T, filepath.Dir(c.Path(at))).Same(c.T, "where something is mounted", before)
			c.isWholeOrMixed()
		}
		if err := unix.Unmount(c.Path(at), unix.MNT_DETACH); err != nil {
			c.T.Fatal(err)
		}
		c.Update()
		c.Commit(testbed.Write("source/usr/x", "x\n"), testbed.Remove("source/usr/y"))
		c.Update()
	}
}

// isWholeOrMixed fails the test unless there is a whole revision to publish, or the source says that there is none.
func (c *Conformance) isWholeOrMixed() {
	c.T.Helper()
	s := c.Source(RigOptions{})
	current, err := s.Current(c.T.Context())
	if exporter, ok := s.(source.Exporter); ok && err == nil {
		_, err = exporter.Export(c.T.Context(), current, c.T.TempDir(), source.ExportOptions{})
	}
	if _, mixed := errors.AsType[*source.MixedError](err); err != nil && !mixed {
		c.T.Errorf("there is no saying whether it is whole: %v", err)
	}
}

func testMountInLeftovers(c *Conformance) {
	c.Start(FirstFiles...)
	left := filepath.Join(filepath.Dir(c.Dir()), workcopy.ClonePrefix(c.Dir())+"1")
	mounttest.Directory(c.T, filepath.Join(left, "tree/mounted"))
	for range 2 {
		if out := c.Update(); len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], left) {
			c.T.Errorf("the warnings are %q", out.Warnings)
		}
	}
}

// IsMounted fails the test unless an error says that something stays for what is mounted at a path.
func IsMounted(t *testing.T, err error, at string) {
	t.Helper()
	if mounted, ok := errors.AsType[*disk.MountError](err); !ok || !slices.Equal(mounted.Points, []string{at}) {
		t.Errorf("got %v, want that something is mounted at %s", err, at)
	}
}
