package staged

import (
	"fmt"
	"strings"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// reserve is the share of a file system's blocks and inodes that a new tag must leave free: a hundredth.
const reserve = 100

// Space is what is free on the file system of the tags.
type Space struct {
	FreeBytes, TotalBytes   uint64 // free for unprivileged users
	FreeInodes, TotalInodes uint64 // both 0 where the file system does not count them
	BlockSize               uint64 // of which what a file takes is a multiple
}

// FreeSpace asks the file system on which path stands.
func FreeSpace(path string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Space{}, fmt.Errorf("ask for the free space of %q: %w", path, err)
	}
	bs := uint64(st.Bsize)
	return Space{FreeBytes: st.Bavail * bs, TotalBytes: st.Blocks * bs,
		FreeInodes: st.Ffree, TotalInodes: st.Files, BlockSize: bs}, nil
}

// CheckSpace refuses a tag that would fill the disk, before anything of it is written.
// unchanged has what the previous tag has of each of the entries; nil if there is none.
func CheckSpace(base tag.Base, layout Layout, entries []source.Entry, unchanged []*tag.Entry) error {
	space, err := FreeSpace(base.Tags())
	if err != nil {
		return err
	}
	bytes, inodes := need(layout, entries, unchanged, space.BlockSize)
	if floor := space.TotalBytes / reserve; space.FreeBytes < bytes+floor {
		return fmt.Errorf("not enough space below %s: the tag takes about %s and %s must stay free, but only %s of %s are: "+
			"remove old tags or make room", base.Tags(), tag.FormatBytes(bytes), tag.FormatBytes(floor),
			tag.FormatBytes(space.FreeBytes), tag.FormatBytes(space.TotalBytes))
	}
	if floor := space.TotalInodes / reserve; space.TotalInodes > 0 && space.FreeInodes < inodes+floor {
		return fmt.Errorf("not enough inodes below %s: the tag takes %d and %d must stay free, but only %d of %d are: "+
			"remove old tags or make room", base.Tags(), inodes, floor, space.FreeInodes, space.TotalInodes)
	}
	return nil
}

// need estimates what a tag takes. Files that will be links to the previous tag's take nothing.
func need(layout Layout, entries []source.Entry, unchanged []*tag.Entry, blockSize uint64) (bytes, inodes uint64) {
	for i, e := range entries {
		size := e.Size
		if unchanged != nil && unchanged[i] != nil {
			if layout == Hardlink && e.Mode != source.Symlink {
				continue
			}
			size = unchanged[i].Size
		}
		inodes++
		bytes += (uint64(max(size, 1)) + blockSize - 1) / blockSize * blockSize
	}
	dirs := countDirectories(entries)
	return bytes + dirs*blockSize, inodes + dirs
}

// countDirectories counts the directories that entries, which are sorted by path, stand in.
func countDirectories(entries []source.Entry) uint64 {
	n, last := 0, ""
	for _, e := range entries {
		shared := 0
		for shared < min(len(e.Path), len(last)) && e.Path[shared] == last[shared] {
			shared++
		}
		n += strings.Count(e.Path[shared:], "/") // whatever stands below one directory comes without a break
		last = e.Path
	}
	return uint64(n)
}
