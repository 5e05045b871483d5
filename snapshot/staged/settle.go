package staged

import (
	"context"
	"fmt"
	"path"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// settler makes an exported tree one that can be published: it gives files and directories their modes, and takes
// files that have not changed from the previous tag where that saves space. Times stay as they are.
type settler struct {
	*writer
	export []source.ExportedEntry

	spareDir int // the stage, in which a file is prepared
}

func newSettler(s *stager, export []source.ExportedEntry) *settler {
	s.unchanged = s.previous.unchangedExport(export)
	return &settler{writer: s.newWriter(), export: export}
}

// spareName is the name of a file that is being prepared.
const spareName = "file"

func (s *settler) settle(ctx context.Context, stage *Dir) ([]tag.Entry, error) {
	top, err := stage.openTree()
	if err != nil {
		return nil, err
	}
	defer top.Close()
	entries := make([]source.Entry, len(s.export))
	settled := make([]tag.Entry, len(s.export))
	for i, e := range s.export {
		entries[i] = e.Entry
		settled[i] = tag.Entry{Path: e.Path, Mode: byte(e.Mode), Size: e.Size, Hash: e.Hash}
		if e.Mode == source.Directory {
			settled[i].Size = 0
		}
	}
	return settled, s.step.Do("settle tree", stage.Tree(), func() error {
		return disk.WithDirectory(stage.root, func(spare int) error {
			s.spareDir = spare
			return s.settleDir(ctx, int(top.Fd()), newDirectories(entries))
		})
	})
}

// settleDir settles a directory, whose descriptor is fd, and all that is below it.
func (s *settler) settleDir(ctx context.Context, fd int, d *directory) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	var before unix.Stat_t
	if err := unix.Fstat(fd, &before); err != nil {
		return fmt.Errorf("%q: %w", d.path, err)
	}
	s.enter(d)
	for _, i := range d.files {
		if err := s.settleEntry(fd, s.export[i], s.unchanged[i]); err != nil {
			return fmt.Errorf("%q: %w", s.export[i].Path, err)
		}
	}
	for _, c := range d.children {
		child, err := unix.Openat(fd, c.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%q: %w", c.path, err)
		}
		err = s.settleDir(ctx, child, c)
		unix.Close(child)
		if err != nil {
			return err
		}
	}
	if err := disk.ChmodOpen(fd, 0o755); err != nil {
		return fmt.Errorf("%q: %w", d.path, err)
	}
	return setTimes(fd, before)
}

// setTimes gives an open file the times that it had.
func setTimes(fd int, had unix.Stat_t) error {
	return disk.SetTimes(fd, "", []unix.Timespec{had.Atim, had.Mtim})
}

// settleEntry settles a file. old is the previous tag's record of it, if it is the same there.
func (s *settler) settleEntry(fd int, e source.ExportedEntry, old *tag.Entry) error {
	name := path.Base(e.Path)
	switch e.Mode {
	case source.Symlink:
		return nil
	case source.Directory:
		return disk.ChmodAt(fd, name, 0o755)
	}
	if old != nil && (s.layout == Hardlink || !s.noReflink.Load()) {
		shared, err := s.share(fd, name, e.Entry, *old)
		if shared || err != nil {
			return err
		}
	}
	return disk.ChmodAt(fd, name, uint32(s.layout.perm(e.Mode)))
}

// share replaces an exported file by the previous tag's, and reports whether it could.
func (s *settler) share(fd int, name string, e source.Entry, old tag.Entry) (bool, error) {
	var had unix.Stat_t
	if err := unix.Fstatat(fd, name, &had, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	taken, err := s.take(s.spareDir, spareName, e, old)
	if !taken || err != nil {
		return false, err
	}
	if s.layout != Hardlink {
		times := []unix.Timespec{had.Atim, had.Mtim}
		if err := disk.SetTimes(s.spareDir, spareName, times); err != nil {
			return false, err
		}
	}
	return true, s.step.Do("replace staged file", e.Path, func() error {
		return disk.RenameAt(s.spareDir, spareName, fd, name)
	})
}
