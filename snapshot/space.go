package snapshot

import (
	"fmt"
	"path"

	"github.com/dustin/go-humanize"
	"github.com/etch/etchtag/snapshot/source"
	"golang.org/x/sys/unix"
)

// reserve is the share of a file system's blocks and inodes that a new tag must leave free: a hundredth.
const reserve = 100

// Space is what is free on the file system of the tags.
type Space struct {
	FreeBytes, TotalBytes   uint64 // free for unprivileged users
	FreeInodes, TotalInodes uint64 // both 0 where the file system does not count them
	blockSize               uint64
}

// FreeSpace asks the file system on which path stands.
func FreeSpace(path string) (Space, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Space{}, fmt.Errorf("ask for the free space of %q: %w", path, err)
	}
	bs := uint64(st.Bsize)
	return Space{FreeBytes: st.Bavail * bs, TotalBytes: st.Blocks * bs,
		FreeInodes: st.Ffree, TotalInodes: st.Files, blockSize: bs}, nil
}

// checkSpace refuses a tag that would fill the disk, before anything of it is written.
func (m *Manager) checkSpace(entries []source.Entry, previous *previousTag) error {
	space, err := FreeSpace(m.Layout.Tags())
	if err != nil {
		return err
	}
	bytes, inodes := m.need(entries, previous, space.blockSize)
	if floor := space.TotalBytes / reserve; space.FreeBytes < bytes+floor {
		return fmt.Errorf("not enough space below %s: the tag takes about %s and %s must stay free, but only %s of %s are: "+
			"remove old tags or make room", m.Layout.Tags(), humanize.IBytes(bytes), humanize.IBytes(floor),
			humanize.IBytes(space.FreeBytes), humanize.IBytes(space.TotalBytes))
	}
	if floor := space.TotalInodes / reserve; space.TotalInodes > 0 && space.FreeInodes < inodes+floor {
		return fmt.Errorf("not enough inodes below %s: the tag takes %d and %d must stay free, but only %d of %d are: "+
			"remove old tags or make room", m.Layout.Tags(), inodes, floor, space.FreeInodes, space.TotalInodes)
	}
	return nil
}

// need estimates what a tag takes. Files that will be links to the previous tag's take nothing.
func (m *Manager) need(entries []source.Entry, previous *previousTag, blockSize uint64) (bytes, inodes uint64) {
	dirs := map[string]bool{}
	for _, e := range entries {
		for d := path.Dir(e.Path); d != "." && !dirs[d]; d = path.Dir(d) {
			dirs[d] = true
		}
		old, taken := previous.find(e)
		if taken && m.Files == Hardlink && e.Mode != source.Symlink {
			continue
		}
		size := e.Size
		if taken {
			size = old.Size
		}
		inodes++
		bytes += (uint64(max(size, 1)) + blockSize - 1) / blockSize * blockSize
	}
	inodes += uint64(len(dirs))
	return bytes + uint64(len(dirs))*blockSize, inodes
}
