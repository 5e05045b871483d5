// Package snapshot makes tags of the configuration's working copy, and removes old ones.
//
// It guarantees that a tag is complete or absent. A tree is written and proved in a directory that
// nobody else can enter, made durable together with its manifest, and then published by one rename
// that replaces nothing. Whatever dies on the way leaves only what the next run sweeps. A tag goes by one
// rename too, and comes back by one if somebody turns out to need it. Whoever makes, publishes or removes
// tags holds one lock; readers need none.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

// Manager makes and removes the tags of one base.
type Manager struct {
	Base    tag.Base
	Cadence tag.Cadence
	Source  source.Source
	Layout  staged.Layout
	Check   []string // a command and its arguments, run in the staged tree; nil for none
	Keep    Keep
	// Clock gives the present. It is asked again after the update, which may have taken long.
	Clock func() time.Time
	// Table writes what lookups in the staged tree at dir will need; nil if there is nothing. It warns if lookups
	// will have to make do with an older tag. Even its failure is only a warning.
	Table func(w io.Writer, dir string) (warning string, err error)
	// Marked says how a tag is marked bad or badfwd that is about to be published, or nothing if it is not; nil if nobody
	// marks tags. Even its failure is only a warning.
	Marked func(name string) (how string, err error)
	// Refresh prepares lookups in what belongs to no tag; nil if there is nothing. Even its failure is only a warning.
	Refresh func() error
	// Needs asks, as of now, everybody who may need tags, which may take minutes.
	Needs func(ctx context.Context, now time.Time) Needs
	// Replaced is told when the working copy in the directory old is about to be replaced by one of another upstream
	// in the directory fresh, so that it can save what must not be lost; nil if there is nothing of that kind.
	Replaced func(old, fresh string) error
	// Warn is told at once of everything that somebody should look at; Note of what holds for every
	// run until the configuration is changed.
	Warn, Note func(message string)
	// Progress is told how many files of the total are staged; nil for nobody.
	Progress func(done, total int)
	Step     disk.Step
}

// TakeOptions are what one snapshot can be told.
type TakeOptions struct {
	LockWait time.Duration // how long to wait for another run; 0 gives up at once
	NoUpdate bool          // publish the last revision that was fetched, without asking upstream
	NoPrune  bool
	Hour     time.Time // make the tag of this hour, not the present one; needs Revision
	Revision string    // a revision as users name it
}

// Result says what a run did.
type Result struct {
	Name     string // the tag
	Revision string
	Tree     string
	Created  bool   // false if the tag was there already
	Stale    bool   // upstream could not be asked
	Again    string // the tag whose content this one has, too, because the working copy had nothing whole; else empty
	Files    int
	Bytes    int64
	Pruned   []string
	// LeftOver is what could not be done although the rest was.
	LeftOver []error
}

// Take makes the tag of the present hour, in the order that keeps it safe: lock, sweep, update, stage,
// publish, prune.
//
// It fails with ErrBusy if another run holds the lock. Any other error means that no tag was made.
func (m *Manager) Take(ctx context.Context, o TakeOptions) (Result, error) {
	release, err := m.lock(ctx, o.LockWait)
	if err != nil {
		return Result{}, err
	}
	defer release()
	r := Result{LeftOver: m.sweep()}
	m.refresh()

	what, err := m.whatToPublish(ctx, o, &r)
	if err != nil {
		return r, err
	}
	at := m.Cadence.Floor(m.Clock())
	if !o.Hour.IsZero() {
		at = o.Hour
	}
	r.Name, r.Revision = tag.Name(at), what.revision.ID
	if _, err := os.Lstat(m.Base.Dir(r.Name)); err == nil {
		err = m.describeExisting(&r)
		return r, err
	} else if !errors.Is(err, os.ErrNotExist) {
		return r, err
	}
	if err := m.makeOf(ctx, what, at, o, &r); err != nil {
		return r, fmt.Errorf("make tag %s of %s: %w", r.Name, what, err)
	}
	r.Created = true
	if !o.NoPrune {
		m.pruneAfter(ctx, &r)
	}
	return r, nil
}

// content is what a tag is to be made of: a revision or, if that is not to be had whole, what the newest tag has.
type content struct {
	revision source.Revision
	again    bool
}

