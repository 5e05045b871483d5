package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

// TakeOptions are what one snapshot can be told.
type TakeOptions struct {
	LockWait time.Duration // how long to wait for another run; 0 gives up at once
	NoUpdate bool          // publish the last revision that was fetched, without asking upstream
	NoPrune  bool
	Hour     time.Time // make the tag of this hour, not the present one; needs Revision
	Revision string    // a revision as users name it

	Cadence  tag.Cadence
	Layout   staged.Layout
	Check    []string              // a command and its arguments, run in the staged tree; nil for none
	Keep     Keep                  // what pruning leaves
	Progress func(done, total int) // told how many files of the total are staged; nil for nobody
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
func Take(ctx context.Context, e Env, from source.Source, site Site, o TakeOptions) (Result, error) {
	release, err := e.lock(ctx, o.LockWait)
	if err != nil {
		return Result{}, err
	}
	defer release()
	t := &taking{updating: updating{e, from, site}, TakeOptions: o, r: Result{LeftOver: e.sweep()}}
	err = t.run(ctx)
	return t.r, err
}

// taking is one run of Take.
type taking struct {
	updating
	TakeOptions
	r Result // as far as it is known
}

func (t *taking) run(ctx context.Context) error {
	t.refresh()
	what, err := t.whatToPublish(ctx)
	if err != nil {
		return err
	}
	at := t.Cadence.Floor(t.Clock())
	if !t.Hour.IsZero() {
		at = t.Hour
	}
	t.r.Name, t.r.Revision = tag.Name(at), what.revision.ID
	if _, err := os.Lstat(t.Base.Dir(t.r.Name)); err == nil {
		return t.describeExisting()
	} else if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := t.makeOf(ctx, what, at); err != nil {
		return fmt.Errorf("make tag %s of %s: %w", t.r.Name, what, err)
	}
	t.r.Created = true
	if !t.NoPrune {
		t.prune(ctx)
	}
	return nil
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
func (t *taking) whatToPublish(ctx context.Context) (content, error) {
	if t.Revision != "" {
		revision, err := t.source.Resolve(ctx, t.Revision)
		return content{revision: revision}, err
	}
	var updateErr error
	if !t.NoUpdate {
		var outcome source.Outcome
		outcome, updateErr = t.update(ctx)
		if updateErr == nil || ctx.Err() != nil {
			return content{revision: outcome.Revision}, updateErr
		}
	}
	last, err := t.source.Current(ctx)
	_, damaged := t.damaged(err)
	switch {
	case isMixed(err):
		for _, e := range []error{updateErr, err} {
			if e != nil {
				t.Warn(e.Error())
			}
		}
		t.r.Stale = true
		return content{again: true}, nil
	case t.NoUpdate:
		return content{revision: last}, err
	case damaged:
		return content{}, fmt.Errorf("%w; and what was fetched before cannot be published: %w", updateErr, err)
	case err != nil:
		return content{}, updateErr // what keeps the last revision from being read keeps it from being updated too
	}
	t.r.Stale = true
	t.Warn(updateErr.Error())
	return content{revision: last}, nil
}

// describeExisting fills the result from the tag that is there already.
func (t *taking) describeExisting() error {
	t.r.Revision = ""
	header, err := tag.ReadHeader(t.Base.Manifest(t.r.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil // a tag of repo_update
	}
	if err != nil {
		return err
	}
	t.r.Revision, t.r.Tree, t.r.Files, t.r.Bytes = header.Revision, header.Tree, header.Files, header.Bytes
	return nil
}

// makeOf makes the tag. If the working copy turns out to have nothing whole, and upstream cannot put that right, the tag is
// made of what the newest one has.
func (t *taking) makeOf(ctx context.Context, what content, at time.Time) error {
	if !what.again {
		err := t.makeOrHeal(ctx, what.revision)
		if !t.r.Stale || !isMixed(err) {
			return err
		}
		t.Warn(err.Error())
	}
	return t.makeAgain(ctx, at)
}

// makeOrHeal makes the tag. If what was fetched of the revision turns out to be damaged, it is fetched again, which
// may bring a newer revision, and the tag is made of that.
func (t *taking) makeOrHeal(ctx context.Context, revision source.Revision) error {
	fill := func(ctx context.Context, stage *staged.Dir) ([]tag.Entry, source.Revision, error) {
		return stage.Fill(ctx, t.source, revision, t.fillOptions())
	}
	err := t.make(ctx, fill)
	store, damaged := t.damaged(err)
	if !damaged || t.NoUpdate {
		return err
	}
	outcome, healErr := store.Heal(ctx, err)
	for _, w := range outcome.Warnings {
		t.Warn(w)
	}
	if healErr != nil {
		return healErr // which names the damage too
	}
	if t.Revision == "" {
		revision, t.r.Stale = outcome.Revision, false
		t.r.Revision = revision.ID
	}
	return t.make(ctx, fill)
}

// damaged reports whether an error means that what the source keeps is damaged, and returns what can heal it then.
func (t *taking) damaged(err error) (source.Store, bool) {
	store, ok := t.source.(source.Store)
	return store, ok && err != nil && store.Damaged(err)
}

// filler stages the tree of a tag. It returns what it staged, and the revision that this turned out to be.
type filler func(ctx context.Context, stage *staged.Dir) ([]tag.Entry, source.Revision, error)

// make stages, checks and publishes one tag.
func (t *taking) make(ctx context.Context, fill filler) error {
	if err := staged.CheckSpace(t.Base, t.Layout, nil, nil); err != nil {
		return err
	}
	stage, err := staged.New(t.Base, t.Step)
	if err != nil {
		return err
	}
	defer func() {
		if cleanErr := stage.Remove(); cleanErr != nil {
			t.r.LeftOver = append(t.r.LeftOver, cleanErr)
		}
	}()
	entries, revision, err := fill(ctx, stage)
	if err != nil {
		return err
	}
	t.r.Revision = revision.ID
	manifest := tag.Manifest{Header: tag.Header{Name: t.r.Name, Revision: revision.ID,
		Source: t.source.Kind(), Stale: t.r.Stale, Layout: string(t.Layout)}, Entries: entries}
	if err := t.runCheck(ctx, stage.Tree(), &manifest); err != nil {
		return err
	}
	table, warning := stageTable(stage, t.site, "table", stage.Tree())
	if warning != "" {
		t.Warn("the hosts' groups cannot be read from this tag, so an older one serves until this is mended: " + warning)
	}
	return t.publish(stage, table, &manifest)
}

// fillOptions are what the staging of a new tag is told.
func (t *taking) fillOptions() staged.Options {
	return staged.Options{Layout: t.Layout, Note: t.Note, Progress: t.Progress}
}
