package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Step is called right before each operation that changes the file system, with a label that says
// which it is. An error that it returns fails the operation in its place. Tests use it to fail or
// stop at any of them; nil means that nobody is asked. It is called by several goroutines at once.
type Step func(label string) error

// Do performs the operation that label names on path, unless the step before it fails.
func (s Step) Do(label, path string, operate func() error) error {
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

// Files changes what stands below a directory: the tags, for package snapshot.
//
// Others may be able to write there, and swap what they find for links while we work. So each operation opens the
// directory in which it works anew, from Dir on through none but directories, and names the rest relative to what it has
// opened. Whatever is swapped, the operation then happens below Dir, or fails.
type Files struct {
	Step
	Dir string // it and the directory that it stands in may be reached through links, nothing else may
}

// Open opens a directory. The tags' directory and the base may be reached through links, nothing else may.
func (f Files) Open(dir string) (*os.Root, error) {
	if rel, err := filepath.Rel(f.Dir, dir); err == nil && filepath.IsLocal(rel) {
		return OpenBeneath(f.Dir, rel)
	}
	if dir == filepath.Dir(f.Dir) {
		return os.OpenRoot(dir)
	}
	const top = string(filepath.Separator)
	return OpenBeneath(top, strings.TrimPrefix(dir, top))
}

// In calls do with the open directory in which path stands, and its name there.
func (f Files) In(path string, do func(dir *os.Root, name string) error) error {
	dir, err := f.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return do(dir, filepath.Base(path))
}

// inBoth calls do with the descriptors of the directories in which two paths stand, and their names there.
func (f Files) inBoth(a, b string, do func(dirA int, nameA string, dirB int, nameB string) error) error {
	return f.In(a, func(dirA *os.Root, nameA string) error {
		return f.In(b, func(dirB *os.Root, nameB string) error {
			return WithDirectory(dirA, func(fdA int) error {
				return WithDirectory(dirB, func(fdB int) error { return do(fdA, nameA, fdB, nameB) })
			})
		})
	})
}

// PublicDir makes a directory that everybody may read, whatever the umask, unless it is there.
func (f Files) PublicDir(label, path string) error { return f.makeDir(label, path, 0o755) }

// PrivateDir makes a directory that only we may enter, unless it is there.
func (f Files) PrivateDir(label, path string) error { return f.makeDir(label, path, 0o700) }

func (f Files) makeDir(label, path string, mode os.FileMode) error {
	info, err := os.Lstat(path)
	if err == nil && info.IsDir() && info.Mode().Perm() == mode {
		return nil
	}
	return f.Do(label, path, func() error {
		err := f.In(path, func(dir *os.Root, name string) error { return dir.Mkdir(name, mode) })
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return f.withDir(path, func(fd int) error { return unix.Fchmod(fd, uint32(mode)) })
	})
}

// withDir calls do with the descriptor of a directory.
func (f Files) withDir(path string, do func(fd int) error) error {
	dir, err := f.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return WithDirectory(dir, do)
}

// Unmounted fails, with a *MountError, if something is mounted in the directory at path.
func (f Files) Unmounted(path string) error {
	return f.In(path, func(dir *os.Root, name string) error {
		return WithDirectory(dir, func(fd int) error { return Mounted(fd, name) })
	})
}

// Exchange swaps two directories of one file system, so that each name always leads to one of them where the file
// system can do that. It fails, with a *MountError, if something is mounted in the second.
func (f Files) Exchange(label, a, b string) error {
	return f.Do(label, b, func() error {
		return f.inBoth(a, b, func(dirA int, nameA string, dirB int, nameB string) error {
			if err := Mounted(dirB, nameB); err != nil {
				return err
			}
			return exchange(dirA, nameA, dirB, nameB, nameA+"-old")
		})
	})
}

// RenameNoReplace moves a file or directory to a name that must be free.
func (f Files) RenameNoReplace(label, from, to string) error {
	return f.Do(label, to, func() error {
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

// Rename moves a file, replacing what bears the name.
func (f Files) Rename(label, from, to string) error {
	return f.Do(label, to, func() error {
		return f.inBoth(from, to, func(fromDir int, fromName string, toDir int, toName string) error {
			return unix.Renameat(fromDir, fromName, toDir, toName)
		})
	})
}

// SetTime sets the time of what stands at path, of a symbolic link its own.
func (f Files) SetTime(label, path string, to time.Time) error {
	at := unix.NsecToTimespec(to.UnixNano())
	return f.Do(label, path, func() error {
		return f.In(path, func(dir *os.Root, name string) error {
			return WithDirectory(dir, func(fd int) error {
				return SetTimes(fd, name, []unix.Timespec{at, at})
			})
		})
	})
}

// SyncDir makes the names in a directory durable.
func (f Files) SyncDir(label, path string) error {
	return f.Do(label, path, func() error { return f.withDir(path, unix.Fsync) })
}

// SyncFS makes everything written to the file system of the directory at path durable.
func (f Files) SyncFS(label, path string) error {
	return f.Do(label, path, func() error { return f.withDir(path, unix.Syncfs) })
}

// RemoveTree deletes a directory with all that is in it. Links in it are deleted, never followed.
func (f Files) RemoveTree(label, path string) error {
	return f.Do(label, path, func() error {
		return f.In(path, func(dir *os.Root, name string) error {
			return WithDirectory(dir, func(fd int) error { return RemoveTree(fd, name) })
		})
	})
}

// Remove deletes a file, if it is there.
func (f Files) Remove(label, path string) error {
	return f.Do(label, path, func() error {
		err := f.In(path, func(dir *os.Root, name string) error { return dir.Remove(name) })
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}
