package workcopy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
)

// ClonePlace checks that a clone may be made at dir, and follows a link.
func ClonePlace(dir string) (string, error) {
	root := dir
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		root = resolved
	}
	entries, err := os.ReadDir(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return root, nil
	case err != nil:
		return "", fmt.Errorf("clone into %q: %w", dir, err)
	case len(entries) > 0:
		return "", fmt.Errorf("clone into %q: the directory is not empty", dir)
	}
	return root, nil
}

// ClonePrefix begins the name of a clone that is being built for root, and of all else that stands beside it for a
// while. What a dead run left is swept by it.
func ClonePrefix(root string) string { return "." + filepath.Base(root) + ".clone-" }

// NewCloneDir makes a directory beside root, which nobody else can enter, to build a clone in.
func NewCloneDir(root string, step func(label string) error) (temp string, err error) {
	err = disk.Labelled(step, "create clone", func() (err error) {
		temp, err = disk.MakeTemp(filepath.Dir(root), ClonePrefix(root)+"*")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("make room for the clone: %w", err)
	}
	return temp, nil
}

// PlaceClone moves a whole clone to where it belongs.
func PlaceClone(temp, root string, step func(label string) error) error {
	if err := disk.Labelled(step, "sync clone", func() error { return disk.SyncFS(temp) }); err != nil {
		return err
	}
	err := disk.Labelled(step, "rename clone", func() error { return disk.RenameDir(temp, root) })
	if err != nil {
		return fmt.Errorf("move the clone into place: %w", err)
	}
	return disk.Labelled(step, "sync clone's directory", func() error { return disk.SyncDir(filepath.Dir(root)) })
}

// SweepPrefix removes what begins with prefix in a directory, and says what stays because something is mounted in it. What
// else cannot be removed is only in the way of disk space.
func SweepPrefix(dir, prefix string, step func(label string) error) (stays []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		err := disk.Labelled(step, "remove leftover", func() error { return disk.RemovePath(filepath.Join(dir, e.Name())) })
		if _, mounted := errors.AsType[*disk.MountError](err); mounted {
			stays = append(stays, "a dead run has left something: "+err.Error())
		}
	}
	return stays
}
