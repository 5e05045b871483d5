package snapshot

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
)

// replace replaces the working copy, which for the reason given is not the source's, by one that is, and sets the old
// one aside. Clients that are served from the working copy find one of the two at every moment, and on an error
// the old one stays.
func (u updating) replace(ctx context.Context, reason string) (source.Outcome, error) {
	failed := func(err error) (source.Outcome, error) {
		return source.Outcome{}, fmt.Errorf("the working copy %s is to be replaced, because %s: %w", u.Base.Trunk(), reason, err)
	}
	old, err := filepath.EvalSymlinks(u.Base.Trunk())
	if err != nil {
		return failed(err)
	}
	if err := u.canSetAside(old); err != nil {
		return failed(err)
	}
	stage, err := staged.New(u.Base, u.Step)
	if err != nil {
		return failed(err)
	}
	// By now it is empty, or a clone that failed; the next run sweeps, too.
	defer func() { _ = stage.Remove() }()
	outcome, err := u.source.At(stage.Tree()).Clone(ctx)
	if err == nil {
		err = stage.ProveInPlace()
	}
	if err != nil {
		return failed(err)
	}
	if err := u.site.Replaced(old, stage.Tree()); err != nil {
		return failed(err)
	}
	room, err := aside.MakeRoom(u.Base.Discarded(), u.Step)
	if err != nil {
		return failed(err)
	}
	kept, err := u.swap(swap{fresh: stage.Tree(), old: old, name: "working-copy", setUp: "set new working copy up",
		exchange: "exchange working copies", remove: "remove new working copy", sync: "sync working copy's directory"})
	if err != nil {
		return failed(err)
	}
	outcome.Discarded = kept
	outcome.Warnings = append(outcome.Warnings, fmt.Sprintf("the working copy %s was replaced, because %s; the old one was set aside as %s%s",
		u.Base.Trunk(), reason, kept, aside.Describe(room, u.AsideHint)))
	return outcome, nil
}

// canSetAside makes sure, before a fresh working copy is made, that the old one can be set aside by renaming it.
func (e Env) canSetAside(workingCopy string) error {
	discarded := e.Base.Discarded()
	same, err := disk.SameMount(workingCopy, discarded)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("it is on another file system, or in another mount, than %s, so it cannot be set aside there: "+
			"move it away, and the next update makes a new one", discarded)
	}
	return e.files().Unmounted(workingCopy)
}
