package snapshot

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// stageDir is where one tag is prepared: its tree, its manifest, and the table for lookups in it. Whoever makes one
// closes it.
type stageDir struct {
	dir      string
	root     *os.Root // dir, open
	hasTable bool
}

// treeName is the name of the staged tree.
const treeName = "tree"

func (s *stageDir) tree() string     { return filepath.Join(s.dir, treeName) }
func (s *stageDir) manifest() string { return filepath.Join(s.dir, "manifest") }
func (s *stageDir) table() string    { return filepath.Join(s.dir, "table") }

// newStage makes an empty stage on the file system of the tags.
func (m *Manager) newStage() (*stageDir, error) {
	s := &stageDir{dir: filepath.Join(m.Base.Stage(), rand.Text())}
	err := m.Step.Do("make stage", m.Base.Stage(), func() error {
		return m.files().In(s.dir, func(dir *os.Root, name string) (err error) {
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
	}
	return s, err
}

// close closes the directory, in which everything stays.
func (s *stageDir) close() {
	if s.root != nil {
		s.root.Close()
	}
}

// openTree opens the staged tree.
func (s *stageDir) openTree() (*os.File, error) {
	return s.root.OpenFile(treeName, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// atTree calls do with a path of the staged tree for those that know nothing but paths, such as other programs. It leads
// through the open directory of the stage, so that it goes on leading there whatever becomes of the names above it. Where
// there is no /proc, it is the plain path, and do fails if that leads elsewhere in the end.
func (s *stageDir) atTree(do func(tree string) error) error {
	dir, err := s.root.Open(".")
	if err != nil {
		return err
	}
	defer dir.Close()
	tree := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), treeName)
	if _, err := os.Lstat(tree); err != nil {
		return errors.Join(do(s.tree()), s.proveInPlace())
	}
	if err := do(tree); err != nil {
		return &stagedError{strings.ReplaceAll(err.Error(), tree, s.tree()), err}
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

// proveInPlace fails unless the path of the staged tree leads to the tree that was made there.
func (s *stageDir) proveInPlace() error {
	made, err := s.root.Lstat(treeName)
	if err != nil {
		return err
	}
	if found, err := os.Lstat(s.tree()); err != nil || !os.SameFile(made, found) {
		return errors.Join(fmt.Errorf("the stage %q was moved away while it was in use", s.dir), err)
	}
	return nil
}

// writeTable prepares lookups in the staged tree. They work without, only slower.
func (m *Manager) writeTable(s *stageDir) {
	if m.Table == nil {
		return
	}
	var warning string
	err := m.writeFile("write table", s, s.table(), func(w io.Writer) (err error) {
		warning, err = m.Table(w, s.tree())
		return err
	})
	if s.hasTable = err == nil; !s.hasTable {
		warning = err.Error()
	}
	if warning != "" {
		m.Warn("the hosts' groups cannot be read from this tag, so an older one serves until this is mended: " + warning)
	}
}

// writeFile writes a new file that everybody may read into the stage.
func (m *Manager) writeFile(label string, s *stageDir, path string, write func(io.Writer) error) error {
	return m.Step.Do(label, path, func() error {
		f, err := s.root.OpenFile(filepath.Base(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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

// publish makes the staged tag durable and then visible: its records first, so that a tag that can be seen
// has them, and the tree by a rename that replaces nothing.
//
// If only the last sync fails, the tag is there, and that a power cut may undo it is left over.
func (m *Manager) publish(s *stageDir, manifest *tag.Manifest, r *Result) error {
	l, name := m.Base, r.Name
	if err := m.publishRecords(s, manifest); err != nil {
		return err
	}
	if err := m.files().SyncDir("sync manifests", filepath.Dir(l.Manifest(name))); err != nil {
		return err
	}
	if err := m.files().RenameNoReplace("publish tag", s.tree(), l.Dir(name)); err != nil {
		return errors.Join(err, m.withdrawRecords(name, err))
	}
	r.Tree, r.Files, r.Bytes = manifest.Tree, manifest.Files, manifest.Bytes
	if err := m.files().SyncDir("sync tags", l.Tags()); err != nil {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("tag %s is published, but a power cut may undo it: %w", name, err))
	}
	return nil
}

// stamp records when a tag is published, and whether it is marked by then: no ring gets such a tag, and what it hands its
// mark on to depends on that.
func (m *Manager) stamp(h *tag.Header) {
	if m.Marked != nil {
		how, err := m.Marked(h.Name)
		if err != nil {
			m.Warn(fmt.Sprintf("whether %s is marked is not known, so it is published as a tag that is not: %v", h.Name, err))
		} else if how != "" {
			m.Warn(fmt.Sprintf("%s is published although it is %s: no ring gets it", h.Name, how))
			h.Marked = true
		}
	}
	h.Published = m.Clock()
}

// publishRecords makes all that is staged durable, and then publishes the records of a tag, the manifest last. It leaves
// to its caller to make the manifest's name durable.
//
// The manifest is stamped only when what may take long is done, because the rings' delays count from then: a tag that
// becomes visible later than it says would be handed on too early.
func (m *Manager) publishRecords(s *stageDir, manifest *tag.Manifest) error {
	l, name := m.Base, manifest.Name
	if err := m.files().SyncFS("sync stage", s.dir); err != nil {
		return err
	}
	if s.hasTable {
		if err := m.files().Rename("publish table", s.table(), l.Table(name)); err != nil {
			return err
		}
		if err := m.files().SyncDir("sync tables", filepath.Dir(l.Table(name))); err != nil {
			return err
		}
	}
	m.stamp(&manifest.Header)
	if err := m.writeManifest(s, manifest); err != nil {
		return err
	}
	return m.files().RenameNoReplace("publish manifest", s.manifest(), l.Manifest(name))
}

// writeManifest writes the manifest into the stage and makes it durable.
func (m *Manager) writeManifest(s *stageDir, manifest *tag.Manifest) error {
	err := m.writeFile("write manifest", s, s.manifest(), func(w io.Writer) error {
		return tag.WriteManifest(w, manifest)
	})
	if err != nil {
		return err
	}
	return m.Step.Do("sync manifest", s.manifest(), func() error {
		f, err := s.root.Open(filepath.Base(s.manifest()))
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}

// withdrawRecords removes the records of a tag that could not be published because something else had got its name
// meanwhile: they would tell of that. What stands for no tag at all is swept by the next run.
func (m *Manager) withdrawRecords(name string, cause error) error {
	if !errors.Is(cause, os.ErrExist) {
		return nil
	}
	return errors.Join(m.files().Remove("withdraw manifest", m.Base.Manifest(name)),
		m.files().Remove("withdraw table", m.Base.Table(name)))
}
