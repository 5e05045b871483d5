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
func stageTable(s *staged.Dir, site Site, name, dir string) (table, warning string) {
	write := site.Table(dir)
	if write == nil {
		return "", ""
	}
	err := s.WriteFile("write table", name, func(w io.Writer) (err error) {
		warning, err = write(w)
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
func (e Env) publishRecords(s *staged.Dir, tags []*unpublished, complete func() error) error {
	l, tables := e.Base, false
	if err := s.Sync(); err != nil {
		return err
	}
	for _, t := range tags {
		if t.table != "" {
			t.failed, tables = e.files().Rename("publish table", s.Path(t.table), l.Table(t.name)), true
		}
	}
	if tables {
		if err := e.files().SyncDir("sync tables", filepath.Dir(l.Table(""))); err != nil {
			return err
		}
	}
	if err := complete(); err != nil {
		return err
	}
	for _, t := range tags {
		if t.failed == nil {
			t.failed = e.files().RenameNoReplace("publish manifest", s.Path(t.manifest), l.Manifest(t.name))
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
func (t *taking) publish(s *staged.Dir, table string, manifest *tag.Manifest) error {
	l, u := t.Base, &unpublished{name: t.r.Name, manifest: "manifest", table: table}
	err := t.publishRecords(s, []*unpublished{u}, func() error {
		if u.failed != nil {
			return u.failed
		}
		t.stamp(&manifest.Header)
		if err := stageManifest(s, u.manifest, manifest); err != nil {
			return err
		}
		return s.SyncFile("sync manifest", u.manifest)
	})
	if err := cmp.Or(err, u.failed); err != nil {
		return err
	}
	if err := t.files().SyncDir("sync manifests", filepath.Dir(l.Manifest(""))); err != nil {
		return err
	}
	if err := t.files().RenameNoReplace("publish tag", s.Tree(), l.Dir(u.name)); err != nil {
		return errors.Join(err, t.withdrawRecords(u.name, err))
	}
	t.r.Tree, t.r.Files, t.r.Bytes = manifest.Tree, manifest.Files, manifest.Bytes
	if err := t.files().SyncDir("sync tags", l.Tags()); err != nil {
		t.r.LeftOver = append(t.r.LeftOver, fmt.Errorf("tag %s is published, but a power cut may undo it: %w", u.name, err))
	}
	return nil
}

// stamp records when a tag is published, and whether it is marked by then: no ring gets such a tag, and what it hands its
// mark on to depends on that.
func (t *taking) stamp(h *tag.Header) {
	how, err := t.site.Marked(h.Name)
	if err != nil {
		t.Warn(fmt.Sprintf("whether %s is marked is not known, so it is published as a tag that is not: %v", h.Name, err))
	} else if how != "" {
		t.Warn(fmt.Sprintf("%s is published although it is %s: no ring gets it", h.Name, how))
		h.Marked = true
	}
	h.Published = t.Clock()
}

// withdrawRecords removes the records of a tag that could not be published because something else had got its name
// meanwhile: they would tell of that. What stands for no tag at all is swept by the next run.
func (e Env) withdrawRecords(name string, cause error) error {
	if !errors.Is(cause, os.ErrExist) {
		return nil
	}
	return errors.Join(e.files().Remove("withdraw manifest", e.Base.Manifest(name)),
		e.files().Remove("withdraw table", e.Base.Table(name)))
}
