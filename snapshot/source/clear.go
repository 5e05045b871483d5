package source

import (
	"bytes"
	"errors"
	"fmt"

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
		case a.want.mode == Symlink:
			err = checkLink(o, a.want)
		case !s.fresh: // where nothing is lost if it is missed later
			err = o.checkBlob(a.want.hash)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s of the target: %w", quotePath(a.path), err)
		}
		writes = append(writes, a)
	}
	return writes, nil
}

// checkLink refuses the target of a link that no link can have.
func checkLink(o *objects, want *treeFile) error {
	target, err := o.blob(want.hash, maxPath)
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
			return fmt.Errorf("changing the mode of directory %s: %w", quotePath(d.path), err)
		}
	}
	for i := range s.plan.actions {
		a := &s.plan.actions[i]
		if err := s.ctx.Err(); err != nil {
			return err
		}
		if err := s.clearPath(a); err != nil {
			return fmt.Errorf("replacing %s: %w", quotePath(a.path), err)
		}
	}
	s.dirs.close()
	for _, path := range s.plan.rmdir {
		if err := s.rmdir(path); err != nil {
			return fmt.Errorf("removing directory %s: %w", quotePath(path), err)
		}
	}
	for _, path := range s.plan.mkdir {
		if _, err := s.dirs.make(path); err != nil {
			return err
		}
	}
	s.dirs.close()
	return nil
}

// clearPath does what is to be done at one path before anything is written there.
func (s *syncRun) clearPath(a *action) error {
	if a.have == nil {
		return nil
	}
	dir, name := splitPath(a.path)
	fd, err := s.dirs.at(dir)
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
		keep := a.want != nil && (a.have.isRegular() || a.have.isSymlink())
		if err := s.discarder.setAside(fd, a.have.path, keep); err != nil {
			return err
		}
	}
	switch {
	case a.chmod:
		return s.chmodFile(a, fd, name)
	case a.want != nil || a.local:
		return nil
	}
	if err := takeStep(s.step, "remove file"); err != nil {
		return err
	}
	if err := unix.Unlinkat(fd, name, 0); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// passOn tells beforeReplace of a file that is to go.
func (s *syncRun) passOn(a *action, dir int, name string) error {
	if s.beforeReplace == nil || !a.have.isRegular() || a.have.stat.Size > maxPassedOn {
		return nil
	}
	local, err := readAt(dir, name)
	if err != nil {
		return err
	}
	var upstream []byte
	base, err := s.contentsOf(a.base)
	var damaged *ObjectError
	if err == nil || errors.As(err, &damaged) { // what the file came from may be gone by now
		upstream, err = s.contentsOf(a.want)
	}
	if errors.Is(err, errTooLarge) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.beforeReplace(a.path, base, local, upstream)
}

// contentsOf returns the contents of a file of a tree, nil if f is none.
func (s *syncRun) contentsOf(f *treeFile) ([]byte, error) {
	if f == nil || !f.isFile() {
		return nil, nil
	}
	o, err := s.objects()
	if err != nil {
		return nil, err
	}
	return o.blob(f.hash, maxPassedOn)
}

func (s *syncRun) chmodFile(a *action, dir int, name string) error {
	fd, err := unix.Openat(dir, name, openRead, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := takeStep(s.step, "change mode"); err != nil {
		return err
	}
	if err := unix.Fchmod(fd, permissions(a.want.mode)); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Ino != a.have.stat.Ino {
		return errChangedMeanwhile
	}
	s.entry(a.path).stat = newIndexStat(&st)
	return nil
}

// chmodDir makes a directory one that everyone may read. The bits above the permissions stay.
func (s *syncRun) chmodDir(d workDir) error {
	fd, err := s.dirs.at(d.path)
	if err != nil {
		return err
	}
	if err := takeStep(s.step, "change mode"); err != nil {
		return err
	}
	return unix.Fchmod(fd, d.mode&0o7000|dirMode)
}

func (s *syncRun) rmdir(path string) error {
	dir, name := splitPath(path)
	fd, err := s.dirs.at(dir)
	if err != nil {
		return err
	}
	if err := takeStep(s.step, "remove directory"); err != nil {
		return err
	}
	if err := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}
