package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"
)

// below lists what stands in a directory, without looking into what is mounted there.
func below(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	testbed.Must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if rel := strings.TrimPrefix(path, dir); rel != "" && d.Name() != "gold" {
			found = append(found, rel[1:])
		}
		return err
	}))
	return found
}

// wideTree makes a tree that is wider than there are removers.
func wideTree(t *testing.T, dir string) {
	t.Helper()
	for i := range 20 {
		testbed.Must(t, os.MkdirAll(filepath.Join(dir, fmt.Sprint(i), "sub"), 0o755))
		testbed.Must(t, os.WriteFile(filepath.Join(dir, fmt.Sprint(i), "file"), nil, 0o644))
	}
}

func TestATreeWithAMountInItStaysWhole(t *testing.T) {
	t.Parallel()
	for _, place := range []string{".", "mounted", "7/sub/mounted"} {
		mounttest.Each(t, func(t *testing.T, mount func(string)) {
			dir := t.TempDir()
			if place != "." {
				wideTree(t, filepath.Join(dir, "tree"))
			}
			at := filepath.Join(dir, "tree", place)
			mount(at)
			wideTree(t, filepath.Join(dir, "tree2")) // of which the name begins alike
			before := below(t, filepath.Join(dir))

			for what, err := range map[string]error{
				"look":   inDir(t, dir, func(fd int) error { return Mounted(fd, "tree") }),
				"tree":   removeBelow(t, dir, "tree"),
				"path":   RemovePath(filepath.Join(dir, "tree")),
				"parent": RemovePath(dir),
			} {
				if mounted, ok := errors.AsType[*MountError](err); !ok || !slices.Equal(mounted.Points, []string{at}) {
					t.Errorf("%s: %v", what, err)
				}
			}
			if after := below(t, dir); !slices.Equal(before, after) {
				t.Errorf("there was %q, left is %q", before, after)
			}
			testbed.Must(t, removeBelow(t, dir, "tree2"))
		})
	}
}

// Between the look and the removal something can be mounted, too.
func TestWhatIsMountedMeanwhileIsNotEntered(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		dir := t.TempDir()
		wideTree(t, filepath.Join(dir, "tree"))
		mount(filepath.Join(dir, "tree/sub/mounted"))
		err := inDir(t, dir, func(fd int) error { return removeUnlooked(fd, "tree", "tree") })
		failed, ok := errors.AsType[*fs.PathError](err)
		if !ok || failed.Path != "tree/sub/mounted" || !errors.Is(err, ErrMountPoint) && !errors.Is(err, unix.EBUSY) {
			t.Errorf("error %v", err)
		}
		if left := below(t, dir); !slices.Equal(left, []string{"tree", "tree/sub", "tree/sub/mounted"}) {
			t.Errorf("left is %q", left)
		}
	})
}

func TestADirectoryIsOpenedUnlessSomethingIsMountedThere(t *testing.T) {
	t.Parallel()
	for how, open := range map[string]func(dir int, name string) (int, error){
		"with openat2": OpenUnmounted, "without": openCompared,
	} {
		t.Run(how, func(t *testing.T) {
			dir := t.TempDir()
			testbed.Must(t, os.Mkdir(filepath.Join(dir, "plain"), 0o755))
			testbed.Must(t, os.Symlink("plain", filepath.Join(dir, "link")))
			testbed.Must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
			mounttest.Directory(t, filepath.Join(dir, "bind"))
			testbed.Must(t, os.Mkdir(filepath.Join(dir, "tmpfs"), 0o755))
			mounttest.Until(t, "none", filepath.Join(dir, "tmpfs"), "tmpfs", 0)
			for name, want := range map[string]error{
				"plain": nil, "bind": ErrMountPoint, "tmpfs": ErrMountPoint, "none": fs.ErrNotExist,
				"link": unix.ENOTDIR, "file": unix.ENOTDIR,
			} {
				err := inDir(t, dir, func(fd int) error {
					opened, err := open(fd, name)
					if err == nil {
						unix.Close(opened)
					}
					return err
				})
				if !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			}
		})
	}
}

func TestTheIDOfAMountIsTheSameByBothWays(t *testing.T) {
	t.Parallel()
	testbed.Must(t, inDir(t, "/", func(fd int) error {
		id, err := mountID(fd)
		if old, oldErr := describedMountID(fd); err != nil || oldErr != nil || id != old || id == "" {
			t.Errorf("%q, %v by statx, %q, %v by /proc", id, err, old, oldErr)
		}
		return nil
	}))
}

