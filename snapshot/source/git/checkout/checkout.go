package checkout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

const (
	// temporaryDir is the directory in the git directory in which files are written before they are
	// renamed to their places.
	temporaryDir = "etchtag-tmp"
	// filesPerWriter is how many files make one more writer worth its memory.
	filesPerWriter = 64
	maxWriters     = 3
)

// checkout writes files of the target to their places, each atomically. In a fresh working copy, which nobody sees
// before it is whole, they are written right where they belong.
type checkout struct {
	root       int
	gitDir     string
	fresh      bool
	objects    *object.Reader
	tmp        *os.File // nil in a fresh working copy
	conversion map[string]attr.Conversion
	step       func(label string) error
	progress   func(done, total int)

	mu    sync.Mutex
	done  int
	total int
}

// newCheckout prepares to write below root.
func newCheckout(root int, w *Worktree) (*checkout, error) {
	c := &checkout{root: root, gitDir: w.GitDir, fresh: w.Fresh, progress: w.Progress}
	if w.Step != nil {
		c.step = func(label string) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			return w.Step(label)
		}
	}
	if c.fresh {
		return c, nil
	}
	dir := filepath.Join(w.GitDir, temporaryDir)
	if err := disk.TakeStep(c.step, "make temporary directory"); err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	if err := disk.MakeDir(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	tmp, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("make a temporary directory: %w", err)
	}
	c.tmp = tmp
	return c, nil
}

func (c *checkout) close() error {
	if c.fresh {
		return nil
	}
	err := disk.Labelled(c.step, "remove temporary directory", func() error {
		return disk.RemovePath(filepath.Join(c.gitDir, temporaryDir))
	})
	return errors.Join(c.tmp.Close(), err)
}

// write writes what the actions want. stat of each action's path is returned in the order of actions.
func (c *checkout) write(ctx context.Context, actions []*action) ([]unix.Stat_t, error) {
	if len(actions) == 0 {
		return nil, nil
	}
	c.total = len(actions)
	stats := make([]unix.Stat_t, len(actions))
	writers := max(1, min(runtime.GOMAXPROCS(0), maxWriters, len(actions)/filesPerWriter))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range writers {
		from, to := i*len(actions)/writers, (i+1)*len(actions)/writers
		wg.Go(func() {
			if err := c.writeSome(ctx, i, c.objects.Another(), actions[from:to], stats[from:to]); err != nil {
				cancel(err) // the first one counts
			}
		})
	}
	wg.Wait()
	return stats, context.Cause(ctx)
}

// writeSome is the work of one writer, in one goroutine.
func (c *checkout) writeSome(ctx context.Context, id int, o *object.Reader, actions []*action, stats []unix.Stat_t) error {
	w := &fileWriter{
		checkout: c, objects: o, tmp: -1,
		tmpName: fmt.Sprintf("%s-%d", workcopy.TemporaryName, id),
		dirs:    &disk.Dirs{Root: c.root, Step: c.step, Mode: disk.DirMode, Fresh: c.fresh},
	}
	if c.tmp != nil {
		w.tmp = int(c.tmp.Fd())
	}
	defer w.dirs.Close()
	for i, a := range actions {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.write(a, &stats[i]); err != nil {
			return fmt.Errorf("write %s in the working copy: %w", disk.QuotePath(a.path), err)
		}
		c.mu.Lock()
		c.done++
		if c.progress != nil {
			c.progress(c.done, c.total)
		}
		c.mu.Unlock()
	}
	return nil
}

// fileWriter writes one file after the other.
type fileWriter struct {
	*checkout
	objects *object.Reader
	dirs    *disk.Dirs
	tmp     int // the directory to write in, -1 for the file's own
	tmpName string
}

