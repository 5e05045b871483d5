package snapshot

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/etch/etchtag/tagging"
)

// stageDir is where one tag is prepared: its tree, its manifest, and the table for lookups in it.
type stageDir struct {
	dir      string
	hasTable bool
}

func (s *stageDir) tree() string     { return filepath.Join(s.dir, "tree") }
func (s *stageDir) manifest() string { return filepath.Join(s.dir, "manifest") }
func (s *stageDir) table() string    { return filepath.Join(s.dir, "table") }

// newStage makes an empty stage on the file system of the tags.
func (m *Manager) newStage() (*stageDir, error) {
	s := &stageDir{}
	err := m.Step.do("make stage", m.Layout.Stage(), func() (err error) {
		if s.dir, err = os.MkdirTemp(m.Layout.Stage(), ""); err != nil {
			return err
		}
		return os.Mkdir(s.tree(), 0o755)
	})
	return s, err
}

// writeTable prepares lookups in the staged tree. They work without, only slower.
func (m *Manager) writeTable(s *stageDir) {
	if m.Table == nil {
		return
	}
	var warning string
	err := m.writeFile("write table", s.table(), func(w io.Writer) (err error) {
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

func (m *Manager) writeManifest(s *stageDir, manifest *tagging.Manifest) error {
	return m.writeFile("write manifest", s.manifest(), func(w io.Writer) error {
		return tagging.WriteManifest(w, manifest)
	})
}

// writeFile writes a new file that everybody may read.
func (m *Manager) writeFile(label, path string, write func(io.Writer) error) error {
	return m.Step.do(label, path, func() error {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
func (m *Manager) publish(s *stageDir, r *Result) error {
	l, name := m.Layout, r.Name
	if err := m.Step.syncFS("sync stage", s.dir); err != nil {
		return err
	}
	if s.hasTable {
		if err := m.Step.rename("publish table", s.table(), l.Table(name)); err != nil {
			return err
		}
		if err := m.Step.syncDir("sync tables", filepath.Dir(l.Table(name))); err != nil {
			return err
		}
	}
	if err := m.Step.rename("publish manifest", s.manifest(), l.Manifest(name)); err != nil {
		return err
	}
	if err := m.Step.syncDir("sync manifests", filepath.Dir(l.Manifest(name))); err != nil {
		return err
	}
	if err := m.Step.renameNoReplace("publish tag", s.tree(), l.Dir(name)); err != nil {
		return err
	}
	if err := m.Step.syncDir("sync tags", l.Tags()); err != nil {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("tag %s is published, but a power cut may undo it: %w", name, err))
	}
	return nil
}
