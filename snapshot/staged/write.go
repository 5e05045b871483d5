package staged

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// maxWorkers bounds how many files are written at once: each worker keeps an index of the source's objects in memory.
const maxWorkers = 3

// wholeFile is the size up to which a file from the source is held in memory and written with one call, in bytes.
const wholeFile = 1 << 20

// stager writes one tree into an empty directory that nobody else can enter.
//
// A directory is filled by one worker, a large one by several, relative to a descriptor of it: no symbolic link is ever
// followed, whatever the tree contains.
type stager struct {
	step     disk.Step
	layout   Layout
	modTime  time.Time
	tree     source.Tree
	previous *previousTag // nil if there is none to take files from
	// unchanged has the previous tag's record of each entry that is the same there, else nil.
	unchanged []*tag.Entry
	progress  func(done, total int)

	noReflink atomic.Bool // the file system said that it cannot
	done      atomic.Int64
}

// stage fills the stage with the tree and returns what it wrote, in the tree's order.
func (s *stager) stage(ctx context.Context, to *Dir) ([]tag.Entry, error) {
	root, err := to.openTree()
	if err != nil {
		return nil, err
	}
	defer root.Close()
	fd := int(root.Fd())
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	entries := s.tree.Entries()
	written := make([]tag.Entry, len(entries))
	queue := newShareQueue(newDirectories(entries))
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxWorkers) {
		workers.Go(func() {
			w := s.newWriter()
			defer w.close()
			for part, ok := queue.next(); ok; part, ok = queue.next() {
				if err := w.fill(ctx, fd, part, queue, entries, written); err != nil {
					cancel(err) // so that the others do nothing but empty the queue
				}
				queue.finish()
			}
		})
	}
	workers.Wait()
	return written, context.Cause(ctx)
}

// fill makes a share of what stands directly in a directory below root: first its directories, which are then others'
// to fill. The last gives the directory its time.
func (w *writer) fill(ctx context.Context, root int, part share, queue *shareQueue,
	entries []source.Entry, written []tag.Entry) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	fd, err := disk.OpenAt(root, part.path)
	if err != nil {
		return &os.PathError{Op: "open", Path: part.path, Err: err}
	}
	defer unix.Close(fd)
	if part.first {
		if err := w.makeDirs(fd, part.directory, queue); err != nil {
			return err
		}
	}
	w.enter(part.directory)
	for _, i := range part.files {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if written[i], err = w.write(fd, entries[i], w.unchanged[i]); err != nil {
			return fmt.Errorf("stage %q: %w", entries[i].Path, err)
		}
		if n := w.done.Add(1); w.progress != nil {
			w.progress(int(n), len(entries))
		}
	}
	if part.unfinished.Add(-1) > 0 {
		return nil
	}
	return w.step.Do("finish staged directory", part.path, func() error {
		return disk.SetTimes(fd, "", w.times())
	})
}

// makeDirs makes the directories in the directory d, and hands out what else is to be done.
func (w *writer) makeDirs(fd int, d *directory, queue *shareQueue) error {
	if d.path == "" { // the others have their mode since they were made
		if err := disk.ChmodOpen(fd, 0o755); err != nil {
			return err
		}
	}
	next := d.rest()
	for _, c := range d.children {
		if err := w.makeDir(fd, c.name, c.path); err != nil {
			return err
		}
		next = append(next, c.begin())
	}
	queue.add(next)
	return nil
}

// makeDir makes a directory that everybody may read.
func (w *writer) makeDir(fd int, name, path string) error {
	return w.step.Do("make staged directory", path, func() error {
		if err := disk.MakeDirAt(fd, name, 0o755); err != nil {
			return err
		}
		return disk.ChmodAt(fd, name, 0o755) // the umask has no say
	})
}

func (s *stager) times() []unix.Timespec {
	// Not by way of nanoseconds, which wrap round in 2262. Where a time has 32 bits, one that does not fit is 1970.
	t, _ := unix.TimeToTimespec(s.modTime)
	return []unix.Timespec{t, t}
}

// writer writes entries for one worker.
type writer struct {
	*stager
	reader source.Reader // opened when the first file has to come from the source
	owner  uint32        // who writes: only this user's files are taken
	whole  *bufio.Writer // holds a file until it is written with one call, if it is not large
	chunk  []byte
	hash   hash.Hash // SHA-256
	sum    [sha256.Size]byte

	dir         *directory // that is being filled here
	previousDir int        // the same in the previous tag, or -1
	looked      bool       // previousDir was looked for
}

