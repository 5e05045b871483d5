package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// clonePlace checks that a clone may be made at dir, and follows a link.
func clonePlace(dir string) (string, error) {
	root := dir
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		root = resolved
	}
	entries, err := os.ReadDir(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return root, nil
	case err != nil:
		return "", fmt.Errorf("cloning into %q: %w", dir, err)
	case len(entries) > 0:
		return "", fmt.Errorf("cloning into %q: the directory is not empty", dir)
	}
	return root, nil
}

// clonePrefix begins the name of a clone that is being built for root, and of all else that stands beside it for a
// while. What a dead run left is swept by it.
func clonePrefix(root string) string { return "." + filepath.Base(root) + ".clone-" }

// newCloneDir makes a directory beside root, which nobody else can enter, to build a clone in.
func newCloneDir(root string, step func(label string) error) (temp string, err error) {
	err = labelled(step, "create clone", func() (err error) {
		temp, err = os.MkdirTemp(filepath.Dir(root), clonePrefix(root)+"*")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("making room for the clone: %w", err)
	}
	return temp, nil
}

// placeClone moves a whole clone to where it belongs.
func placeClone(temp, root string, step func(label string) error) error {
	if err := labelled(step, "sync clone", func() error { return flushFS(temp) }); err != nil {
		return err
	}
	err := labelled(step, "rename clone", func() error { return unix.Rename(temp, root) })
	if err != nil {
		return fmt.Errorf("moving the clone into place: %w", err)
	}
	return labelled(step, "sync clone's directory", func() error { return fsyncDir(filepath.Dir(root)) })
}

// sweepPrefix removes what begins with prefix in a directory, and says what stays because something is mounted in it. What
// else cannot be removed is only in the way of disk space.
func sweepPrefix(dir, prefix string, step func(label string) error) (stays []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		err := labelled(step, "remove leftover", func() error { return RemovePath(filepath.Join(dir, e.Name())) })
		if _, mounted := errors.AsType[*MountError](err); mounted {
			stays = append(stays, "a dead run has left something: "+err.Error())
		}
	}
	return stays
}
