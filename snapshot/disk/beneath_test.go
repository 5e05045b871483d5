package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// beneathTree makes directories, "file" and links, and returns the top.
func beneathTree(t *testing.T) string {
	t.Helper()
	top := t.TempDir()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(top, "base", "a", "b"), 0o755))
	must(os.MkdirAll(filepath.Join(top, "outside", "b"), 0o755))
	must(os.WriteFile(filepath.Join(top, "base", "file"), nil, 0o644))
	must(os.Symlink("a", filepath.Join(top, "base", "inner")))
	must(os.Symlink("../outside", filepath.Join(top, "base", "outer")))
	must(os.Symlink("base", filepath.Join(top, "link")))
	return top
}

func TestOnTheWayBeneathADirectoryIsNoLink(t *testing.T) {
	t.Parallel()
	top := beneathTree(t)
	for _, c := range []struct {
		dir, rel string
		want     error // nil if it opens
	}{
		{"base", ".", nil},
		{"base", "a", nil},
		{"base", "a/b", nil},
		{"link", "a/b", nil}, // the link above is the administrator's
		{"base", "inner", ErrReplaced},
		{"base", "inner/b", ErrReplaced},
		{"base", "outer", ErrReplaced},
		{"base", "outer/b", ErrReplaced},
		{"base", "file", ErrReplaced},
		{"base", "a/none", fs.ErrNotExist},
		{"none", ".", fs.ErrNotExist},
	} {
		root, err := OpenBeneath(filepath.Join(top, c.dir), c.rel)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s below %s: %v, want %v", c.rel, c.dir, err, c.want)
		}
		if err == nil {
			root.Close()
		}
	}
}

func TestWhatIsOpenBeneathStaysWhereItIs(t *testing.T) {
	t.Parallel()
	top := beneathTree(t)
	root, err := OpenBeneath(filepath.Join(top, "base"), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	err = errors.Join(os.Rename(filepath.Join(top, "base", "a"), filepath.Join(top, "base", "away")),
		os.Symlink("../outside", filepath.Join(top, "base", "a")), root.RemoveAll("b"))
	if err != nil {
		t.Fatal(err)
	}
	if !Exists(filepath.Join(top, "outside", "b")) || Exists(filepath.Join(top, "base", "away", "b")) {
		t.Error("the link was followed")
	}
}

func TestRemovingBeneathFollowsNoLink(t *testing.T) {
	t.Parallel()
	top := beneathTree(t)
	for _, rel := range []string{"outer/b", "inner/b"} {
		if err := RemoveBeneath(filepath.Join(top, "base"), rel); !errors.Is(err, ErrReplaced) {
			t.Errorf("%s: %v", rel, err)
		}
	}
	if err := errors.Join(RemoveBeneath(filepath.Join(top, "base"), "a/b"), RemoveBeneath(filepath.Join(top, "base"), "outer")); err != nil {
		t.Error(err)
	}
	if !Exists(filepath.Join(top, "outside", "b")) || Exists(filepath.Join(top, "base", "a", "b")) {
		t.Error("something else was removed")
	}
}
