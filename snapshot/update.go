package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/etch/etchtag/snapshot/source"
)

// Update brings the working copy to upstream's newest revision. It fails with ErrBusy if another run
// holds the lock.
func Update(ctx context.Context, e Env, from source.Source, site Site, lockWait time.Duration) (source.Outcome, error) {
	release, err := e.lock(ctx, lockWait)
	if err != nil {
		return source.Outcome{}, err
	}
	defer release()
	u := updating{e, from, site}
	u.refresh()
	return u.update(ctx)
}

// updating is one run of Update, or the beginning of one of Take.
type updating struct {
	Env
	source source.Source
	site   Site
}

func (u updating) refresh() {
	if err := u.site.Refresh(); err != nil {
		u.Warn(err.Error())
	}
}

func (u updating) update(ctx context.Context) (source.Outcome, error) {
	outcome, err := u.updateOrClone(ctx)
	for _, w := range outcome.Warnings {
		u.Warn(w)
	}
	record := LastUpdate{Time: u.Clock(), Revision: outcome.Revision.ID}
	if err != nil {
		err = fmt.Errorf("update the working copy: %w", err)
		record.Failure = err.Error()
	}
	if recordErr := u.recordUpdate(record); recordErr != nil {
		u.Warn(recordErr.Error())
	}
	return outcome, err
}

// NoWorkingCopy reports whether there is no working copy yet, or an empty directory in its place.
func (e Env) NoWorkingCopy() (bool, error) {
	entries, err := os.ReadDir(e.Base.Trunk())
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	return err == nil && len(entries) == 0, err
}

// updateOrClone makes the working copy anew if it is gone, all of it being upstream's, or another source's.
func (u updating) updateOrClone(ctx context.Context) (source.Outcome, error) {
	missing, err := u.NoWorkingCopy()
	if err != nil {
		return source.Outcome{}, err
	}
	if missing {
		return u.source.Clone(ctx)
	}
	reason, err := u.source.Foreign()
	if err != nil {
		return source.Outcome{}, err
	}
	if reason != "" {
		return u.replace(ctx, reason)
	}
	return u.source.Update(ctx)
}