// A directory that is seen twice cannot be removed while something is mounted on it in one of the places.
func TestAMountInAnotherViewOfTheTreeCounts(t *testing.T) {
	t.Parallel()
	dir, view := t.TempDir(), t.TempDir()
	testbed.Must(t, os.MkdirAll(filepath.Join(dir, "base/tree/mounted"), 0o755))
	mounttest.Until(t, filepath.Join(dir, "base"), view, "", unix.MS_BIND)
	testbed.Must(t, unix.Mount("", view, "", unix.MS_PRIVATE, ""))
	at := filepath.Join(view, "tree/mounted")
	mounttest.Until(t, "none", at, "tmpfs", 0)
	err := removeBelow(t, filepath.Join(dir, "base"), "tree")
	if mounted, ok := errors.AsType[*MountError](err); !ok || !slices.Equal(mounted.Points, []string{at}) {
		t.Errorf("error %v", err)
	}
}

func TestSameMount(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testbed.Must(t, os.MkdirAll(filepath.Join(dir, "a/b"), 0o755))
	mounttest.Directory(t, filepath.Join(dir, "c"))
	for path, want := range map[string]bool{"a": true, "a/b": true, "c": false} {
		if same, err := SameMount(filepath.Join(dir, path), dir); same != want || err != nil {
			t.Errorf("%s: %v, %v", path, same, err)
		}
	}
}

func TestWhatIsMountedBelowAPath(t *testing.T) {
	t.Parallel()
	table, err := parseMounts(`21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 254:0 /srv/gold /base/tags/a\040b/source rw - ext4 /dev/vda rw
23 21 0:31 / /base/tags/\134040 rw - tmpfs none rw
24 21 254:0 /base /view ro,relatime master:2 propagate_from:1 - ext4 /dev/vda rw
25 24 0:32 / /view/tags/seen rw - tmpfs none rw
26 21 0:33 / /hidden rw - tmpfs none rw
27 21 0:34 / /hidden/tags/old rw - tmpfs none rw
28 26 0:35 / /hidden/tags/new rw - tmpfs none rw
29 22 0:36 / /base/tags/a\040b/source/deep rw - tmpfs none rw
`)
	testbed.Must(t, err)
	for _, c := range []struct{ id, path, want string }{
		{"21", "/base/tags", `"\\040" "a b/source" "seen"`},
		{"21", "/base/tags/a b", `"source"`},
		{"21", "/base/tags/a", ``},
		{"22", "/base/tags/a b/source", `"deep"`},
		{"24", "/view/tags", `"\\040" "a b/source" "seen"`}, // sorted by where they are mounted,
		{"26", "/hidden/tags", `"new"`},
		{"21", "/hidden/tags", `"old"`},
		{"99", "/base/tags", ``}, // a mount that is not listed
	} {
		var got []string
		for _, p := range table.below(c.id, c.path) {
			got = append(got, p.Below)
		}
		if text := strings.Trim(fmt.Sprintf("%q", got), "[]"); text != c.want {
			t.Errorf("below %s in %s: %s, want %s", c.path, c.id, text, c.want)
		}
	}
	chroot, err := parseMounts("31 9 0:31 / /base/tags/x rw - tmpfs none rw\n") // the root's own mount is not listed
	testbed.Must(t, err)
	if got := chroot.below("9", "/base"); len(got) != 1 || got[0] != (MountPoint{"tags/x", "/base/tags/x"}) {
		t.Errorf("after a chroot: %q", got)
	}
	if _, err := parseMounts("31 9\n"); err == nil {
		t.Error("half a line was accepted")
	}
}

// FuzzMountTable holds that a path is read as the kernel meant it, whatever is in it.
func FuzzMountTable(f *testing.F) {
	for _, seed := range []string{"/", "/a b\tc\nd\\e#f", "/\\040", "/\u00a0\u0085\v\r\xff", "/\\", "/\\19", "/07\\777"} {
		f.Add(seed)
	}
	escape := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`)
	f.Fuzz(func(t *testing.T, path string) {
		line := fmt.Sprintf("7 1 0:1 %[1]s %[1]s rw - tmpfs none rw\n", escape.Replace(path))
		table, err := parseMounts(line)
		if want := (mount{"1", "0:1", path, path}); err != nil || table["7"] != want {
			t.Fatalf("%q is %q, %v", line, table["7"], err)
		}
		if table, err := parseMounts(path); err == nil { // refused, or made sense of
			table.below("1", path)
		}
	})
}
