package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

// Step is called right before each operation that changes the file system, with a label that says
// which it is. An error that it returns fails the operation in its place. Tests use it to fail or
// stop at any of them; nil means that nobody is asked. It is called by several goroutines at once.
type Step func(label string) error

// do performs the operation that label names on path, unless the step before it fails.
func (s Step) do(label, path string, operate func() error) error {
	if s != nil {
		if err := s(label); err != nil {
			return fmt.Errorf("%s %q: %w", label, path, err)
		}
	}
	if err := operate(); err != nil {
		return fmt.Errorf("%s %q: %w", label, path, err)
	}
	return nil
}

// files performs the operations that change what stands in the tags' directory.
//
// Others may be able to write there, and swap what they find for links while we work. So each operation opens the
// directory in which it works anew, from the tags' directory on through none but directories, and names the rest
// relative to what it has opened. Whatever is swapped, the operation then happens below the tags' directory, or fails.
type files struct {
	Step
	tags string // the tags' directory
}

// open opens a directory. The tags' directory and the base may be reached through links, nothing else may.
func (f files) open(dir string) (*os.Root, error) {
	if rel, err := filepath.Rel(f.tags, dir); err == nil && filepath.IsLocal(rel) {
		return disk.OpenBeneath(f.tags, rel)
	}
	if dir == filepath.Dir(f.tags) {
		return os.OpenRoot(dir)
	}
	const top = string(filepath.Separator)
	return disk.OpenBeneath(top, strings.TrimPrefix(dir, top))
}

// in calls do with the open directory in which path stands, and its name there.
func (f files) in(path string, do func(dir *os.Root, name string) error) error {
	dir, err := f.open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(dir, filepath.Base(path))
}

// inBoth calls do with the descriptors of the directories in which two paths stand, and their names there.
func (f files) inBoth(a, b string, do func(dirA int, nameA string, dirB int, nameB string) error) error {
	return f.in(a, func(dirA *os.Root, nameA string) error {
		return f.in(b, func(dirB *os.Root, nameB string) error {
			return disk.WithDirectory(dirA, func(fdA int) error {
				return disk.WithDirectory(dirB, func(fdB int) error { return do(fdA, nameA, fdB, nameB) })
			})
		})
	})
}

// publicDir makes a directory that everybody may read, whatever the umask, unless it is there.
func (f files) publicDir(label, path string) error { return f.makeDir(label, path, 0o755) }

// privateDir makes a directory that only we may enter, unless it is there.
func (f files) privateDir(label, path string) error { return f.makeDir(label, path, 0o700) }

func (f files) makeDir(label, path string, mode os.FileMode) error {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() && info.Mode().Perm() == mode {
		return nil
	}
	return f.do(label, path, func() error {
		err := f.in(path, func(dir *os.Root, name string) error { return dir.Mkdir(name, mode) })
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return f.withDir(path, func(fd int) error { return unix.Fchmod(fd, uint32(mode)) })
	})
}

// withDir calls do with the descriptor of a directory.
func (f files) withDir(path string, do func(fd int) error) error {
	dir, err := f.open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return disk.WithDirectory(dir, do)
}

// unmounted fails, with a *source.MountError, if something is mounted in the directory at path.
func (f files) unmounted(path string) error {
	return f.in(path, func(dir *os.Root, name string) error {
		return disk.WithDirectory(dir, func(fd int) error { return disk.Mounted(fd, name) })
	})
}

// exchange swaps two directories of one file system, so that each name always leads to one of them where the file
// system can do that. It fails, with a *source.MountError, if something is mounted in the second.
func (f files) exchange(label, a, b string) error {
	return f.do(label, b, func() error {
		return f.inBoth(a, b, func(dirA int, nameA string, dirB int, nameB string) error {
			if err := disk.Mounted(dirB, nameB); err != nil {
				return err
			}
			err := unix.Renameat2(dirA, nameA, dirB, nameB, unix.RENAME_EXCHANGE)
			if !errors.Is(err, unix.EINVAL) {
				return err
			}
			spare := nameA + "-old"
			if err := unix.Renameat(dirB, nameB, dirA, spare); err != nil {
				return err
			}
			if err := unix.Renameat(dirA, nameA, dirB, nameB); err != nil {
				return errors.Join(err, unix.Renameat(dirA, spare, dirB, nameB))
			}
			return unix.Renameat(dirA, spare, dirA, nameA)
		})
	})
}

// renameNoReplace moves a file or directory to a name that must be free.
func (f files) renameNoReplace(label, from, to string) error {
	return f.do(label, to, func() error {
		return f.inBoth(from, to, func(fromDir int, fromName string, toDir int, toName string) error {
			err := unix.Renameat2(fromDir, fromName, toDir, toName, unix.RENAME_NOREPLACE)
			if !errors.Is(err, unix.EINVAL) {
				return err
			}
			// The file system cannot do it in one step. Everyone who makes tags holds the lock.
			var st unix.Stat_t
			if err := unix.Fstatat(toDir, toName, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
				return os.ErrExist
			}
			return unix.Renameat(fromDir, fromName, toDir, toName)
		})
	})
}

// rename moves a file, replacing what bears the name.
func (f files) rename(label, from, to string) error {
	return f.do(label, to, func() error {
		return f.inBoth(from, to, func(fromDir int, fromName string, toDir int, toName string) error {
			return unix.Renameat(fromDir, fromName, toDir, toName)
		})
	})
}

// syncDir makes the names in a directory durable.
func (f files) syncDir(label, path string) error {
	return f.do(label, path, func() error { return f.withDir(path, unix.Fsync) })
}

// syncFS makes everything written to the file system of the directory at path durable.
func (f files) syncFS(label, path string) error {
	return f.do(label, path, func() error { return f.withDir(path, unix.Syncfs) })
}

// removeAll deletes a directory with all that is in it. Links in it are deleted, never followed.
func (f files) removeAll(label, path string) error {
	return f.do(label, path, func() error {
		return f.in(path, func(dir *os.Root, name string) error {
			return disk.WithDirectory(dir, func(fd int) error { return disk.RemoveTree(fd, name) })
		})
	})
}

// remove deletes a file, if it is there.
func (f files) remove(label, path string) error {
	return f.do(label, path, func() error {
		err := f.in(path, func(dir *os.Root, name string) error { return dir.Remove(name) })
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}