func (s *stager) newWriter() *writer {
	return &writer{stager: s, owner: uint32(os.Geteuid()), whole: bufio.NewWriterSize(nil, wholeFile), hash: sha256.New(),
		previousDir: -1}
}

// enter prepares for the files of one directory.
func (w *writer) enter(d *directory) {
	w.leave()
	w.dir = d
}

func (w *writer) leave() {
	if w.previousDir >= 0 {
		unix.Close(w.previousDir)
	}
	w.previousDir, w.looked = -1, false
}

func (w *writer) close() {
	w.leave()
	if w.reader != nil {
		w.reader.Close()
	}
}

// inPrevious returns the directory in the previous tag from which files are taken now, or -1.
func (w *writer) inPrevious() int {
	if !w.looked {
		w.previousDir, w.looked = w.previous.openDir(w.dir.path), true
	}
	return w.previousDir
}

// write makes one entry in the directory fd and proves it. old is the previous tag's record of it, if it is the same
// there.
func (w *writer) write(fd int, e source.Entry, old *tag.Entry) (tag.Entry, error) {
	m := tag.Entry{Path: e.Path, Mode: byte(e.Mode)}
	name := path.Base(e.Path)
	if e.Mode == source.Directory {
		if err := w.makeDir(fd, name, e.Path); err != nil {
			return m, err
		}
		return m, w.step.Do("finish staged directory", e.Path, func() error { return w.setTimes(fd, name) })
	}
	if old != nil {
		taken, err := w.take(fd, name, e, *old)
		if taken {
			m.Size, m.Hash = old.Size, old.Hash
		}
		if taken || err != nil {
			return m, err
		}
	}
	fill := w.writeFile
	if e.Mode == source.Symlink {
		fill = w.writeLink
	}
	err := fill(fd, name, e, &m) // not in the return, in which m could be read before
	return m, err
}

// setTimes gives what bears a name the tree's time; a symbolic link its own.
func (w *writer) setTimes(fd int, name string) error {
	return disk.SetTimes(fd, name, w.times())
}

// writeLink makes a symbolic link to where the source says.
func (w *writer) writeLink(fd int, name string, e source.Entry, m *tag.Entry) error {
	var target bytes.Buffer
	if err := w.read(&target, e); err != nil {
		return err
	}
	m.Size, m.Hash = int64(target.Len()), sha256.Sum256(target.Bytes())
	return w.makeLink(fd, name, e, target.String())
}

func (w *writer) makeLink(fd int, name string, e source.Entry, target string) error {
	return w.step.Do("make staged link", e.Path, func() error {
		if err := disk.SymlinkAt(target, fd, name); err != nil {
			return err
		}
		return w.setTimes(fd, name)
	})
}

// writeFile writes a file with the source's contents.
func (w *writer) writeFile(fd int, name string, e source.Entry, m *tag.Entry) error {
	return w.step.Do("write staged file", e.Path, func() (err error) {
		f, err := create(fd, name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w.hash.Reset()
		count := &countingWriter{w: io.MultiWriter(f, w.hash)}
		w.whole.Reset(count)
		if err := w.read(w.whole, e); err != nil {
			return err
		}
		if err := w.whole.Flush(); err != nil {
			return err
		}
		m.Size = count.n
		w.hash.Sum(m.Hash[:0])
		return w.finish(f, e.Mode)
	})
}

func (w *writer) read(to io.Writer, e source.Entry) error {
	if w.reader == nil {
		r, err := w.tree.NewReader()
		if err != nil {
			return err
		}
		w.reader = r
	}
	return w.reader.WriteTo(to, e)
}

// create makes a new file of our own. Its mode is set in the end.
func create(fd int, name string) (disk.RawFile, error) {
	return disk.NewFileAt(fd, name, 0o600)
}

// finish gives a written file its mode and time.
func (w *writer) finish(f disk.RawFile, mode source.Mode) error {
	if err := disk.ChmodOpen(int(f), uint32(w.layout.perm(mode))); err != nil {
		return err
	}
	return disk.SetTimes(int(f), "", w.times())
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
