package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTreesThatDifferAreNotEqual(t *testing.T) {
	for name, change := range map[string]func(dir string) error{
		"":                 func(string) error { return nil },
		"another time":     func(dir string) error { return os.Chtimes(dir+"/sub/file", hour(0), hour(0)) },
		"read-only":        func(dir string) error { return os.Chmod(dir+"/sub/file", 0o444) },
		"a repository":     func(dir string) error { return os.Mkdir(dir+"/.git", 0o755) },
		"! contents":       func(dir string) error { return os.WriteFile(dir+"/sub/file", []byte("ANOTHER\n"), 0o644) },
		"! missing":        func(dir string) error { return os.Remove(dir + "/sub/file") },
		"! extra":          func(dir string) error { return os.WriteFile(dir+"/extra", nil, 0o644) },
		"! no directory":   func(dir string) error { return os.Remove(dir + "/empty") },
		"! more empty":     func(dir string) error { return os.Mkdir(dir+"/empty/deeper", 0o755) },
		"! executable":     func(dir string) error { return os.Chmod(dir+"/sub/file", 0o755) },
		"! another target": func(dir string) error { return replaceLink(dir + "/link") },
		"! no link":        func(dir string) error { return replaceByFile(dir + "/link") },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := sampleTree(t), sampleTree(t)
			if err := change(b); err != nil {
				t.Fatal(err)
			}
			equal := name == "" || name[0] != '!'
			if err := requireEqual(a, b); (err == nil) != equal {
				t.Errorf("a, b: %v", err)
			}
			if err := requireEqual(b, a); (err == nil) != equal {
				t.Errorf("b, a: %v", err)
			}
		})
	}
	if requireEqual(t.TempDir(), t.TempDir()) == nil {
		t.Error("two trees of nothing count as equal")
	}
}

func replaceLink(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.Symlink("elsewhere", path)
}

func replaceByFile(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return os.WriteFile(path, []byte("sub/file"), 0o644)
}

func sampleTree(t *testing.T) string {
	dir := t.TempDir()
	for _, sub := range []string{"sub", "empty"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "sub", "file"), []byte("contents\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("sub/file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	return dir
}
