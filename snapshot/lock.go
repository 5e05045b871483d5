package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/gofrs/flock"
)

// ErrBusy is returned when another run holds the lock.
var ErrBusy = errors.New("another run holds the lock")

// lockPoll is how often a waiting run asks for the lock again.
const lockPoll = 200 * time.Millisecond

// lock takes the lock that everyone holds who changes the working copy or the tags, waiting as long as told.
// The kernel releases it when the process dies, and children do not inherit it. The file is
// readable by nobody else, since whoever can open it can hold it, and it is never removed, since two
// runs could then hold two files of one name.
func (m *Manager) lock(ctx context.Context, wait time.Duration) (release func(), err error) {
	if err := m.Prepare(); err != nil {
		return nil, err
	}
	l := flock.New(m.Layout.SnapshotLock(), flock.SetPermissions(0o600))
	locked := false
	err = m.Step.do("take lock", l.Path(), func() (err error) {
		locked, err = l.TryLock()
		return err
	})
	if err == nil && !locked && wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		locked, err = l.TryLockContext(waiting, lockPoll)
		switch {
		case waiting.Err() != nil && ctx.Err() == nil:
			err = nil
		case err != nil:
			err = fmt.Errorf("wait for the lock %s: %w", l.Path(), err)
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !locked && wait > 0:
		return nil, fmt.Errorf("%w (%s), and still after %s", ErrBusy, l.Path(), tagging.FormatDuration(wait))
	case !locked:
		return nil, fmt.Errorf("%w (%s)", ErrBusy, l.Path())
	}
	return func() { l.Unlock() }, nil
}
