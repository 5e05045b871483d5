package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// removeBelow removes name in the directory dir.
func removeBelow(t *testing.T, dir, name string) error {
	t.Helper()
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	return removeTree(int(d.Fd()), name)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestRemoveTreeLeavesNothingOfItAndAllElse(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	must(t, os.MkdirAll(filepath.Join(outside, "kept"), 0o755))
	must(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o644))
	tree := filepath.Join(dir, "tree")
	for i := range 40 { // wider than there are removers, and deeper
		d := filepath.Join(tree, fmt.Sprint(i%8), strings.Repeat("deep/", i))
		must(t, os.MkdirAll(d, 0o755))
		must(t, os.WriteFile(filepath.Join(d, "new\nline \xff"), []byte("x"), 0o444))
		must(t, os.Symlink(outside, filepath.Join(d, "link to a directory")))
		must(t, os.Symlink("nowhere", filepath.Join(d, "dangling")))
		must(t, os.Link(filepath.Join(outside, "file"), filepath.Join(d, "hard link")))
	}
	for i := range 3000 { // more names than one call of the kernel lists
		must(t, os.WriteFile(filepath.Join(tree, fmt.Sprintf("file %d", i)), nil, 0o644))
	}
	must(t, syscall.Mkfifo(filepath.Join(tree, "fifo"), 0o644))

	must(t, removeBelow(t, dir, "tree"))
	must(t, removeBelow(t, dir, "tree")) // what is gone is gone
	var left []string
	must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, dir))
		return err
	}))
	if got := strings.Join(left, " "); got != " /outside /outside/file /outside/kept" {
		t.Errorf("left: %s", got)
	}
}

func TestRemoveTreeOfALinkOrAFile(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(dir, "outside/kept"), 0o755))
	must(t, os.Symlink("outside", filepath.Join(dir, "link")))
	must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	for _, name := range []string{"link", "file"} {
		must(t, removeBelow(t, dir, name))
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "outside/kept")); err != nil {
		t.Error(err)
	}
}

// A mount point cannot be removed.
func TestRemoveTreeGoesOnAfterAFailureAndNamesIt(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	mounted := filepath.Join(dir, "tree/sub/mounted")
	must(t, os.MkdirAll(mounted, 0o755))
	for i := range 20 {
		must(t, os.MkdirAll(filepath.Join(dir, "tree", fmt.Sprint(i), "sub"), 0o755))
	}
	must(t, unix.Mount("none", mounted, "tmpfs", 0, ""))
	defer unix.Unmount(mounted, unix.MNT_DETACH)
	err := removeBelow(t, dir, "tree")
	var failed *fs.PathError
	if !errors.As(err, &failed) || failed.Path != "tree/sub/mounted" || !errors.Is(err, unix.EBUSY) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(filepath.Join(dir, "tree"))
	if err != nil || len(left) != 1 || left[0].Name() != "sub" {
		t.Errorf("left: %v, %v", left, err)
	}
}
