package source

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// labelled announces an operation that changes something and then does it, unless the hook objects.
func labelled(hook func(label string) error, label string, do func() error) error {
	if hook != nil {
		if err := hook(label); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	return do()
}

// replaceDurably writes a file in tempDir, which is on the same file system, makes it durable and renames
// it into place. Unlike renameio it takes each of these for a step of its own, syncs the directory, and gives the file a
// name by which the next run sweeps what a dead one left. The labels of the steps say what the file is.
func replaceDurably(what, tempDir, name string, content []byte, mode os.FileMode, hook func(label string) error) (err error) {
	var f *os.File
	err = labelled(hook, "create "+what, func() (err error) {
		f, err = os.CreateTemp(tempDir, tempPrefix+"*")
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
	err = labelled(hook, "write "+what, func() error {
		_, err := f.Write(content)
		return errors.Join(err, f.Chmod(mode))
	})
	if err == nil {
		err = labelled(hook, "sync "+what, f.Sync)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	err = labelled(hook, "rename "+what, func() error { return os.Rename(f.Name(), name) })
	if err != nil {
		return err
	}
	return labelled(hook, "sync directory of "+what, func() error { return fsyncDir(filepath.Dir(name)) })
}

// tempPrefix begins the names of all that we make in a repository for a while. No name that git
// gives begins so; what a dead run left is swept by it.
const tempPrefix = "tmp_etchtag-"

// makeDirs makes a directory and its parents, with modes that the umask has no say in.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, os.ErrExist):
		return nil
	case errors.Is(err, os.ErrNotExist):
		if err := makeDirs(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// fsyncDir makes the names in a directory durable.
func fsyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// flushFS makes all that was written to the file system of dir durable.
func flushFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("making the file system of %q durable: %w", dir, err)
	}
	return nil
}

func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
