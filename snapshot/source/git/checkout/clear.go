package checkout

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

// writes returns the actions that write something, after making sure that all contents are there and are files'.
func (s *syncRun) writes() ([]*action, error) {
	var writes []*action
	for i := range s.plan.actions {
		a := &s.plan.actions[i]
		if !a.write {
			continue
		}
		o, err := s.objects()
		if err != nil {
			return nil, err
		}
		switch {
		case a.want.Mode == source.Symlink:
			err = checkLink(o, a.want)
		case !s.Fresh: // where nothing is lost if it is missed later
			err = o.CheckBlob(a.want.Hash)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s of the target: %w", disk.QuotePath(a.path), err)
		}
		writes = append(writes, a)
	}
	return writes, nil
}

// checkLink refuses the target of a link that no link can have.
func checkLink(o *object.Reader, want *object.TreeFile) error {
	target, err := o.Blob(want.Hash, disk.MaxPath)
	if err == nil && (len(target) == 0 || bytes.IndexByte(target, 0) >= 0) {
		err = fmt.Errorf("no link can lead to %q", target)
	}
	return err
}

// clear does all that comes before writing: it sets aside what is not ours, removes what is in the way,
// and puts modes right.
func (s *syncRun) clear() error {
	for _, d := range s.plan.chmod {
		if err := s.chmodDir(d); err != nil {
			return fmt.Errorf("change the mode of directory %s: %w", disk.QuotePath(d.Path), err)
		}
	}
	for i := range s.plan.actions {
		a := &s.plan.actions[i]
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.clearPath(a); err != nil {
			return fmt.Errorf("replace %s: %w", disk.QuotePath(a.path), err)
		}
	}
	s.dirs.Close()
	for _, path := range s.plan.rmdir {
		if err := s.rmdir(path); err != nil {
			return fmt.Errorf("remove directory %s: %w", disk.QuotePath(path), err)
		}
	}
	for _, path := range s.plan.mkdir {
		if _, err := s.dirs.Make(path); err != nil {
			return err
		}
	}
	s.dirs.Close()
	return nil
}

// clearPath does what is to be done at one path before anything is written there.
func (s *syncRun) clearPath(a *action) error {
	if a.have == nil {
		return nil
	}
	dir, name := disk.SplitPath(a.path)
	fd, err := s.dirs.At(dir)
	if err != nil {
		return err
	}
	if err := checkUnchanged(fd, name, a.have); err != nil {
		return err
	}
	if a.local {
		if err := s.passOn(a, fd, name); err != nil {
			return err
		}
		keep := a.want != nil && (a.have.IsRegular() || a.have.IsSymlink())
		if err := s.discarder.SetAside(fd, a.have.Path, keep); err != nil {
			return err
		}
	}
	switch {
	case a.chmod:
		return s.chmodFile(a, fd, name)
	case a.want != nil || a.local:
		return nil
	}
	if err := disk.TakeStep(s.Step, "remove file"); err != nil {
		return err
	}
	return disk.RemoveFileAt(fd, name)
}

// passOn tells beforeReplace of a file that is to go.
func (s *syncRun) passOn(a *action, dir int, name string) error {
	if s.BeforeReplace == nil || !a.have.IsRegular() || a.have.Stat.Size > workcopy.MaxPassedOn {
		return nil
	}
	local, err := workcopy.ReadAt(dir, name)
	if err != nil {
		return err
	}
	var upstream []byte
	base, err := s.contentsOf(a.base)
	var damaged *object.Error
	if err == nil || errors.As(err, &damaged) { // what the file came from may be gone by now
		upstream, err = s.contentsOf(a.want)
	}
	if errors.Is(err, object.ErrTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.BeforeReplace(a.path, base, local, upstream)
}

// contentsOf returns the contents of a file of a tree, nil if f is none.
func (s *syncRun) contentsOf(f *object.TreeFile) ([]byte, error) {
	if f == nil || !f.IsFile() {
		return nil, nil
	}
	o, err := s.objects()
	if err != nil {
		return nil, err
	}
	return o.Blob(f.Hash, workcopy.MaxPassedOn)
}

func (s *syncRun) chmodFile(a *action, dir int, name string) error {
	fd, err := unix.Openat(dir, name, disk.OpenRead, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := disk.TakeStep(s.Step, "change mode"); err != nil {
		return err
	}
	if err := disk.ChmodOpen(fd, permissions(a.want.Mode)); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Ino != a.have.Stat.Ino {
		return workcopy.ErrChangedMeanwhile
	}
	s.entry(a.path).stat = newIndexStat(&st)
	return nil
}

// chmodDir makes a directory one that everyone may read. The bits above the permissions stay.
func (s *syncRun) chmodDir(d workcopy.Dir) error {
	fd, err := s.dirs.At(d.Path)
	if err != nil {
		return err
	}
	if err := disk.TakeStep(s.Step, "change mode"); err != nil {
		return err
	}
	return disk.ChmodOpen(fd, d.Mode&0o7000|disk.DirMode)
}

func (s *syncRun) rmdir(path string) error {
	dir, name := disk.SplitPath(path)
	fd, err := s.dirs.At(dir)
	if err != nil {
		return err
	}
	if err := disk.TakeStep(s.Step, "remove directory"); err != nil {
		return err
	}
	if err := disk.RemoveDirAt(fd, name); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
