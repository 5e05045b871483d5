package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"
)

// inDir calls do with a directory's descriptor.
func inDir(t *testing.T, dir string, do func(fd int) error) error {
	t.Helper()
	fd, err := openPath(dir)
	testbed.Must(t, err)
	defer unix.Close(fd)
	return do(fd)
}

// removeBelow removes name in the directory dir.
func removeBelow(t *testing.T, dir, name string) error {
	t.Helper()
	return inDir(t, dir, func(fd int) error { return RemoveTree(fd, name) })
}

func TestRemoveTreeLeavesNothingOfItAndAllElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	testbed.Must(t, os.MkdirAll(filepath.Join(outside, "kept"), 0o755))
	testbed.Must(t, os.WriteFile(filepath.Join(outside, "file"), nil, 0o644))
	tree := filepath.Join(dir, "tree")
	for i := range 40 { // wider than there are removers, and deeper
		d := filepath.Join(tree, fmt.Sprint(i%8), strings.Repeat("deep/", i))
		testbed.Must(t, os.MkdirAll(d, 0o755))
		testbed.Must(t, os.WriteFile(filepath.Join(d, "new\nline \xff"), []byte("x"), 0o444))
		testbed.Must(t, os.Symlink(outside, filepath.Join(d, "link to a directory")))
		testbed.Must(t, os.Symlink("nowhere", filepath.Join(d, "dangling")))
		testbed.Must(t, os.Link(filepath.Join(outside, "file"), filepath.Join(d, "hard link")))
	}
	for i := range 3000 { // more names than one call of the kernel lists
		testbed.Must(t, os.WriteFile(filepath.Join(tree, fmt.Sprintf("file %d", i)), nil, 0o644))
	}
	testbed.Must(t, syscall.Mkfifo(filepath.Join(tree, "fifo"), 0o644))

	testbed.Must(t, removeBelow(t, dir, "tree"))
	testbed.Must(t, removeBelow(t, dir, "tree")) // what is gone is gone
	var left []string
	testbed.Must(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		left = append(left, strings.TrimPrefix(path, dir))
		return err
	}))
	if got := strings.Join(left, " "); got != " /outside /outside/file /outside/kept" {
		t.Errorf("left: %s", got)
	}
}

func TestRemoveTreeOfALinkOrAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	testbed.Must(t, os.MkdirAll(filepath.Join(dir, "outside/kept"), 0o755))
	testbed.Must(t, os.Symlink("outside", filepath.Join(dir, "link")))
	testbed.Must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	for _, name := range []string{"link", "file"} {
		testbed.Must(t, removeBelow(t, dir, name))
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "outside/kept")); err != nil {
		t.Error(err)
	}
}
