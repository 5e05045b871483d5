package lines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/sys/unix"
)

// ErrBusy says that another process held the lock for as long as the editor was willing to wait.
var ErrBusy = errors.New("another process holds the lock")

// ErrNotDurable is wrapped by the error of Editor.Edit if the file is changed, but not sure to stay so.
var ErrNotDurable = errors.New("changed, but a power cut might undo it")

// poll is how often a lock that is held is tried again.
const poll = 10 * time.Millisecond

// Editor changes one small file so that no reader ever sees half of a change, no other editor's
// change is lost, and a change that was reported done survives a power cut.
type Editor struct {
	Path string        // the file; it need not exist, its directory must
	Lock string        // the lock file that all editors of Path share; made if absent, never removed
	Wait time.Duration // how long to wait for the lock; 0 tries once

	// Step, if not nil, is called before each operation that changes something, with a label such
	// as "rename tagstate". The operation fails with the error that it returns.
	Step func(label string) error
}

// Edit calls change with the contents of the file, nil if it is absent, and replaces them by what it
// returns, in one atomic and durable step. It keeps mode and owner of a file that exists; a new one
// has mode 0644. Of a symbolic link the file that it points to is replaced. If change returns what it
// was given (which it must not modify), nothing is written.
//
// On an error the file is as it was, except if only the last step failed, the sync of the directory;
// the error matches ErrNotDurable then. It matches ErrBusy if the lock could not be had, and wraps the error of change.
func (e Editor) Edit(ctx context.Context, change func(old []byte) ([]byte, error)) error {
	unlock, err := e.lock(ctx)
	if err != nil {
		return fmt.Errorf("edit %s: %w", e.Path, err)
	}
	defer unlock()
	if err := e.edit(change); err != nil {
		return fmt.Errorf("edit %s: %w", e.Path, err)
	}
	return nil
}

// Hold calls do while no other editor that shares the lock changes anything. The error matches ErrBusy if the lock could
// not be had, and is else that of do.
func (e Editor) Hold(ctx context.Context, do func() error) error {
	unlock, err := e.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}

func (e Editor) edit(change func(old []byte) ([]byte, error)) error {
	old, err := Read(e.Path)
	if err != nil {
		return err
	}
	target, err := resolve(e.Path)
	if err != nil {
		return err
	}
	e.sweep(target)
	data, err := change(old)
	if err != nil {
		return err
	}
	if bytes.Equal(old, data) {
		return nil
	}
	return e.replace(target, data)
}

// lock takes the lock. The lock file is open to nobody else, because whoever can open it could hold
// the lock for ever, and it is closed in child processes. A link in its place is not followed.
func (e Editor) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := e.step("lock"); err != nil {
		return nil, fmt.Errorf("lock %s: %w", e.Lock, err)
	}
	l := flock.New(e.Lock, flock.SetPermissions(0o600), flock.SetFlag(os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW))
	locked, err := l.TryLock()
	if err == nil && !locked && e.Wait > 0 {
		wait, cancel := context.WithTimeoutCause(ctx, e.Wait, ErrBusy)
		defer cancel()
		locked, err = l.TryLockContext(wait, poll)
		if err != nil && wait.Err() != nil {
			err = context.Cause(wait)
		}
	}
	switch {
	case locked:
		return func() { l.Close() }, nil
	case err == nil:
		err = ErrBusy
	}
	return nil, fmt.Errorf("lock %s: %w", e.Lock, err)
}

// resolve is the file that path leads to, through symbolic links.
func resolve(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil // Read has made sure that it is not a dangling link
	}
	return target, err
}

// sweep removes the temporary files of editors that were killed. One that stays is in nobody's way,
// so that it must not keep an administrator from marking a tag.
func (e Editor) sweep(target string) {
	entries, err := os.ReadDir(filepath.Dir(target))
	if err != nil {
		return
	}
	ours := regexp.MustCompile(`^` + regexp.QuoteMeta(temporary(target)) + `[0-9]+$`)
	for _, entry := range entries {
		if ours.MatchString(entry.Name()) && entry.Type().IsRegular() && e.step("sweep") == nil {
			_ = os.Remove(filepath.Join(filepath.Dir(target), entry.Name()))
		}
	}
}

// temporary is how the names of temporary files for target begin; a number follows.
func temporary(target string) string { return "." + filepath.Base(target) + ".etchtag-" }

// replace puts data in the place of the file at target.
func (e Editor) replace(target string, data []byte) error {
	if err := e.step("create"); err != nil {
		return fmt.Errorf("create a temporary file: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(target), temporary(target)+"*")
	if err != nil {
		return fmt.Errorf("create a temporary file: %w", err)
	}
	err = e.fill(f, target, data)
	if closed := f.Close(); err == nil && closed != nil {
		err = fmt.Errorf("close the temporary file: %w", closed)
	}
	if err == nil {
		err = e.do("rename", func() error { return os.Rename(f.Name(), target) })
	}
	if err != nil {
		if e.step("discard") == nil {
			_ = os.Remove(f.Name()) // else the next edit sweeps it
		}
		return err
	}
	if err := e.do("sync directory of", func() error { return syncDir(filepath.Dir(target)) }); err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// fill makes the temporary file all that the file at target is to be.
func (e Editor) fill(f *os.File, target string, data []byte) error {
	err := e.do("write", func() error { _, err := f.Write(data); return err })
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	var old unix.Stat_t
	switch err := unix.Stat(target, &old); {
	case err == nil:
		if err := e.chown(f, old); err != nil {
			return err
		}
		mode = fs.FileMode(old.Mode & 0o777)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("stat %s: %w", target, err)
	}
	if err := e.do("chmod", func() error { return f.Chmod(mode) }); err != nil {
		return err
	}
	return e.do("sync", f.Sync)
}

// chown gives f the owner of the old file, where it is another one.
func (e Editor) chown(f *os.File, old unix.Stat_t) error {
	var now unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &now); err != nil {
		return fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	if now.Uid == old.Uid && now.Gid == old.Gid {
		return nil
	}
	return e.do("chown", func() error { return f.Chown(int(old.Uid), int(old.Gid)) })
}

// do runs one operation that changes something.
func (e Editor) do(what string, operation func() error) error {
	err := e.step(what)
	if err == nil {
		err = operation()
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", what, filepath.Base(e.Path), err)
	}
	return nil
}

func (e Editor) step(what string) error {
	if e.Step == nil {
		return nil
	}
	return e.Step(what + " tagstate")
}

// syncDir makes the names in a directory survive a power cut.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
