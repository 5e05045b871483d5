// Package mounttest mounts what belongs to somebody else in the trees of tests, and fails those in which it comes to harm.
package mounttest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// kinds are the ways in which a file that nobody may lose can come into a tree. Each mounts at a path and returns where
// the file is.
var kinds = map[string]func(t testing.TB, at string) (gold string){
	"bind mount of a directory": func(t testing.TB, at string) string {
		from := t.TempDir()
		must(t, os.MkdirAll(at, 0o755))
		Until(t, from, at, "", unix.MS_BIND)
		return filepath.Join(from, "gold")
	},
	"bind mount of a file": func(t testing.TB, at string) string {
		gold := filepath.Join(t.TempDir(), "gold")
		must(t, os.MkdirAll(filepath.Dir(at), 0o755))
		for _, file := range []string{gold, at} {
			f, err := os.OpenFile(file, os.O_CREATE, 0o644)
			must(t, errors.Join(err, f.Close()))
		}
		Until(t, gold, at, "", unix.MS_BIND)
		return gold
	},
	"tmpfs": func(t testing.TB, at string) string {
		must(t, os.MkdirAll(at, 0o755))
		Until(t, "none", at, "tmpfs", 0)
		return filepath.Join(at, "gold")
	},
}

// Each runs a test for each kind of mount, beside each other. mount mounts at a path, on a directory or a file that is
// made if it is not there. The test fails if what was mounted is not there in the end.
func Each(t *testing.T, test func(t *testing.T, mount func(at string))) {
	for name := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(at string) {
				t.Helper()
				watch(t, kinds[name](t, at))
			})
		})
	}
}

// Directory mounts a directory of somebody else's on another one, as mount does for Each.
func Directory(t testing.TB, at string) {
	t.Helper()
	watch(t, kinds["bind mount of a directory"](t, at))
}

// File mounts a file of somebody else's on another one, as mount does for Each.
func File(t testing.TB, at string) {
	t.Helper()
	watch(t, kinds["bind mount of a file"](t, at))
}

// watch fails the test unless the file is there in the end, by whatever path.
func watch(t testing.TB, path string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte("gold"), 0o644))
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { // before it is unmounted
		defer f.Close()
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil || st.Nlink != 1 || st.Size != int64(len("gold")) {
			t.Errorf("what was mounted is lost: %s has %d names and %d bytes, %v", path, st.Nlink, st.Size, err)
		}
	})
}

// Until mounts something, as mount(2) does, until the test ends, wherever it has been moved by then. CI must be able to do
// that.
func Until(t testing.TB, from, at, kind string, flags uintptr) {
	t.Helper()
	err := unix.Mount(from, at, kind, flags, "")
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("cannot mount at %s: %v", at, err)
	}
	must(t, err)
	fd, err := unix.Open(at, unix.O_PATH|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() {
		_ = unix.Unmount(fmt.Sprintf("/proc/self/fd/%d", fd), unix.MNT_DETACH) // the test may have done so
		unix.Close(fd)
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
