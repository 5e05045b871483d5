package source

import (
	"errors"

	"golang.org/x/sys/unix"
)

// removeTree removes name and all that is below it, and follows no link.
func removeTree(from int, name string) error {
	err := unix.Unlinkat(from, name, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := eachIn(from, name, removeTree); err != nil {
		return err
	}
	return unix.Unlinkat(from, name, unix.AT_REMOVEDIR)
}

// eachIn calls do for every name in the directory name of parent.
func eachIn(parent int, name string, do func(dir int, child string) error) error {
	dir, err := openDirAt(parent, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := do(int(dir.Fd()), child); err != nil {
			return err
		}
	}
	return nil
}
