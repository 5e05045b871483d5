package staged

import (
	"cmp"
	"slices"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Capacity says for how many more tags there is room.
type Capacity struct {
	Space
	Known  bool   // there is a manifest to go by; without one the rest is zero
	Tags   uint64 // how many more fit, with what must stay free left free
	Bytes  uint64 // what one more takes, about
	Inodes uint64
	Shared bool // the file system can share blocks between tags, so that one takes less than Bytes of new ones
}

// EstimateCapacity estimates how many more tags fit if each is like the newest of tags, which are oldest first, that
// has a manifest. With Hardlink each is taken to differ from the one before by as much as the newest differs from the
// newest one that has another tree, or by nothing if there is none.
func EstimateCapacity(l tag.Base, tags []*tag.Tag, files Layout) (Capacity, error) {
	space, err := FreeSpace(l.Tags())
	if err != nil {
		return Capacity{}, err
	}
	c := Capacity{Space: space}
	newest, other := newestTrees(tags)
	if newest == "" {
		return c, nil
	}
	recorded, err := recordedTag(l, newest)
	if err != nil {
		return c, err
	}
	entries := recorded.tree
	var unchanged []*tag.Entry
	if files == Hardlink {
		before, err := recordedTag(l, cmp.Or(other, newest))
		if err != nil {
			return c, err
		}
		unchanged = before.unchanged(entries)
	}
	c.Bytes, c.Inodes = need(files, entries, unchanged, space.BlockSize)
	c.Known, c.Shared = true, files == Auto && sharesBlocks(l.Tags())
	c.Tags = fit(space.FreeBytes, space.TotalBytes, c.Bytes)
	if space.TotalInodes > 0 {
		c.Tags = min(c.Tags, fit(space.FreeInodes, space.TotalInodes, c.Inodes))
	}
	return c, nil
}

// fit is how often need fits into what is free above the reserve.
func fit(free, total, need uint64) uint64 {
	floor := total / reserve
	if free < floor {
		return 0
	}
	return (free - floor) / max(need, 1)
}

// newestTrees names the newest tag with a manifest, and the newest whose tree is another; empty if there is none.
func newestTrees(tags []*tag.Tag) (newest, other string) {
	tree := ""
	for _, t := range slices.Backward(tags) {
		h, ok, err := t.Header()
		switch {
		case !ok || err != nil || t.Link:
		case newest == "":
			newest, tree = t.Name, h.Tree
		case h.Tree != tree:
			return newest, t.Name
		}
	}
	return newest, ""
}

// recordedTag is what a tag's manifest says as a tag from which files could be taken; the hash of a file stands for the
// source's ID. Its files cannot be opened.
func recordedTag(l tag.Base, name string) (*previousTag, error) {
	m, err := tag.ReadManifest(l.Manifest(name))
	if err != nil {
		return nil, err
	}
	tree := make([]source.Entry, len(m.Entries))
	for i, e := range m.Entries {
		tree[i] = source.Entry{Path: e.Path, Mode: source.Mode(e.Mode), Size: e.Size}
		if e.Mode != tag.ModeEmptyDir {
			tree[i].ID = string(e.Hash[:])
		}
	}
	return &previousTag{records: m.Entries, tree: tree}, nil
}

// sharesBlocks reports whether the file system at path is one on which files can share blocks.
func sharesBlocks(path string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false
	}
	return st.Type == unix.BTRFS_SUPER_MAGIC || st.Type == unix.XFS_SUPER_MAGIC
}
