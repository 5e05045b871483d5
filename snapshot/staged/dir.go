// Package staged makes what is to become a tag, before anybody sees it: it writes the tree of a revision into a directory
// that nobody else can enter, with the modes that a tag has, takes from the newest tag what has not changed, and compares
// trees with manifests.
//
// It guarantees that what it returns is what stands there, whatever others do in the tags' directory meanwhile: all is
// written relative to open directories, no symbolic link is followed, and every file is hashed as it is written, also one
// that was taken from another tag. Package source gives the trees; package snapshot publishes what is staged.
package staged

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Dir is an open directory in which a tree is prepared, and the files that are published with it. Nobody else can
// enter it, and it stays open, so that whatever becomes of the names above it, what is done in it is done there. Whoever
// makes one removes it.
type Dir struct {
	base  tag.Base
	files disk.Files
	dir   string
	root  *os.Root // dir, open
}

// treeName is the name of the staged tree.
const treeName = "tree"

// New makes an empty stage on the file system of the tags.
func New(base tag.Base, step disk.Step) (*Dir, error) {
	s := &Dir{base: base, files: disk.Files{Step: step, Dir: base.Tags()}, dir: filepath.Join(base.Stage(), rand.Text())}
	err := step.Do("make stage", base.Stage(), func() error {
		return s.files.In(s.dir, func(dir *os.Root, name string) (err error) {
			if err := dir.Mkdir(name, 0o700); err != nil {
				return err
			}
			if s.root, err = dir.OpenRoot(name); err != nil {
				return err
			}
			return s.root.Mkdir(treeName, 0o755)
		})
	})
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Dir) close() {
	if s.root != nil {
		s.root.Close()
	}
}

// Remove closes the stage and removes it with what is still in it.
func (s *Dir) Remove() error {
	s.close()
	return s.files.RemoveTree("remove stage", s.dir)
}

// Path is where a file of the stage stands.
func (s *Dir) Path(name string) string { return filepath.Join(s.dir, name) }

// Tree is where the staged tree stands.
func (s *Dir) Tree() string { return s.Path(treeName) }

// openTree opens the staged tree.
func (s *Dir) openTree() (*os.File, error) {
	return s.root.OpenFile(treeName, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// atTree calls do with a path of the staged tree for those that know nothing but paths, such as other programs. It leads
// through the open directory of the stage, so that it goes on leading there whatever becomes of the names above it. Where
// there is no /proc, it is the plain path, and do fails if that leads elsewhere in the end.
func (s *Dir) atTree(do func(tree string) error) error {
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	tree := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), treeName)
	if _, err := os.Lstat(tree); err != nil {
		return errors.Join(do(s.Tree()), s.ProveInPlace())
	}
	if err := do(tree); err != nil {
		return &stagedError{strings.ReplaceAll(err.Error(), tree, s.Tree()), err}
	}
	return nil
}

// stagedError is an error with the plain path of the stage in its text.
type stagedError struct {
	text string
	err  error
}

func (e *stagedError) Error() string { return e.text }

func (e *stagedError) Unwrap() error { return e.err }

// ProveInPlace fails unless the path of the staged tree leads to the tree that was made there.
func (s *Dir) ProveInPlace() error {
	made, err := s.root.Lstat(treeName)
	if err != nil {
		return err
	}
	if found, err := os.Lstat(s.Tree()); err != nil || !os.SameFile(made, found) {
		return errors.Join(fmt.Errorf("the stage %q was moved away while it was in use", s.dir), err)
	}
	return nil
}

// WriteFile writes a new file that everybody may read into the stage.
func (s *Dir) WriteFile(label, name string, write func(io.Writer) error) error {
	return s.files.Do(label, s.Path(name), func() error {
		f, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer f.Close()
		w := bufio.NewWriterSize(f, 1<<16)
		if err := write(w); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		if err := f.Chmod(0o644); err != nil {
			return err
		}
		return f.Close()
	})
}

// SyncFile makes one file of the stage durable.
func (s *Dir) SyncFile(label, name string) error {
	return s.files.Do(label, s.Path(name), func() error {
		f, err := s.root.Open(name)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// Sync makes everything in the stage durable, with all else on its file system.
func (s *Dir) Sync() error { return s.files.SyncFS("sync stage", s.dir) }
