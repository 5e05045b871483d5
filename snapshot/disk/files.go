// Package disk is how whatever stands below snapshot changes the disk.
//
// An operation that changes something is announced to a hook by its label, so that a test can fail each, or kill the
// process before it. What is removed, and what is reached below a directory of
// ours, is reached from one open directory to the next: through no symbolic link, and into nothing that is mounted there.
//
// It imports no other package of ours.
package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Labelled announces an operation that changes something and then does it, unless the hook objects.
func Labelled(hook func(label string) error, label string, do func() error) error {
	if hook != nil {
		if err := hook(label); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	return do()
}

// Replace writes a file in tempDir, which is on the same file system, makes it durable and renames
// it into place. Unlike renameio it takes each of these for a step of its own, syncs the directory, and gives the file a
// name by which the next run sweeps what a dead one left. The labels of the steps say what the file is.
func Replace(what, tempDir, name string, content []byte, mode os.FileMode, hook func(label string) error) (err error) {
	var f *os.File
	err = Labelled(hook, "create "+what, func() (err error) {
		f, err = os.CreateTemp(tempDir, TempPrefix+"*")
		return err
	})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	err = Labelled(hook, "write "+what, func() error {
		_, err := f.Write(content)
		return errors.Join(err, f.Chmod(mode))
	})
	if err == nil {
		err = Labelled(hook, "sync "+what, f.Sync)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = Labelled(hook, "rename "+what, func() error { return os.Rename(f.Name(), name) })
	if err != nil {
		return err
	}
	return Labelled(hook, "sync directory of "+what, func() error { return SyncDir(filepath.Dir(name)) })
}

// TempPrefix begins the names of all that we make in a repository for a while. No name that git
// gives begins so; what a dead run left is swept by it.
const TempPrefix = "tmp_etchtag-"

// MakeDirs makes a directory and its parents, with modes that the umask has no say in.
func MakeDirs(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case errors.Is(err, os.ErrNotExist):
		if err := MakeDirs(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// SyncDir makes the names in a directory durable.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// SyncFS makes all that was written to the file system of dir durable.
func SyncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("make the file system of %q durable: %w", dir, err)
	}
	return nil
}

// IsNotDir reports whether an error says that something on the way to a file is no directory.
func IsNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
