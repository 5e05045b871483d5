package source

import (
	"context"
	"fmt"
	"io"
	"testing"
)

// bigTree is a tree of 10,850 files in 3,986 directories.
func bigTree() map[string]fakeFile {
	const dirs, files = 3986, 10_850
	paths := make([]string, dirs)
	for i := range paths {
		paths[i] = fmt.Sprintf("d%d", i)
		if i >= 40 {
			paths[i] = paths[i/5] + fmt.Sprintf("/d%d", i)
		}
	}
	tree := map[string]fakeFile{}
	for i := range files {
		tree[fmt.Sprintf("%s/file%d.conf", paths[i%dirs], i)] = file(fmt.Sprintf("line %d\n", i))
	}
	return tree
}

func BenchmarkSync(b *testing.B) {
	r := newWorkRig(b, b.TempDir())
	tree := bigTree()
	first := r.commitFiles(tree)
	tree["d1/file1.conf"] = file("changed\n")
	second := r.commitFiles(tree)
	b.Run("checkout", func(b *testing.B) {
		for b.Loop() {
			fresh := newWorkRig(b, b.TempDir())
			fresh.write("objects/info/alternates", r.gitDir+"/objects\n")
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
	r := newObjectRig(b, b.TempDir())
	commit := r.commitFiles(bigTree())
	var tree *gitTree
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			var err error
			if tree, err = newGitTree(context.Background(), r.gitDir, Revision{ID: commit.String()}); err != nil {
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
