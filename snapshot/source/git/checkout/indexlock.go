package checkout

import (
	"bytes"
	"context"
	"crypto/sha1" // the index ends in its SHA-1
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
)

const (
	lockName     = "index.lock"
	newIndexName = "etchtag-index" // the index being written, while the lock holds our mark
	lockMark     = "etchtag\n"     // what our own lock file holds
	lockPoll     = 100 * time.Millisecond
	lockStale    = 30  // polls without any change after which a foreign lock is taken over
	lockGiveUp   = 600 // polls after which a lock that goes on changing is an error
)

// indexLock is git's lock on the index, the file index.lock.
type indexLock struct {
	gitDir  string
	step    func(label string) error
	warning string // says that a lock was taken over
}

// lockIndex takes the lock. One that a killed run of ours left is taken over at once, and a foreign one
// after it has stood there for about three seconds without any change.
func lockIndex(ctx context.Context, w *Worktree) (*indexLock, error) {
	l := &indexLock{gitDir: w.GitDir, step: w.Step}
	path := l.path()
	var seen string
	for polls, unchanged := 0, 0; ; polls++ {
		if err := disk.TakeStep(w.Step, "lock index"); err != nil {
			return nil, fmt.Errorf("lock the index: %w", err)
		}
		err := createLock(path)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("lock the index: %w", err)
		}
		now, ours := describeLock(path)
		if unchanged++; now != seen {
			seen, unchanged = now, 0
		}
		switch {
		case ours || unchanged >= lockStale:
			if !ours {
				l.warning = fmt.Sprintf("git's lock %q had been left behind and was taken over", path)
			}
			err := disk.Labelled(w.Step, "take over index lock", func() error { return disk.Remove(path) })
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, fmt.Errorf("take over the lock of the index: %w", err)
			}
		case polls >= lockGiveUp:
			return nil, fmt.Errorf("lock the index: another program is at work in %q", w.GitDir)
		default:
			if err := w.pause(ctx, lockPoll); err != nil {
				return nil, fmt.Errorf("wait for the lock %q: %w", path, err)
			}
		}
	}
}

func (l *indexLock) path() string { return filepath.Join(l.gitDir, lockName) }

// release gives the lock up, with the index as it is.
func (l *indexLock) release() error {
	err := disk.TakeStep(l.step, "unlock index")
	if err == nil {
		err = disk.Remove(l.path())
	}
	if err != nil {
		return fmt.Errorf("unlock the index: %w", err)
	}
	return nil
}

// createLock creates the lock file, or fails with os.ErrExist.
func createLock(path string) error {
	f, err := disk.NewLock(path, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(lockMark)
	if err = errors.Join(err, f.Close()); err != nil {
		_ = disk.Remove(path)
	}
	return err
}

// describeLock returns words that change when the lock does, and whether it is one of ours.
func describeLock(path string) (state string, ours bool) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", false
	}
	head := make([]byte, len(lockMark))
	if f, err := os.Open(path); err == nil {
		n, _ := f.Read(head)
		head = head[:n]
		f.Close()
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano()), bytes.Equal(head, []byte(lockMark))
}

// replace writes the index anew. The lock goes on being held.
func (l *indexLock) replace(entries []indexEntry) (checksum [sha1.Size]byte, err error) {
	if err := disk.TakeStep(l.step, "write index"); err != nil {
		return checksum, err
	}
	tmp := filepath.Join(l.gitDir, newIndexName)
	f, err := disk.NewFile(tmp, 0o644)
	if err != nil {
		return checksum, err
	}
	checksum, err = writeIndex(f, entries)
	if err == nil {
		err = disk.Labelled(l.step, "sync index", f.Sync)
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = disk.TakeStep(l.step, "rename index")
	}
	if err == nil {
		err = disk.Rename(tmp, filepath.Join(l.gitDir, "index"))
	}
	if err != nil {
		_ = disk.Remove(tmp)
	}
	return checksum, err
}
