package disk

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ErrReplaced is wrapped by the error of whatever finds a symbolic link, or something else that is no directory, where
// a directory of ours belongs. Who can write to the directory above it can have put it there to lead us elsewhere.
var ErrReplaced = errors.New("is no directory of ours, so what it leads to is left alone: remove it")

// OpenBeneath opens the directory rel below dir, in the form of filepath.Join. dir itself may be reached through
// symbolic links, which administrators have made. On the way from there nothing may be one, not even for a moment: the
// directory that was looked at is the one that is used. The error wraps ErrReplaced if something is.
//
// What is done in the directory that it returns happens there, whatever becomes of the names that led to it.
func OpenBeneath(dir, rel string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	if rel == "." {
		return root, nil
	}
	path := dir
	for name := range strings.SplitSeq(rel, string(filepath.Separator)) {
		path = filepath.Join(path, name)
		child, err := OpenChild(root, name)
		root.Close()
		if err != nil {
			if cause, ok := errors.AsType[*os.PathError](err); ok {
				err = cause.Err
			}
			return nil, &os.PathError{Op: "open", Path: path, Err: err}
		}
		root = child
	}
	return root, nil
}

// OpenChild opens a directory that stands directly in another.
func OpenChild(parent *os.Root, name string) (*os.Root, error) {
	seen, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !seen.IsDir() {
		return nil, ErrReplaced
	}
	child, err := parent.OpenRoot(name) // which follows links that stay below parent
	if err != nil {
		return nil, err
	}
	opened, err := child.Stat(".")
	if err == nil && !os.SameFile(seen, opened) {
		err = ErrReplaced
	}
	if err != nil {
		child.Close()
		return nil, err
	}
	return child, nil
}

// WithDirectory calls do with the descriptor of the directory that root is.
func WithDirectory(root *os.Root, do func(fd int) error) error {
	f, err := root.OpenFile(".", os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return do(int(f.Fd()))
}

// RemoveBeneath removes what stands at rel below dir, and all below it. Nothing on the way there may be a link.
func RemoveBeneath(dir, rel string) error {
	parent, err := OpenBeneath(dir, filepath.Dir(rel))
	if err != nil {
		return err
	}
	defer parent.Close()
	return WithDirectory(parent, func(fd int) error { return RemoveTree(fd, filepath.Base(rel)) })
}
