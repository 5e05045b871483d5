package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// ErrBusy is returned when another run holds the lock.
var ErrBusy = errors.New("another run holds the lock")

// lockPoll is how often a waiting run asks for the lock again.
const lockPoll = 200 * time.Millisecond

// lock takes the lock that everyone holds who changes the working copy or the tags, waiting as long as told.
// The kernel releases it when the process dies, and children do not inherit it. The file is
// readable by nobody else, because whoever can open it can hold it, and it is never removed, because two
// runs could then hold two files of one name.
func (e Env) lock(ctx context.Context, wait time.Duration) (release func(), err error) {
	if err := e.Prepare(); err != nil {
		return nil, err
	}
	l := flock.New(e.Base.SnapshotLock(), flock.SetFlag(os.O_RDONLY|unix.O_NOFOLLOW))
	locked := false
	err = e.Step.Do("take lock", l.Path(), func() (err error) {
		if err := e.files().In(l.Path(), makeLock); err != nil {
			return err
		}
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
		return nil, fmt.Errorf("%w (%s), and still after %s", ErrBusy, l.Path(), tag.FormatDuration(wait))
	case !locked:
		return nil, fmt.Errorf("%w (%s)", ErrBusy, l.Path())
	}
	return func() { l.Unlock() }, nil
}

// makeLock makes the lock file, if it is not there.
func makeLock(dir *os.Root, name string) error {
	f, err := dir.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}
