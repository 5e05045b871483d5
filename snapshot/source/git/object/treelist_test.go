package object

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"pgregory.net/rapid"
)

func TestGitTreeRefusesATreeThatExplodes(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	entries := func(h plumbing.Hash, mode filemode.FileMode) (list []object.TreeEntry) {
		for i := range 100 {
			list = append(list, object.TreeEntry{Name: fmt.Sprintf("%02d", i), Mode: mode, Hash: h})
		}
		return list
	}
	h := r.RawTree(entries(r.Blob("x"), filemode.Regular)...)
	for range 8 {
		h = r.RawTree(entries(h, filemode.Dir)...)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	o := mustOpenObjects(t, r.GitDir)
	l := &treeLister{ctx: ctx, objects: o, seen: map[string]bool{}, files: make([]TreeFile, maxFiles-150)}
	if err := l.add("", h); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("the error is %v", err)
	}
}

func TestUpdateListIsWhatTheWholeTreeHas(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	names := []string{"a", "b", "c", "a.b", "a-b"}
	rapid.Check(t, func(t *rapid.T) {
		from, to := r.Tree(gittest.DrawTree(t, "from", names)), r.Tree(gittest.DrawTree(t, "to", names))
		o, err := Open(r.GitDir)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		list := func(h plumbing.Hash) []TreeFile {
			files, err := ListTree(context.Background(), o, h)
			if err != nil {
				t.Fatal(err)
			}
			return files
		}
		got, err := UpdateList(context.Background(), o, list(from), from, to)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(list(to)) {
			t.Fatalf("%v: the list is\n%v, want\n%v", err, got, list(to))
		}
		for _, f := range got {
			found, ok, err := FindInTree(o, to, f.Path)
			if err != nil || ok == (f.Mode == source.Directory) || ok && found != f {
				t.Fatalf("%q: found %v, %v, %v, want %v", f.Path, found, ok, err, f)
			}
		}
	})
}
