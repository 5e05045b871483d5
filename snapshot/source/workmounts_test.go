package source

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/etch/etchtag/snapshot/mounttest"
	"golang.org/x/sys/unix"
)

// isMounted fails the test unless an error says that something stays for what is mounted at a path.
func isMounted(t *testing.T, err error, at string) {
	t.Helper()
	if mounted, ok := errors.AsType[*MountError](err); !ok || !slices.Equal(mounted.Points, []string{at}) {
		t.Errorf("got %v, want that something is mounted at %s", err, at)
	}
}

func TestWorktreeGoesAroundWhatIsMounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at      string
		before, after map[string]fakeFile // what upstream has before and after something is mounted
		refused       bool
		kept          []string // what stays besides what is mounted
	}{
		{"in an untracked directory", "extra/deep/m", nil, nil, false, []string{"extra", "extra/deep"}},
		{"on a directory that goes", "d", map[string]fakeFile{"d/a": file("1")}, nil, false, nil},
		{"in a directory that goes", "d/e/m", map[string]fakeFile{"d/a": file("1"), "d/e/b": file("2")}, nil, false, []string{"d", "d/e"}},
		{"on a file that goes", "d/a", map[string]fakeFile{"d/a": file("1"), "d/b": file("2")}, nil, false, []string{"d"}},
		{"for a submodule", "sub", map[string]fakeFile{"sub": submodule("1")}, map[string]fakeFile{"sub": submodule("2")}, false, nil},
		{"in a submodule", "sub/m", map[string]fakeFile{"sub": submodule("1")}, map[string]fakeFile{"sub": submodule("1")}, false, nil},
		{"on a directory", "d", map[string]fakeFile{"d/a": file("1")}, map[string]fakeFile{"d/a": file("1")}, true, nil},
		{"on a file", "d/a", map[string]fakeFile{"d/a": file("1")}, map[string]fakeFile{"d/a": file("2")}, true, nil},
		{"where a directory is to be", "d", nil, map[string]fakeFile{"d/a": file("1")}, true, nil},
		{"where a file is to be", "d/e/m", nil, map[string]fakeFile{"d": file("1")}, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newWorkRig(t, t.TempDir())
			tree := func(files map[string]fakeFile, content string) map[string]fakeFile {
				all := map[string]fakeFile{"always": file(content)}
				for path, f := range files {
					all[path] = f
				}
				return all
			}
			r.sync(r.commitFiles(tree(c.before, "1")))
			if info, err := os.Lstat(r.path(c.at)); err == nil && info.Mode().IsRegular() {
				mounttest.File(t, r.path(c.at))
			} else {
				mounttest.Directory(t, r.path(c.at))
			}
			after := r.commitFiles(tree(c.after, "2"))
			for range 2 {
				result, err := r.w.sync(t.Context(), after)
				if c.refused {
					isMounted(t, err, r.path(c.at))
					r.contains(t, "always", "1")
					continue
				}
				if err != nil || len(result.Warnings) == 0 || !strings.Contains(result.Warnings[0], quotePath(c.at)) {
					t.Errorf("%+v, %v", result, err)
				}
				r.contains(t, "always", "2")
			}
			for _, kept := range c.kept {
				if !exists(r.path(kept)) {
					t.Errorf("%s is gone", kept)
				}
			}
			must(t, unix.Unmount(r.path(c.at), unix.MNT_DETACH))
			if result := r.sync(after); len(result.Warnings) > 1 {
				t.Errorf("%+v", result)
			}
			r.sync(after)
			r.holds(t, tree(c.after, "2"))
		})
	}
}

// contains fails the test unless a file of the working copy has these contents.
func (r *workRig) contains(t *testing.T, path, content string) {
	t.Helper()
	if data, err := os.ReadFile(r.path(path)); string(data) != content {
		t.Errorf("%s is %q, %v", path, data, err)
	}
}

// Something can be mounted after the working copy was looked at, too.
func TestWorktreeEntersNothingThatIsMountedMeanwhile(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.commitFiles(map[string]fakeFile{"d/gold": file("1"), "d/e/gold": file("1"), "x": file("1")}))
	mount := sync.OnceFunc(func() { mounttest.Directory(t, r.path("d")) })
	r.w.step = func(string) error { mount(); return nil }
	after := r.commitFiles(map[string]fakeFile{"x": file("2")})
	if _, err := r.w.sync(t.Context(), after); !errors.Is(err, errMountPoint) {
		t.Errorf("got %v", err)
	}
	must(t, unix.Unmount(r.path("d"), unix.MNT_DETACH))
	r.sync(after)
	r.holds(t, map[string]fakeFile{"x": file("2")})
}

// The repository may be a mount of its own. It is used, and stays.
func TestARepositoryWithAMountInItIsNotExchanged(t *testing.T) {
	t.Parallel()
	for _, at := range []string{".git", ".git/objects", ".git/hooks/mounted"} {
		t.Run(at, func(t *testing.T) {
			r := packedUpstream(t)
			c := cloned(t, r.dir)
			point := filepath.Join(c.dir, at)
			must(t, os.MkdirAll(point, 0o755))
			mounttest.Until(t, point, point, "", unix.MS_BIND)
			r.grow(2)
			if out := c.update(); len(out.Warnings) > 0 {
				t.Errorf("%+v", out)
			}
			c.is(r, "main")

			c.overwrite(".git/refs/heads/main")
			r.grow(1)
			before := listDir(t, c.dir)
			isMounted(t, c.updateFails(), point)
			listDir(t, c.dir).same(t, "the working copy", before)
			must(t, unix.Unmount(point, unix.MNT_DETACH))
			c.update()
			c.is(r, "main")
		})
	}
}

// What is checked out anew is exchanged as a whole, so it stays if anything is mounted in it.
func TestAWorkingCopyWithAMountInItIsNotExchanged(t *testing.T) {
	t.Parallel()
	t.Run("svn", func(t *testing.T) {
		c := clonedSVN(t)
		must(t, svnDamages["no database"](c))
		mounttest.Directory(t, c.path("extra/mounted"))
		before := listDir(t, c.dir())
		_, err := c.source().Update(t.Context())
		isMounted(t, err, c.path("extra/mounted"))
		listDir(t, c.dir()).same(t, "the working copy", before)
	})
	t.Run("cvs", func(t *testing.T) {
		c := clonedCVS(t)
		must(t, os.Remove(c.path("CVS/"+cvsRecordName)))
		mounttest.Directory(t, c.path("extra/mounted"))
		before := listDir(t, c.dir())
		_, err := c.source().Update(t.Context())
		isMounted(t, err, c.path("extra/mounted"))
		listDir(t, c.dir()).same(t, "the working copy", before)
	})
}

// The tree of another tool may be made of mounts: it is only read.
func TestWhatIsMountedInAPlainTreeIsPublished(t *testing.T) {
	t.Parallel()
	r := newDirRig(t)
	r.commit(write("defaults.yml", "a: 1\n"))
	mounttest.Directory(t, filepath.Join(r.dir(), "big"))
	s := r.source(rigOptions{})
	out, err := s.Update(t.Context())
	must(t, err)
	publishedBy(t, s, out.Revision).same(t, "what is published",
		listing{"defaults.yml": describe(Regular, "a: 1\n"), "big": describe(Directory, ""), "big/gold": describe(Regular, "gold")})
}
