package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

// unpublished is a tag whose records are staged, and not to be seen yet.
type unpublished struct {
	name     string
	manifest string // the file in the stage
	table    string // likewise; empty if there is none
	failed   error  // why its records could not be published
}

// stageTable stages what lookups in the tree at dir will need. It returns the name given, or nothing if there is no such
// table: they work without, only slower. The warning says why they will have to make do with an older tag.
func (m *Manager) stageTable(s *staged.Dir, name, dir string) (table, warning string) {
	if m.Table == nil {
		return "", ""
	}
	err := s.WriteFile("write table", name, func(w io.Writer) (err error) {
		warning, err = m.Table(w, dir)
		return err
	})
	if err != nil {
		return "", err.Error()
	}
	return name, warning
}

// stageManifest stages what records a tag.
func stageManifest(s *staged.Dir, name string, manifest *tag.Manifest) error {
	return s.WriteFile("write manifest", name, func(w io.Writer) error { return tag.WriteManifest(w, manifest) })
}

// publishRecords makes all that is staged durable, and then publishes the records of tags: all tables before the first
// manifest, because a tag with a manifest is one that is whole. What fails of one tag is said in it, and the others go on.
// complete is called when what may take long is done, to write what is still to be written. It is left to the caller to
// make the manifests' names durable.
func (m *Manager) publishRecords(s *staged.Dir, tags []*unpublished, complete func() error) error {
	l, tables := m.Base, false
	if err := s.Sync(); err != nil {
		return err
	}
	for _, t := range tags {
		if t.table != "" {
			t.failed, tables = m.files().Rename("publish table", s.Path(t.table), l.Table(t.name)), true
		}
	}
	if tables {
		if err := m.files().SyncDir("sync tables", filepath.Dir(l.Table(""))); err != nil {
			return err
		}
	}
	if err := complete(); err != nil {
		return err
	}
	for _, t := range tags {
		if t.failed == nil {
			t.failed = m.files().RenameNoReplace("publish manifest", s.Path(t.manifest), l.Manifest(t.name))
		}
	}
	return nil
}

// publish makes the staged tag durable and then visible: its records first, so that a tag that can be seen
// has them, and the tree by a rename that replaces nothing.
//
// The manifest is stamped only when what may take long is done, because the rings' delays count from then: a tag that
// becomes visible later than it says would be handed on too early.
//
// If only the last sync fails, the tag is there, and that a power cut may undo it is left over.
func (m *Manager) publish(s *staged.Dir, table string, manifest *tag.Manifest, r *Result) error {
	l, t := m.Base, &unpublished{name: r.Name, manifest: "manifest", table: table}
	err := m.publishRecords(s, []*unpublished{t}, func() error {
		if t.failed != nil {
			return t.failed
		}
		m.stamp(&manifest.Header)
		if err := stageManifest(s, t.manifest, manifest); err != nil {
			return err
		}
		return s.SyncFile("sync manifest", t.manifest)
	})
	if err := cmp.Or(err, t.failed); err != nil {
		return err
	}
	if err := m.files().SyncDir("sync manifests", filepath.Dir(l.Manifest(""))); err != nil {
		return err
	}
	if err := m.files().RenameNoReplace("publish tag", s.Tree(), l.Dir(t.name)); err != nil {
		return errors.Join(err, m.withdrawRecords(t.name, err))
	}
	r.Tree, r.Files, r.Bytes = manifest.Tree, manifest.Files, manifest.Bytes
	if err := m.files().SyncDir("sync tags", l.Tags()); err != nil {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("tag %s is published, but a power cut may undo it: %w", t.name, err))
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

// withdrawRecords removes the records of a tag that could not be published because something else had got its name
// meanwhile: they would tell of that. What stands for no tag at all is swept by the next run.
func (m *Manager) withdrawRecords(name string, cause error) error {
	if !errors.Is(cause, os.ErrExist) {
		return nil
	}
	return errors.Join(m.files().Remove("withdraw manifest", m.Base.Manifest(name)),
		m.files().Remove("withdraw table", m.Base.Table(name)))
}
