package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/etch/etchtag/tagging"
	"golang.org/x/sys/unix"
)

// Adopt writes manifests of tags that have none since some other program made them, so that they can be verified from
// now on. It records what is there: whether that is right is for its caller to know. The tags themselves are not
// touched.
//
// A report tells why a tag could not be adopted; what the error list tells of is left over from runs that died. It
// fails with ErrBusy if another run holds the lock.
func (m *Manager) Adopt(ctx context.Context, o VerifyOptions) ([]TagReport, []error, error) {
	release, err := m.lock(ctx, o.LockWait)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	leftOver := m.sweep()
	tags, err := chooseTags(m.Layout, o.Tags, func(t *tagging.Tag) bool { return !hasManifest(t) })
	if err != nil {
		return nil, leftOver, err
	}
	read := countFiles(nil, o.Progress)
	var reports []TagReport
	for _, t := range tags {
		report := TagReport{Name: t.Name, Status: StatusUnverified}
		report.Failure = m.adoptTag(ctx, t, read, &report)
		if ctx.Err() != nil {
			return reports, leftOver, context.Cause(ctx)
		}
		reports = append(reports, report)
	}
	return reports, leftOver, nil
}

// adoptTag records one tag.
func (m *Manager) adoptTag(ctx context.Context, t *tagging.Tag, read func(), r *TagReport) error {
	if _, ok, err := t.Header(); err != nil {
		return fmt.Errorf("it has a manifest, which is damaged: if the tag is right as it is, remove %s and adopt it again; "+
			"if not, mark it bad: %w", m.Layout.Manifest(t.Name), err)
	} else if ok {
		return errors.New("it has a manifest already")
	}
	dir := m.Layout.Dir(t.Name)
	entries, err := recordTree(ctx, dir, read)
	if err != nil {
		return err
	}
	stage, err := m.newStage()
	if err != nil {
		return err
	}
	defer stage.close()
	defer func() {
		if err := m.files().removeAll("remove stage", stage.dir); err != nil {
			r.LeftOver = append(r.LeftOver, err)
		}
	}()
	m.writeAdoptedTable(stage, dir)
	manifest := &tagging.Manifest{Header: tagging.Header{Name: t.Name, Source: tagging.Adopted, Layout: tagging.Adopted},
		Entries: entries}
	if err := m.publishRecords(stage, manifest, func(h *tagging.Header) { h.Published = t.Time }); err != nil {
		return err // the tag has no manifest, and to adopt it again does it all anew
	}
	if err := m.files().syncDir("sync manifests", filepath.Dir(m.Layout.Manifest(t.Name))); err != nil {
		r.LeftOver = append(r.LeftOver, fmt.Errorf("tag %s is adopted, but a power cut may undo it: %w", t.Name, err))
	}
	r.Status, r.Files, r.Bytes = StatusAdopted, manifest.Files, manifest.Bytes
	return nil
}

// writeAdoptedTable prepares lookups in a tag. They work without, only slower.
func (m *Manager) writeAdoptedTable(stage *stageDir, dir string) {
	if m.Table == nil {
		return
	}
	var warning string
	err := m.writeFile("write table", stage, stage.table(), func(w io.Writer) (err error) {
		warning, err = m.Table(w, dir)
		return err
	})
	if stage.hasTable = err == nil; !stage.hasTable {
		warning = err.Error()
	}
	if warning != "" {
		m.Warn(fmt.Sprintf("the hosts' groups cannot be read from %s, so an older tag serves: %s", dir, warning))
	}
}

// recordTree lists the tree at dir as a manifest does. It refuses a tree in which something is that no tag may have:
// files that give whoever runs them another's rights, devices, fifos, sockets; one with something that cannot be
// read; and one without files.
func recordTree(ctx context.Context, dir string, read func()) ([]tagging.ManifestEntry, error) {
	r := treeRecord{counted: read, entries: map[string]*tagging.ManifestEntry{}, dirs: map[string]bool{}}
	if err := walkTree(ctx, dir, &r); err != nil {
		return nil, err
	}
	if len(r.against) > 0 {
		const most = 5
		slices.Sort(r.against)
		text := strings.Join(r.against[:min(most, len(r.against))], ", ")
		if more := len(r.against) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		return nil, errors.New("it is refused, for " + text)
	}
	if len(r.entries) == 0 {
		return nil, errors.New("it is refused, for it has no files: an empty configuration is nothing to record")
	}
	entries := make([]tagging.ManifestEntry, 0, len(r.entries))
	for _, e := range r.entries {
		entries = append(entries, *e)
	}
	for p, empty := range r.dirs {
		if empty && p != "." {
			entries = append(entries, tagging.ManifestEntry{Path: p, Mode: tagging.ModeEmptyDir})
		}
	}
	return entries, nil
}

// treeRecord is the visitor that lists a tree.
type treeRecord struct {
	counted func() // called for each file; nil for nobody

	mu      sync.Mutex // guards the rest
	entries map[string]*tagging.ManifestEntry
	dirs    map[string]bool // whether nothing was met in a directory
	against []string        // why the tree cannot be recorded
}

func (r *treeRecord) meet(p string, st *unix.Stat_t) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != "." {
		r.dirs[path.Dir(p)] = false
	}
	e := &tagging.ManifestEntry{Path: p, Mode: tagging.ModeFile}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		r.dirs[p] = true
		return true
	case kind == unix.S_IFLNK:
		e.Mode = tagging.ModeSymlink
	case kind != unix.S_IFREG:
		r.against = append(r.against, fmt.Sprintf("%q is %s", p, typeName(st.Mode)))
		return false
	case st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		r.against = append(r.against, fmt.Sprintf("%q has the mode %04o", p, st.Mode&0o7777))
		return false
	case st.Mode&0o111 != 0:
		e.Mode = tagging.ModeExecutable
	}
	r.entries[p] = e
	return true
}

func (r *treeRecord) read(p string, c contents) {
	if r.counted != nil {
		r.counted()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries[p].Size, r.entries[p].Hash = c.size, c.hash
}

func (r *treeRecord) failed(p string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.against = append(r.against, fmt.Sprintf("%q cannot be read: %v", p, err))
}
