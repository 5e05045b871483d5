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

	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Adoption is about to give manifests to tags that have none because some other program made them, so that they can be
// verified from now on. It records what is there: whether that is right is for its caller to know. The tags themselves
// are not touched. Until Publish nobody sees anything of it, so that somebody may look first at what follows: manifests
// show which tags have the same content, and a mark is handed on to all of them.
//
// Whoever has one closes it.
type Adoption struct {
	// Reports tell what came of each tag. A failure says why it could not be adopted.
	Reports []TagReport
	// LeftOver is what dead runs have left and could not be swept, or what could not be done although the rest was.
	LeftOver []error

	m       *Manager
	release func()
	stage   *stageDir
	ready   []adoptable
}

// adoptable is a tag whose records are staged.
type adoptable struct {
	header          *tag.Header
	manifest, table string // where; table is empty if there is none
	report          int    // its index
}

// PrepareAdoption records the tags that o names, and stages their manifests. It fails with ErrBusy if another run holds
// the lock, which the adoption then holds until it is closed.
func (m *Manager) PrepareAdoption(ctx context.Context, o VerifyOptions) (*Adoption, error) {
	release, err := m.lock(ctx, o.LockWait)
	if err != nil {
		return nil, err
	}
	a := &Adoption{m: m, release: release, LeftOver: m.sweep()}
	if err := a.prepare(ctx, o); err != nil {
		a.Close()
		return nil, errors.Join(err, errors.Join(a.LeftOver...))
	}
	return a, nil
}

func (a *Adoption) prepare(ctx context.Context, o VerifyOptions) error {
	tags, err := chooseTags(a.m.Base, o.Tags, func(t *tag.Tag) bool { return !hasManifest(t) })
	if err != nil || len(tags) == 0 {
		return err
	}
	if a.stage, err = a.m.newStage(); err != nil {
		return err
	}
	read := countFiles(nil, o.Progress)
	for _, t := range tags {
		r := TagReport{Name: t.Name, Status: StatusUnverified}
		r.Failure = a.record(ctx, t, read)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		a.Reports = append(a.Reports, r)
	}
	return nil
}

// record stages the records of one tag.
func (a *Adoption) record(ctx context.Context, t *tag.Tag, read func()) error {
	if _, ok, err := t.Header(); err != nil {
		return fmt.Errorf("it has a manifest, which is damaged: if the tag is right as it is, remove %s and adopt it again; "+
			"if not, mark it bad: %w", a.m.Base.Manifest(t.Name), err)
	} else if ok {
		return errors.New("it has a manifest already")
	}
	dir := a.m.Base.Dir(t.Name)
	entries, err := recordTree(ctx, dir, read)
	if err != nil {
		return err
	}
	manifest := &tag.Manifest{Header: tag.Header{Name: t.Name, Source: tag.Adopted, Layout: tag.Adopted,
		Published: t.Time}, Entries: entries}
	path := filepath.Join(a.stage.dir, t.Name)
	table := a.writeTable(dir, path+".table")
	err = a.m.writeFile("write manifest", a.stage, path, func(w io.Writer) error { return tag.WriteManifest(w, manifest) })
	if err != nil {
		return err
	}
	header := manifest.Header // without the entries, of which there may be many
	a.ready = append(a.ready, adoptable{&header, path, table, len(a.Reports)})
	return nil
}

// writeTable prepares lookups in a tag, and returns the path, or nothing if there is none: they work without, only slower.
func (a *Adoption) writeTable(dir, path string) string {
	if a.m.Table == nil {
		return ""
	}
	var warning string
	err := a.m.writeFile("write table", a.stage, path, func(w io.Writer) (err error) {
		warning, err = a.m.Table(w, dir)
		return err
	})
	if err != nil {
		warning, path = err.Error(), ""
	}
	if warning != "" {
		a.m.Warn(fmt.Sprintf("the hosts' groups cannot be read from %s, so an older tag serves: %s", dir, warning))
	}
	return path
}

// Headers are what the manifests of the tags that can be adopted begin with.
func (a *Adoption) Headers() []*tag.Header {
	headers := make([]*tag.Header, len(a.ready))
	for i, t := range a.ready {
		headers[i] = t.header
	}
	return headers
}

// Publish makes what is staged durable and then visible, each manifest after its table: until then the tag has none, and
// to adopt it again does it all anew. On an error nothing is published; what failed of single tags the reports tell.
func (a *Adoption) Publish() error {
	if len(a.ready) == 0 {
		return nil
	}
	l, files := a.m.Base, a.m.files()
	if err := files.SyncFS("sync stage", a.stage.dir); err != nil {
		return err
	}
	for _, t := range a.ready {
		if t.table != "" {
			a.Reports[t.report].Failure = files.Rename("publish table", t.table, l.Table(t.header.Name))
		}
	}
	if err := files.SyncDir("sync tables", filepath.Dir(l.Table(""))); err != nil {
		return err
	}
	for _, t := range a.ready {
		r := &a.Reports[t.report]
		if r.Failure == nil {
			r.Failure = files.RenameNoReplace("publish manifest", t.manifest, l.Manifest(r.Name))
		}
		if r.Failure == nil {
			r.Status, r.Files, r.Bytes = StatusAdopted, t.header.Files, t.header.Bytes
		}
	}
	if err := files.SyncDir("sync manifests", filepath.Dir(l.Manifest(""))); err != nil {
		a.LeftOver = append(a.LeftOver, fmt.Errorf("what is adopted a power cut may undo: %w", err))
	}
	return nil
}

// Close removes what is staged and lets others work.
func (a *Adoption) Close() {
	if a.stage != nil {
		a.stage.close()
		if err := a.m.files().RemoveAll("remove stage", a.stage.dir); err != nil {
			a.LeftOver = append(a.LeftOver, err)
		}
	}
	a.release()
}

// recordTree lists the tree at dir as a manifest does. It refuses a tree in which something is that no tag may have:
// files that give whoever runs them another's rights, devices, fifos, sockets; one with something that cannot be
// read; and one without files.
func recordTree(ctx context.Context, dir string, read func()) ([]tag.Entry, error) {
	r := treeRecord{counted: read, entries: map[string]*tag.Entry{}, dirs: map[string]bool{}}
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
	entries := make([]tag.Entry, 0, len(r.entries))
	for _, e := range r.entries {
		entries = append(entries, *e)
	}
	for p, empty := range r.dirs {
		if empty && p != "." {
			entries = append(entries, tag.Entry{Path: p, Mode: tag.ModeEmptyDir})
		}
	}
	return entries, nil
}

// treeRecord is the visitor that lists a tree.
type treeRecord struct {
	counted func() // called for each file; nil for nobody

	mu      sync.Mutex // guards the rest
	entries map[string]*tag.Entry
	dirs    map[string]bool // whether nothing was met in a directory
	against []string        // why the tree cannot be recorded
}

func (r *treeRecord) meet(p string, st *unix.Stat_t) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != "." {
		r.dirs[path.Dir(p)] = false
	}
	e := &tag.Entry{Path: p, Mode: tag.ModeFile}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		r.dirs[p] = true
		return true
	case kind == unix.S_IFLNK:
		e.Mode = tag.ModeSymlink
	case kind != unix.S_IFREG:
		r.against = append(r.against, fmt.Sprintf("%q is %s", p, typeName(st.Mode)))
		return false
	case st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		r.against = append(r.against, fmt.Sprintf("%q has the mode %04o", p, st.Mode&0o7777))
		return false
	case st.Mode&0o111 != 0:
		e.Mode = tag.ModeExecutable
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
