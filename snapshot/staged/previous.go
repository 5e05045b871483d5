package staged

import (
	"context"
	"os"
	"slices"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// previousTag is a published tag from which files can be taken that have not changed since. All
// methods work on nil, which has nothing to take.
type previousTag struct {
	root     *os.File
	revision string
	records  []tag.Entry    // sorted by path
	tree     []source.Entry // what a store has of its revision, sorted by path
}

// openPrevious opens the newest tag of a store's from which unchanged files can be taken for the tree of next. Not to
// have one costs time and disk, nothing else. What the store has of its revision is listed if that is another one: else
// isOf has to be told of the tree.
func openPrevious(ctx context.Context, base tag.Base, store source.Store, next source.Revision) *previousTag {
	p := openNewest(base, func(h *tag.Header) bool { return h.Source == store.Kind() })
	if p == nil || p.revision == next.ID {
		return p
	}
	tree, err := store.Tree(ctx, source.Revision{ID: p.revision})
	if err != nil {
		p.close()
		return nil
	}
	p.tree = tree.Entries()
	return p
}

// isOf tells the tag of the next tree, which is what the store has of its revision if that is the same.
func (p *previousTag) isOf(next source.Tree) {
	if p != nil && p.revision == next.Revision().ID {
		p.tree = next.Entries()
	}
}

// openNewest opens the newest tag with a manifest whose header is accepted, if it can be had.
func openNewest(base tag.Base, accept func(*tag.Header) bool) *previousTag {
	index, err := tag.ReadIndex(base)
	if err != nil {
		return nil
	}
	for _, t := range slices.Backward(index.Tags) {
		header, ok, err := t.Header()
		if t.Link || !ok || err != nil || !accept(header) {
			continue
		}
		manifest, err := tag.ReadManifest(base.Manifest(t.Name))
		if err != nil {
			return nil
		}
		p, err := newPreviousTag(base.Dir(t.Name), manifest)
		if err != nil {
			return nil
		}
		return p
	}
	return nil
}

// newPreviousTag opens the tag in dir, whose manifest is m.
func newPreviousTag(dir string, m *tag.Manifest) (*previousTag, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	return &previousTag{root: os.NewFile(uintptr(fd), dir), revision: m.Revision, records: m.Entries}, nil
}

func (p *previousTag) close() {
	if p != nil {
		p.root.Close()
	}
}

// unchanged returns, for each of a store's entries, which are sorted by path, the manifest's record of it if it is the
// same in the previous tag, else nil. What the source converts is not taken, nor what it had converted then, which its
// size tells.
func (p *previousTag) unchanged(entries []source.Entry) []*tag.Entry {
	if p == nil {
		return make([]*tag.Entry, len(entries))
	}
	tree := p.tree
	return pair(p.records, len(entries), func(i int) *source.Entry { return &entries[i] },
		func(i int, m *tag.Entry) bool {
			e := &entries[i]
			was := skipTo(&tree, e.Path, func(t *source.Entry) string { return t.Path })
			return was != nil && e.ID != "" && was.ID == e.ID && !e.Converted && m.Size == e.Size
		})
}

// unchangedExport is unchanged for entries that were hashed as they were exported.
func (p *previousTag) unchangedExport(entries []source.ExportedEntry) []*tag.Entry {
	if p == nil {
		return make([]*tag.Entry, len(entries))
	}
	return pair(p.records, len(entries), func(i int) *source.Entry { return &entries[i].Entry },
		func(i int, m *tag.Entry) bool {
			return m.Size == entries[i].Size && m.Hash == entries[i].Hash
		})
}

// pair finds the records of n entries, both being sorted by path, if they are of the same mode and same says so too.
func pair(records []tag.Entry, n int, entry func(i int) *source.Entry,
	same func(i int, m *tag.Entry) bool) []*tag.Entry {
	paired := make([]*tag.Entry, n)
	for i := range n {
		e := entry(i)
		m := skipTo(&records, e.Path, func(r *tag.Entry) string { return r.Path })
		if m != nil && e.Mode != source.Directory && m.Mode == byte(e.Mode) && same(i, m) {
			paired[i] = m
		}
	}
	return paired
}

// skipTo leaves out what comes before a path in a list that is sorted by path, and returns what is at the path, or nil.
func skipTo[T any](list *[]T, path string, pathOf func(*T) string) *T {
	for l := *list; len(l) > 0; l = l[1:] {
		*list = l
		if at := pathOf(&l[0]); at == path {
			return &l[0]
		} else if at > path {
			return nil
		}
	}
	*list = nil
	return nil
}

// openDir opens a directory of the tag without following any link, or returns -1.
func (p *previousTag) openDir(path string) int {
	if p == nil {
		return -1
	}
	fd, err := disk.OpenAt(int(p.root.Fd()), path)
	if err != nil {
		return -1
	}
	return fd
}
