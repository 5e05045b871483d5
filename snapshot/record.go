package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

// Recording is about to give manifests to tags that have none because some other program made them, so that they can be
// verified from now on. It records what is there: whether that is right is for its caller to know. The tags themselves
// are not touched. Until Publish nobody sees anything of it, so that somebody may look first at what follows: manifests
// show which tags have the same content, and a mark is handed on to all of them.
//
// Whoever has one closes it.
type Recording struct {
	// Reports tell what came of each tag. A failure says why it could not be adopted.
	Reports []TagReport
	// LeftOver is what dead runs have left and could not be swept, or what could not be done although the rest was.
	LeftOver []error

	env     Env
	site    Site
	release func()
	stage   *staged.Dir
	ready   []adoptable
}

// adoptable is a tag whose records are staged.
type adoptable struct {
	unpublished
	header *tag.Header
	report int // its index
}

// Record records the tags that o names, and stages their manifests. It fails with ErrBusy if another run holds
// the lock, which the recording then holds until it is closed.
func Record(ctx context.Context, e Env, site Site, o VerifyOptions) (*Recording, error) {
	release, err := e.lock(ctx, o.LockWait)
	if err != nil {
		return nil, err
	}
	a := &Recording{env: e, site: site, release: release, LeftOver: e.sweep()}
	if err := a.prepare(ctx, o); err != nil {
		a.Close()
		return nil, errors.Join(err, errors.Join(a.LeftOver...))
	}
	return a, nil
}

func (a *Recording) prepare(ctx context.Context, o VerifyOptions) error {
	tags, err := chooseTags(a.env.Base, o.Tags, func(t *tag.Tag) bool { return !hasManifest(t) })
	if err != nil || len(tags) == 0 {
		return err
	}
	if a.stage, err = staged.New(a.env.Base, a.env.Step); err != nil {
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
func (a *Recording) record(ctx context.Context, t *tag.Tag, read func()) error {
	if _, ok, err := t.Header(); err != nil {
		return fmt.Errorf("it has a manifest, which is damaged: if the tag is right as it is, remove %s and adopt it again; "+
			"if not, mark it bad: %w", a.env.Base.Manifest(t.Name), err)
	} else if ok {
		return errors.New("it has a manifest already")
	}
	dir := a.env.Base.Dir(t.Name)
	entries, err := staged.Record(ctx, dir, read)
	if err != nil {
		return err
	}
	manifest := &tag.Manifest{Header: tag.Header{Name: t.Name, Source: tag.Adopted, Layout: tag.Adopted,
		Published: t.Time}, Entries: entries}
	table, warning := stageTable(a.stage, a.site, t.Name+".table", dir)
	if warning != "" {
		a.env.Warn(fmt.Sprintf("the hosts' groups cannot be read from %s, so an older tag serves: %s", dir, warning))
	}
	if err := stageManifest(a.stage, t.Name, manifest); err != nil {
		return err
	}
	header := manifest.Header // without the entries, of which there may be many
	a.ready = append(a.ready, adoptable{unpublished{name: t.Name, manifest: t.Name, table: table}, &header, len(a.Reports)})
	return nil
}

// Headers are what the manifests of the tags that can be adopted begin with.
func (a *Recording) Headers() []*tag.Header {
	headers := make([]*tag.Header, len(a.ready))
	for i, t := range a.ready {
		headers[i] = t.header
	}
	return headers
}

// Publish makes what is staged durable and then visible, each manifest after its table: until then the tag has none, and
// to adopt it again does it all anew. On an error nothing is published; what failed of single tags the reports tell.
func (a *Recording) Publish() error {
	if len(a.ready) == 0 {
		return nil
	}
	tags := make([]*unpublished, len(a.ready))
	for i := range a.ready {
		tags[i] = &a.ready[i].unpublished
	}
	if err := a.env.publishRecords(a.stage, tags, func() error { return nil }); err != nil {
		return err
	}
	for _, t := range a.ready {
		r := &a.Reports[t.report]
		if r.Failure = t.failed; r.Failure == nil {
			r.Status, r.Files, r.Bytes = StatusAdopted, t.header.Files, t.header.Bytes
		}
	}
	if err := a.env.files().SyncDir("sync manifests", filepath.Dir(a.env.Base.Manifest(""))); err != nil {
		a.LeftOver = append(a.LeftOver, fmt.Errorf("what is adopted a power cut may undo: %w", err))
	}
	return nil
}

// Close removes what is staged and lets others work.
func (a *Recording) Close() {
	if a.stage != nil {
		if err := a.stage.Remove(); err != nil {
			a.LeftOver = append(a.LeftOver, err)
		}
	}
	a.release()
}