func (c content) String() string {
	if c.again {
		return "what the newest one has"
	}
	return "revision " + c.revision.ID
}

// whatToPublish updates the working copy, or falls back on what was fetched before: a missing hour would
// hurt those who count on it more than one that is marked stale.
func (m *Manager) whatToPublish(ctx context.Context, o TakeOptions, r *Result) (content, error) {
	if o.Revision != "" {
		revision, err := m.Source.Resolve(ctx, o.Revision)
		return content{revision: revision}, err
	}
	var updateErr error
	if !o.NoUpdate {
		var outcome source.Outcome
		outcome, updateErr = m.update(ctx)
		if updateErr == nil || ctx.Err() != nil {
			return content{revision: outcome.Revision}, updateErr
		}
	}
	last, err := m.Source.Current(ctx)
	store, isStore := m.Source.(source.Store)
	switch {
	case isMixed(err):
		for _, e := range []error{updateErr, err} {
			if e != nil {
				m.Warn(e.Error())
			}
		}
		r.Stale = true
		return content{again: true}, nil
	case o.NoUpdate:
		return content{revision: last}, err
	case err != nil && isStore && store.Damaged(err):
		return content{}, fmt.Errorf("%w; and what was fetched before cannot be published: %w", updateErr, err)
	case err != nil:
		return content{}, updateErr // what keeps the last revision from being read keeps it from being updated too
	}
	r.Stale = true
	m.Warn(updateErr.Error())
	return content{revision: last}, nil
}

// Update brings the working copy to upstream's newest revision. It fails with ErrBusy if another run
// holds the lock.
func (m *Manager) Update(ctx context.Context, lockWait time.Duration) (source.Outcome, error) {
	release, err := m.lock(ctx, lockWait)
	if err != nil {
		return source.Outcome{}, err
	}
	defer release()
	m.refresh()
	return m.update(ctx)
}

func (m *Manager) refresh() {
	if m.Refresh == nil {
		return
	}
	if err := m.Refresh(); err != nil {
		m.Warn(err.Error())
	}
}

func (m *Manager) update(ctx context.Context) (source.Outcome, error) {
	outcome, err := m.updateOrClone(ctx)
	for _, w := range outcome.Warnings {
		m.Warn(w)
	}
	record := LastUpdate{Time: m.Clock(), Revision: outcome.Revision.ID}
	if err != nil {
		err = fmt.Errorf("update the working copy: %w", err)
		record.Failure = err.Error()
	}
	if recordErr := m.recordUpdate(record); recordErr != nil {
		m.Warn(recordErr.Error())
	}
	return outcome, err
}

// NoWorkingCopy reports whether there is no working copy yet, or an empty directory in its place.
func (m *Manager) NoWorkingCopy() (bool, error) {
	entries, err := os.ReadDir(m.Base.Trunk())
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && len(entries) == 0, err
}

// updateOrClone makes the working copy anew if it is gone, all of it being upstream's, or another source's.
func (m *Manager) updateOrClone(ctx context.Context) (source.Outcome, error) {
	missing, err := m.NoWorkingCopy()
	if err != nil {
		return source.Outcome{}, err
	}
	if missing {
		return m.Source.Clone(ctx)
	}
	reason, err := m.Source.Foreign()
	if err != nil {
		return source.Outcome{}, err
	}
	if reason != "" {
		return m.adopt(ctx, reason)
	}
	return m.Source.Update(ctx)
}

