package inventory

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWatchSeesEveryKindOfChange(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(dir string) error
		same   bool
	}{
		"nothing": {func(string) error { return nil }, true},
		"another file changes": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "real/other"), []byte("x"), 0o644)
		}, true},
		"written in place": {func(dir string) error { return os.WriteFile(filepath.Join(dir, "real/file"), []byte("two"), 0o644) }, false},
		"written in place, and the old time set": {func(dir string) error {
			path := filepath.Join(dir, "real/file")
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path, []byte("two"), 0o644); err != nil {
				return err
			}
			return os.Chtimes(path, info.ModTime(), info.ModTime())
		}, false},
		"replaced by another with its time": {func(dir string) error {
			path := filepath.Join(dir, "real/file")
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			if err := os.WriteFile(path+"2", []byte("two"), 0o644); err != nil {
				return err
			}
			if err := os.Chtimes(path+"2", info.ModTime(), info.ModTime()); err != nil {
				return err
			}
			return os.Rename(path+"2", path)
		}, false},
		"removed":                           {func(dir string) error { return os.Remove(filepath.Join(dir, "real/file")) }, false},
		"one appears":                       {func(dir string) error { return os.WriteFile(filepath.Join(dir, "real/absent"), nil, 0o644) }, false},
		"a link appears that leads nowhere": {func(dir string) error { return os.Symlink("nowhere", filepath.Join(dir, "real/absent")) }, false},
		"its directory is replaced": {func(dir string) error {
			if err := os.Rename(filepath.Join(dir, "real"), filepath.Join(dir, "old")); err != nil {
				return err
			}
			if err := os.Mkdir(filepath.Join(dir, "real"), 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "real/file"), []byte("one"), 0o644)
		}, false},
		"the link to its directory is": {func(dir string) error {
			if err := os.CopyFS(filepath.Join(dir, "real2"), os.DirFS(filepath.Join(dir, "real"))); err != nil {
				return err
			}
			if err := os.Remove(filepath.Join(dir, "link")); err != nil {
				return err
			}
			return os.Symlink("real2", filepath.Join(dir, "link"))
		}, false},
		"a directory stands in its place": {func(dir string) error {
			path := filepath.Join(dir, "real/file")
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o755)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, err := range []error{os.Mkdir(filepath.Join(dir, "real"), 0o755), os.Symlink("real", filepath.Join(dir, "link")),
				os.WriteFile(filepath.Join(dir, "real/file"), []byte("one"), 0o644)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			passTick(t, filepath.Join(dir, "real/file"))
			w := WatchFiles(time.Now().Add(time.Hour), filepath.Join(dir, "link/file"), filepath.Join(dir, "link/absent"))
			if err := c.change(dir); err != nil {
				t.Fatal(err)
			}
			if w.Changed() == c.same {
				t.Errorf("changed: %v", w.Changed())
			}
		})
	}
}

// passTick writes a file until the file system's clock has gone on since another one was changed.
func passTick(t *testing.T, path string) {
	before := mustIdentify(t, path)
	probe := filepath.Join(t.TempDir(), "probe")
	for {
		if err := os.WriteFile(probe, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if mustIdentify(t, probe).changed > before.changed {
			return
		}
	}
}

func TestAFileThatHasJustChangedMayChangeAgainUnseen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("one"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if w := WatchFiles(info.ModTime(), path); !w.Changed() {
		t.Error("it was changed in the present tick of the clock, and is taken for certain")
	}
	if w := WatchFiles(info.ModTime().Add(time.Minute), path); w.Changed() {
		t.Error("it is never certain")
	}
	if w := WatchFiles(info.ModTime(), path+"/below"); !w.Changed() {
		t.Error("what cannot be seen is taken for certain")
	}
}
