package checkout

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
)

// bigTree is a tree of 10,850 files in 3,986 directories.
func bigTree() map[string]gittest.FakeFile {
	const dirs, files = 3986, 10_850
	paths := make([]string, dirs)
	for i := range paths {
		paths[i] = fmt.Sprintf("d%d", i)
		if i >= 40 {
			paths[i] = paths[i/5] + fmt.Sprintf("/d%d", i)
		}
	}
	tree := map[string]gittest.FakeFile{}
	for i := range files {
		tree[fmt.Sprintf("%s/file%d.conf", paths[i%dirs], i)] = gittest.File(fmt.Sprintf("line %d\n", i))
	}
	return tree
}

func BenchmarkSync(b *testing.B) {
	r := newWorkRig(b, b.TempDir())
	tree := bigTree()
	first := r.CommitFiles(tree)
	tree["d1/file1.conf"] = gittest.File("changed\n")
	second := r.CommitFiles(tree)
	b.Run("checkout", func(b *testing.B) {
		for b.Loop() {
			fresh := newWorkRig(b, b.TempDir())
			fresh.Write("objects/info/alternates", r.GitDir+"/objects\n")
			fresh.sync(first)
		}
	})
	r.sync(first)
	r.ageFiles()
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			r.sync(first)
		}
	})
	b.Run("one file changed", func(b *testing.B) {
		for b.Loop() {
			r.sync(second)
			first, second = second, first
		}
	})
}

func BenchmarkGitTree(b *testing.B) {
	r := gittest.NewObjectRig(b, b.TempDir())
	commit := r.CommitFiles(bigTree())
	var tree *Tree
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			var err error
			if tree, err = NewTree(context.Background(), r.GitDir, source.Revision{ID: commit.String()}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			reader, err := tree.NewReader()
			if err != nil {
				b.Fatal(err)
			}
			for _, e := range tree.Entries() {
				if err := reader.WriteTo(io.Discard, e); err != nil {
					b.Fatal(err)
				}
			}
			_ = reader.Close()
		}
	})
}