// describeExisting fills the result from the tag that is there already.
func (m *Manager) describeExisting(r *Result) error {
	r.Revision = ""
	header, err := tag.ReadHeader(m.Base.Manifest(r.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a tag of repo_update
	}
	if err != nil {
		return err
	}
	r.Revision, r.Tree, r.Files, r.Bytes = header.Revision, header.Tree, header.Files, header.Bytes
	return nil
}

// makeOf makes the tag. If the working copy turns out to have nothing whole, and upstream cannot put that right, the tag is
// made of what the newest one has.
func (m *Manager) makeOf(ctx context.Context, what content, at time.Time, o TakeOptions, r *Result) error {
	if !what.again {
		err := m.makeOrHeal(ctx, what.revision, o, r)
		if !r.Stale || !isMixed(err) {
			return err
		}
		m.Warn(err.Error())
	}
	return m.makeAgain(ctx, at, r)
}

// makeOrHeal makes the tag. If what was fetched of the revision turns out to be damaged, it is fetched again, which
// may bring a newer revision, and the tag is made of that.
func (m *Manager) makeOrHeal(ctx context.Context, revision source.Revision, o TakeOptions, r *Result) error {
	fill := func(ctx context.Context, stage *staged.Dir) ([]tag.Entry, source.Revision, error) {
		return stage.Fill(ctx, m.Source, revision, m.fillOptions())
	}
	err := m.make(ctx, fill, r)
	store, ok := m.Source.(source.Store)
	if err == nil || o.NoUpdate || !ok || !store.Damaged(err) {
		return err
	}
	outcome, healErr := store.Heal(ctx, err)
	for _, w := range outcome.Warnings {
		m.Warn(w)
	}
	if healErr != nil {
		return healErr // which names the damage too
	}
	if o.Revision == "" {
		revision, r.Stale = outcome.Revision, false
		r.Revision = revision.ID
	}
	return m.make(ctx, fill, r)
}

// filler stages the tree of a tag. It returns what it staged, and the revision that this turned out to be.
type filler func(ctx context.Context, stage *staged.Dir) ([]tag.Entry, source.Revision, error)

// make stages, checks and publishes one tag.
func (m *Manager) make(ctx context.Context, fill filler, r *Result) (err error) {
	if err := staged.CheckSpace(m.Base, m.Layout, nil, nil); err != nil {
		return err
	}
	stage, err := staged.New(m.Base, m.Step)
	if err != nil {
		return err
	}
	defer func() {
		if cleanErr := stage.Remove(); cleanErr != nil {
			r.LeftOver = append(r.LeftOver, cleanErr)
		}
	}()
	entries, revision, err := fill(ctx, stage)
	if err != nil {
		return err
	}
	r.Revision = revision.ID
	manifest := tag.Manifest{Header: tag.Header{Name: r.Name, Revision: revision.ID,
		Source: m.Source.Kind(), Stale: r.Stale, Layout: string(m.Layout)}, Entries: entries}
	if err := m.runCheck(ctx, stage.Tree(), &manifest); err != nil {
		return err
	}
	table, warning := m.stageTable(stage, "table", stage.Tree())
	if warning != "" {
		m.Warn("the hosts' groups cannot be read from this tag, so an older one serves until this is mended: " + warning)
	}
	return m.publish(stage, table, &manifest, r)
}

// fillOptions are what the staging of a new tag is told.
func (m *Manager) fillOptions() staged.Options {
	return staged.Options{Layout: m.Layout, Note: m.Note, Progress: m.Progress}
}

// Prepare makes the directories that everything else stands in.
func (m *Manager) Prepare() error {
	if _, err := os.Stat(m.Base.Path); err != nil {
		return fmt.Errorf("the base: %w", err)
	}
	l := m.Base
	if _, err := os.Stat(l.Tags()); errors.Is(err, os.ErrNotExist) {
		// One that is there keeps its owner and mode: they are the administrator's choice.
		if err := m.files().PublicDir("make directory", l.Tags()); err != nil {
			return err
		}
	}
	public, private := ownDirs(l)
	for _, dir := range public {
		if err := m.files().PublicDir("make directory", dir); err != nil {
			return err
		}
	}
	for _, dir := range private {
		if err := m.files().PrivateDir("make directory", dir); err != nil {
			return err
		}
	}
	return nil
}

// ownDirs are our own directories among the tags, each after the one that it stands in: those that everybody may read,
// and those that nobody else may enter.
func ownDirs(l tag.Base) (public, private []string) {
	return []string{l.Work(), filepath.Dir(l.Manifest("x")), filepath.Dir(l.Table("x"))},
		[]string{l.Stage(), l.Trash(), l.Discarded()}
}

// files performs the operations that change what stands in the tags' directory.
func (m *Manager) files() disk.Files { return disk.Files{Step: m.Step, Dir: m.Base.Tags()} }
