package workcopy

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/otiai10/copy"
	"golang.org/x/sys/unix"
)

const (
	// copyWorkers is how many files are copied side by side.
	copyWorkers = 4
	// maxChanges is how many of the changed paths an UnsteadyError names.
	maxChanges = 5
)

// UnsteadyError says that a tree went on changing while it was copied.
type UnsteadyError struct {
	Dir   string
	Paths []string // what changed, relative to Dir, which itself is empty; the first few
}

func (e *UnsteadyError) Error() string {
	quoted := make([]string, len(e.Paths))
	for i, path := range e.Paths {
		if path == "" {
			path = "."
		}
		quoted[i] = disk.QuotePath(path)
	}
	return fmt.Sprintf("%q does not hold still: %s changed while it was read", e.Dir, strings.Join(quoted, ", "))
}

// IsMetadata reports whether a path ends in a name under which a version control system keeps its own things.
func IsMetadata(path string) bool {
	_, name := disk.SplitPath(path)
	return name == ".svn" || name == "CVS" || name == ".git"
}

// CopyTree copies the tree at src, such as that of a tag, to the empty directory dst, as an Exporter exports one, and
// leaves nothing out.
func CopyTree(ctx context.Context, src, dst string, o source.ExportOptions) ([]source.ExportedEntry, error) {
	return CopyOut(ctx, src, dst, func(string) bool { return false }, o)
}

// CopyOut copies the tree at src to the empty directory dst, except what skip accepts by its path, and
// proves the copy complete. It fails with an UnsteadyError if src changes meanwhile. Files of the copy have mode 0644
// or 0755 and directories 0755, but for dst itself; all have the times of the originals. An error leaves in dst what
// was copied until then.
func CopyOut(ctx context.Context, src, dst string, skip func(path string) bool, o source.ExportOptions) ([]source.ExportedEntry, error) {
	t, err := CopySteady(ctx, src, dst, skip, o)
	if err != nil {
		return nil, err
	}
	return t.Entries, nil
}

// CopySteady is copyOut, and returns the reader that has read the whole tree.
func CopySteady(ctx context.Context, src, dst string, skip func(path string) bool, o source.ExportOptions) (*TreeReader, error) {
	t, err := ReadSteady(ctx, src, skip, o, func(t *TreeReader) error { return t.copyTo(dst) })
	if err == nil {
		err = t.proveCopy(ctx, dst)
	}
	if err != nil {
		return nil, fmt.Errorf("copy the tree %q to %q: %w", src, dst, err)
	}
	return t, nil
}

// HashSteady hashes the tree at dir as it is, except what skip accepts by its path. It fails with an
// UnsteadyError if the tree changes meanwhile.
func HashSteady(ctx context.Context, dir string, skip func(path string) bool) (*TreeReader, error) {
	t, err := ReadSteady(ctx, dir, skip, source.ExportOptions{}, (*TreeReader).HashAll)
	if err != nil {
		return nil, fmt.Errorf("read the tree %q: %w", dir, err)
	}
	return t, nil
}

// ReadSteady has a tree read between two fingerprints, which have to be the same.
func ReadSteady(ctx context.Context, dir string, skip func(path string) bool, o source.ExportOptions,
	read func(t *TreeReader) error) (*TreeReader, error) {
	t, err := newTreeReader(ctx, dir, skip, o)
	if err != nil {
		return nil, err
	}
	defer t.cancel(nil)
	err = read(t)
	if changed := t.proveSteady(ctx); changed != nil {
		err = changed // which explains the other error, if there is one
	}
	return t, err
}

// copyTo copies the tree to dst. The copy leaves out what it is told has vanished, follows links that stand in its
// way, and makes up a link that it cannot read: hence the fingerprints, the empty directory and the proof.
func (t *TreeReader) copyTo(dst string) error {
	if left, err := os.ReadDir(dst); err != nil {
		return err
	} else if len(left) > 0 {
		return fmt.Errorf("%q is not empty", dst)
	}
	if err := t.awaitTick(dst); err != nil {
		return err
	}
	return copy.Copy(t.Before.dir, dst, copy.Options{
		FS:            t,
		OnSymlink:     func(string) copy.SymlinkAction { return copy.Shallow },
		OnError:       t.copied,
		NumOfWorkers:  copyWorkers,
		PreserveTimes: true,
		PermissionControl: func(info fs.FileInfo, dest string) (func(*error), error) {
			if dest == dst {
				return func(*error) {}, nil
			}
			return func(*error) {}, makeOwn(info.(*fileStamp), dest)
		},
	})
}

// makeOwn makes a directory of the copy, or gives a file that was just made its mode. The umask has no say.
func makeOwn(s *fileStamp, dest string) error {
	mode := fs.FileMode(0o644)
	switch s.kind() {
	case source.Directory:
		mode = disk.DirMode
		if err := disk.MakeDir(dest, mode); err != nil {
			return err
		}
	case source.Executable:
		mode = 0o755
	}
	return disk.Chmod(dest, mode)
}

// copied is told of everything that was copied, and of every error. The first one ends the copy.
func (t *TreeReader) copied(src, _ string, err error) error {
	if err != nil {
		t.cancel(err)
		return err
	}
	if s := t.stamps[t.Before.inside(src)]; !s.isRegular() { // those are finished when their end is read
		t.finish(s, s.targetHash())
	}
	return nil
}

// proveCopy fails unless dst has exactly what the fingerprint has.
func (t *TreeReader) proveCopy(ctx context.Context, dst string) error {
	copied, err := takeFingerprint(ctx, dst, func(string) bool { return false })
	if err != nil {
		return err
	}
	for _, s := range copied.stamps {
		want, ok := t.stamps[s.path]
		if !ok || want.entry() != s.entry() || want.target != s.target {
			return fmt.Errorf("the copy of %s came out wrong", disk.QuotePath(s.path))
		}
	}
	if len(copied.stamps) != len(t.stamps) {
		return fmt.Errorf("the copy has %d files and directories, not %d", len(copied.stamps), len(t.stamps))
	}
	if t.done != len(t.Entries) {
		return fmt.Errorf("%d of %d entries were copied", t.done, len(t.Entries))
	}
	return nil
}

const (
	// tick is the time between two looks at the kernel's clock.
	tick = 2 * time.Millisecond
	// maxTicks is how often one looks. The times of a tree may be those of another machine, whose clock is ahead.
	maxTicks = 10
)

// awaitTick waits until a change of the tree can be told from those before its fingerprint was taken. Many kernels take
// the times of changes from a clock that stands still for some milliseconds.
func (t *TreeReader) awaitTick(dst string) error {
	var newest unix.Timespec
	for _, s := range t.Before.stamps {
		if later(s.stat.Ctim, newest) {
			newest = s.stat.Ctim
		}
	}
	for range maxTicks {
		var st unix.Stat_t
		if err := unix.Lstat(dst, &st); err != nil {
			return err
		}
		if err := disk.ChmodAt(unix.AT_FDCWD, dst, st.Mode&0o7777); err != nil { // sets the time of its last change
			return err
		}
		if err := unix.Lstat(dst, &st); err != nil || later(st.Ctim, newest) {
			return err
		}
		if err := Sleep(t.ctx, tick); err != nil {
			return err
		}
	}
	return nil
}

func later(a, b unix.Timespec) bool { return a.Sec > b.Sec || a.Sec == b.Sec && a.Nsec > b.Nsec }

// Sleep waits for a time, or until the context ends.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