// write puts the file that a wants in its place, and says what lstat says of it.
func (w *fileWriter) write(a *action, st *unix.Stat_t) error {
	dir, name := disk.SplitPath(a.path)
	fd, err := w.dirs.Make(dir)
	if err != nil {
		return err
	}
	if w.fresh {
		return w.writeAt(fd, name, a.want, st)
	}
	if err := checkUnchanged(fd, name, a.have); err != nil {
		return err
	}
	if w.tmp >= 0 {
		err = w.writeVia(w.tmp, fd, name, a.want)
		if errors.Is(err, unix.EXDEV) {
			w.tmp = -1
		}
	}
	if w.tmp < 0 {
		err = w.writeVia(fd, fd, name, a.want)
	}
	if err != nil {
		return err
	}
	return unix.Fstatat(fd, name, st, unix.AT_SYMLINK_NOFOLLOW)
}

// writeVia writes want to a temporary name in the directory tmp and renames it to name in dir.
func (w *fileWriter) writeVia(tmp, dir int, name string, want *object.TreeFile) (err error) {
	var st unix.Stat_t
	err = w.writeAt(tmp, w.tmpName, want, &st)
	if errors.Is(err, unix.EEXIST) { // left by a file that could not be written
		if err = disk.RemoveFileAt(tmp, w.tmpName); err == nil {
			err = w.writeAt(tmp, w.tmpName, want, &st)
		}
	}
	defer func() {
		if err != nil {
			_ = disk.RemoveFileAt(tmp, w.tmpName)
		}
	}()
	if err == nil {
		err = disk.TakeStep(w.step, "rename file")
	}
	if err != nil {
		return err
	}
	return disk.RenameAt(tmp, w.tmpName, dir, name)
}

// writeAt makes want as name in dir, where nothing may stand of that name, and says what lstat says of it.
func (w *fileWriter) writeAt(dir int, name string, want *object.TreeFile, st *unix.Stat_t) error {
	if want.Mode == source.Symlink {
		return w.makeLink(dir, name, want, st)
	}
	return w.makeFile(dir, name, want, st)
}

func (w *fileWriter) makeLink(dir int, name string, want *object.TreeFile, st *unix.Stat_t) error {
	target, err := w.objects.Blob(want.Hash, disk.MaxPath) // no link can hold more
	if err == nil {
		err = disk.TakeStep(w.step, "make link")
	}
	if err == nil {
		err = disk.SymlinkAt(string(target), dir, name)
	}
	if err != nil {
		return err
	}
	return unix.Fstatat(dir, name, st, unix.AT_SYMLINK_NOFOLLOW)
}

func (w *fileWriter) makeFile(dir int, name string, want *object.TreeFile, st *unix.Stat_t) (err error) {
	if err := disk.TakeStep(w.step, "write file"); err != nil {
		return err
	}
	mode := permissions(want.Mode)
	file, err := disk.NewFileAt(dir, name, mode)
	if err != nil {
		return err
	}
	fd := int(file)
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := writeConverted(file, w.objects, want.Hash, w.conversion[want.Path]); err != nil {
		return err
	}
	if err := unix.Fstat(fd, st); err != nil || st.Mode&0o7777 == mode {
		return err
	}
	if err := disk.ChmodOpen(fd, mode); err != nil { // the umask, or what the directory says of its files
		return err
	}
	return unix.Fstat(fd, st)
}

// checkUnchanged makes sure that name is still what was seen, nil for nothing, before it goes. Making or
// removing another name of a file changes its ctime, which says nothing here therefore.
func checkUnchanged(dir int, name string, seen *workcopy.File) error {
	var st unix.Stat_t
	err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil // gone, which loses nothing
	}
	if err != nil {
		return err
	}
	if seen == nil || st.Ino != seen.Stat.Ino || st.Dev != seen.Stat.Dev || st.Mode != seen.Stat.Mode ||
		!seen.Repository && (st.Size != seen.Stat.Size || st.Mtim != seen.Stat.Mtim) {
		return workcopy.ErrChangedMeanwhile
	}
	return nil
}
