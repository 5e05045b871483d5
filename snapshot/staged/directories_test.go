package staged

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// drawnEntries are the sorted entries of a tree with names before and behind a slash in the order of bytes.
var drawnEntries = rapid.Custom(func(t *rapid.T) []source.Entry {
	name := rapid.SampledFrom([]string{"a", "a-", "a.b", "a0", "b", "\xff", "é"})
	paths := rapid.SliceOfDistinct(rapid.Map(rapid.SliceOfN(name, 1, 5), func(names []string) string {
		return strings.Join(names, "/")
	}), rapid.ID[string]).Draw(t, "paths")
	slices.Sort(paths)
	var entries []source.Entry
	for _, p := range paths {
		below := slices.ContainsFunc(paths, func(q string) bool { return strings.HasPrefix(q, p+"/") })
		if !below { // else it is a directory
			entries = append(entries, source.Entry{Path: p, Mode: source.Regular})
		}
	}
	return entries
})

// parents are the directories of entries, found without regard to any order; "" is the root.
func parents(entries []source.Entry) map[string][]int {
	dirs := map[string][]int{"": nil}
	for i, e := range entries {
		at := strings.LastIndexByte(e.Path, '/')
		dirs[e.Path[:max(at, 0)]] = append(dirs[e.Path[:max(at, 0)]], i)
		for ; at > 0; at = strings.LastIndexByte(e.Path[:at], '/') {
			if dir := e.Path[:at]; dirs[dir] == nil {
				dirs[dir] = nil
			}
		}
	}
	return dirs
}

func TestEveryEntryStandsInItsDirectory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		entries := drawnEntries.Draw(t, "entries")
		found := map[string][]int{}
		var visit func(d *directory)
		visit = func(d *directory) {
			if _, twice := found[d.path]; twice {
				t.Fatalf("the directory %q is there twice", d.path)
			}
			found[d.path] = d.files
			for _, c := range d.children {
				if want := strings.TrimPrefix(d.path+"/"+c.name, "/"); c.path != want {
					t.Fatalf("%q in %q has the path %q", c.name, d.path, c.path)
				}
				visit(c)
			}
		}
		visit(newDirectories(entries))
		want := parents(entries)
		if diff := gocmp.Diff(want, found); diff != "" {
			t.Fatalf("directories (-want +got):\n%s", diff)
		}
		if n := countDirectories(entries); n != uint64(len(want)-1) {
			t.Fatalf("%d directories are counted where there are %d and the root", n, len(want)-1)
		}
	})
}

func TestEveryShareIsHandedOutOnceAndAfterItsParent(t *testing.T) {
	t.Parallel()
	var entries []source.Entry
	for _, dir := range []string{"", "a/", "a/b/", "a/b/c/", "d/"} {
		for i := range len(dir) * shareSize / 2 {
			entries = append(entries, source.Entry{Path: fmt.Sprintf("%sfile%d", dir, i)})
		}
	}
	slices.SortFunc(entries, func(a, b source.Entry) int { return cmp.Compare(a.Path, b.Path) })
	root := newDirectories(entries)
	queue := newShareQueue(root)
	var mu sync.Mutex
	begun := map[*directory]bool{root: true}
	last := map[*directory]int{}
	handed := map[int]int{}
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for part, ok := queue.next(); ok; part, ok = queue.next() {
				mu.Lock()
				if !begun[part.directory] {
					t.Errorf("a share of %q comes before the directory is there", part.path)
				}
				for _, i := range part.files {
					handed[i]++
				}
				var next []share
				if part.first {
					next = part.rest()
					for _, c := range part.children {
						begun[c] = true
						next = append(next, c.begin())
					}
				}
				mu.Unlock()
				queue.add(next)
				if part.unfinished.Add(-1) == 0 {
					mu.Lock()
					last[part.directory]++
					mu.Unlock()
				}
				queue.finish()
			}
		})
	}
	workers.Wait()
	for i := range entries {
		if handed[i] != 1 {
			t.Errorf("%s is handed out %d times", entries[i].Path, handed[i])
		}
	}
	for d := range begun {
		if last[d] != 1 {
			t.Errorf("%q is finished %d times", d.path, last[d])
		}
	}
}
