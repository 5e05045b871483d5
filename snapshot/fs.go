package snapshot

import (
	"errors"
	"fmt"
	"os"

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

// publicDir makes a directory that everybody may read, whatever the umask, unless it is there.
func (s Step) publicDir(label, path string) error { return s.makeDir(label, path, 0o755) }

// privateDir makes a directory that only we may enter, unless it is there.
func (s Step) privateDir(label, path string) error { return s.makeDir(label, path, 0o700) }

func (s Step) makeDir(label, path string, mode os.FileMode) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() && info.Mode().Perm() == mode {
		return nil
	}
	return s.do(label, path, func() error {
		if err := os.Mkdir(path, mode); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
		return os.Chmod(path, mode)
	})
}

// exchange swaps two directories of one file system, so that each name always leads to one of them where the file
// system can do that.
func (s Step) exchange(label, a, b string) error {
	return s.do(label, b, func() error {
		err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		spare := a + "-old"
		if err := os.Rename(b, spare); err != nil {
			return err
		}
		if err := os.Rename(a, b); err != nil {
			return errors.Join(err, os.Rename(spare, b))
		}
		return os.Rename(spare, a)
	})
}

// renameNoReplace moves a file or directory to a name that must be free.
func (s Step) renameNoReplace(label, from, to string) error {
	return s.do(label, to, func() error {
		err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
		if !errors.Is(err, unix.EINVAL) {
			return err
		}
		// The file system cannot do it in one step. Everyone who makes tags holds the lock.
		if _, err := os.Lstat(to); err == nil {
			return os.ErrExist
		}
		return os.Rename(from, to)
	})
}

// rename moves a file, replacing what bears the name.
func (s Step) rename(label, from, to string) error {
	return s.do(label, to, func() error { return os.Rename(from, to) })
}

// syncDir makes the names in a directory durable.
func (s Step) syncDir(label, path string) error {
	return s.do(label, path, func() error { return withFile(path, (*os.File).Sync) })
}

// syncFS makes everything written to the file system of path durable.
func (s Step) syncFS(label, path string) error {
	return s.do(label, path, func() error {
		return withFile(path, func(f *os.File) error { return unix.Syncfs(int(f.Fd())) })
	})
}

// removeAll deletes a directory with all that is in it. Links in it are deleted, never followed.
func (s Step) removeAll(label, path string) error {
	return s.do(label, path, func() error { return os.RemoveAll(path) })
}

// remove deletes a file, if it is there.
func (s Step) remove(label, path string) error {
	return s.do(label, path, func() error {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	})
}

func withFile(path string, use func(*os.File) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return use(f)
}
