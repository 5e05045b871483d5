package snapshot

import (
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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging"
	"golang.org/x/sys/unix"
)

// maxWorkers bounds how many files are written at once: each worker keeps an index of the source's objects in memory.
const maxWorkers = 3

// wholeFile is the size up to which a file is read into memory and written with one call, in bytes.
const wholeFile = 1 << 20

// stager writes one tree into an empty directory that nobody else can enter.
//
// It works relative to descriptors of directories that it made itself, so no path is looked up twice
// and no symbolic link is ever followed, whatever the tree contains.
type stager struct {
	step     Step
	files    FileMode
	modTime  time.Time
	tree     source.Tree
	previous *previousTag // nil if there is none to take files from
	progress func(done, total int)

	noReflink atomic.Bool // the file system said that it cannot
	done      atomic.Int64
}

// directory is a directory of the tree to be staged.
type directory struct {
	name     string
	path     string // empty for the root
	files    []int  // indexes of the entries that stand directly in it
	children []*directory
}

// job is the work of filling one directory.
type job struct {
	dir *directory
	fd  int
}

// stage fills the directory at root with the tree and returns what it wrote, in the tree's order.
func (s *stager) stage(ctx context.Context, root string) ([]tagging.ManifestEntry, error) {
	entries := s.tree.Entries()
	written := make([]tagging.ManifestEntry, len(entries))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	jobs := make(chan job, 2*maxWorkers)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), maxWorkers) {
		workers.Go(func() { s.work(ctx, cancel, jobs, entries, written) })
	}
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: root, Err: err}
	} else {
		err = s.makeDirs(ctx, newDirectories(entries), fd, jobs)
	}
	close(jobs)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return nil, cause
	}
	if err != nil {
		return nil, err
	}
	return written, s.setDirTimes(root, newDirectories(entries))
}

// newDirectories arranges sorted entries as the directories that hold them.
func newDirectories(entries []source.Entry) *directory {
	root := &directory{}
	known := map[string]*directory{"": root}
	var find func(p string) *directory
	find = func(p string) *directory {
		if d := known[p]; d != nil {
			return d
		}
		up, name := path.Split(p)
		parent := find(strings.TrimSuffix(up, "/"))
		d := &directory{name: name, path: p}
		parent.children = append(parent.children, d)
		known[p] = d
		return d
	}
	for i, e := range entries {
		up, _ := path.Split(e.Path)
		d := find(strings.TrimSuffix(up, "/"))
		d.files = append(d.files, i)
	}
	return root
}

// makeDirs makes the directories below d, whose open descriptor it takes over, and hands each to the
// workers. Parents come before their children.
func (s *stager) makeDirs(ctx context.Context, d *directory, fd int, jobs chan<- job) error {
	if len(d.files) > 0 {
		own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			unix.Close(fd)
			return &os.PathError{Op: "dup", Path: d.path, Err: err}
		}
		select {
		case jobs <- job{d, own}:
		case <-ctx.Done():
			unix.Close(own)
			unix.Close(fd)
			return context.Cause(ctx)
		}
	}
	defer unix.Close(fd)
	for _, c := range d.children {
		child := -1
		err := s.step.do("make staged directory", c.path, func() (err error) {
			child, err = makeDirAt(fd, c.name)
			return err
		})
		if err != nil {
			return err
		}
		if err := s.makeDirs(ctx, c, child, jobs); err != nil {
			return err
		}
	}
	return nil
}

// makeDirAt makes a directory that everybody may read and opens it.
func makeDirAt(fd int, name string) (int, error) {
	if err := unix.Mkdirat(fd, name, 0o755); err != nil {
		return -1, err
	}
	child, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Fchmod(child, 0o755); err != nil { // the umask has no say
		unix.Close(child)
		return -1, err
	}
	return child, nil
}

// work fills directories until there are no more. The first error cancels the whole; the descriptors
// that come after it are only closed.
func (s *stager) work(ctx context.Context, cancel context.CancelCauseFunc, jobs <-chan job,
	entries []source.Entry, written []tagging.ManifestEntry) {
	w := &writer{stager: s, previousDir: -1, hash: sha256.New()}
	defer w.close()
	for j := range jobs {
		w.enter(j.dir)
		for _, i := range j.dir.files {
			if ctx.Err() != nil {
				break
			}
			m, err := w.write(j.fd, entries[i])
			if err != nil {
				cancel(fmt.Errorf("stage %q: %w", entries[i].Path, err))
				break
			}
			written[i] = m
			if n := s.done.Add(1); s.progress != nil {
				s.progress(int(n), len(entries))
			}
		}
		unix.Close(j.fd)
	}
}

// setDirTimes gives every directory the tree's time, children first, now that nothing changes it any more.
func (s *stager) setDirTimes(root string, d *directory) error {
	return s.step.do("set directory times", root, func() error {
		fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Fchmod(fd, 0o755); err != nil {
			return err
		}
		return s.setTimesBelow(fd, d)
	})
}

func (s *stager) setTimesBelow(fd int, d *directory) error {
	for _, c := range d.children {
		child, err := unix.Openat(fd, c.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: c.path, Err: err}
		}
		err = s.setTimesBelow(child, c)
		unix.Close(child)
		if err != nil {
			return err
		}
	}
	return unix.UtimesNanoAt(fd, ".", s.times(), 0)
}

func (s *stager) times() []unix.Timespec {
	t := unix.NsecToTimespec(s.modTime.UnixNano())
	return []unix.Timespec{t, t}
}

// writer writes entries for one worker.
type writer struct {
	*stager
	reader      source.Reader // opened when the first file has to come from the source
	previousDir int           // the directory in the previous tag that is being filled here, or -1
	buf         bytes.Buffer
	chunk       []byte
	hash        hash.Hash // SHA-256
	sum         [sha256.Size]byte
}

// enter prepares for the files of one directory.
func (w *writer) enter(d *directory) {
	w.leave()
	if w.previous != nil {
		w.previousDir = w.previous.openDir(d.path)
	}
}

func (w *writer) leave() {
	if w.previousDir >= 0 {
		unix.Close(w.previousDir)
	}
	w.previousDir = -1
}

func (w *writer) close() {
	w.leave()
	if w.reader != nil {
		w.reader.Close()
	}
}

// write makes one entry in the directory fd and proves it.
func (w *writer) write(fd int, e source.Entry) (tagging.ManifestEntry, error) {
	m := tagging.ManifestEntry{Path: e.Path, Mode: byte(e.Mode)}
	name := path.Base(e.Path)
	switch e.Mode {
	case source.Directory:
		return m, w.step.do("make staged directory", e.Path, func() error {
			child, err := makeDirAt(fd, name)
			if err != nil {
				return err
			}
			defer unix.Close(child)
			return unix.UtimesNanoAt(child, ".", w.times(), 0)
		})
	case source.Symlink:
		err := w.writeLink(fd, name, e, &m)
		return m, err
	}
	if old, ok := w.previous.find(e); ok {
		taken, err := w.take(fd, name, e, old, &m)
		if taken || err != nil {
			return m, err
		}
	}
	err := w.writeFile(fd, name, e, &m)
	return m, err
}

func (w *writer) writeLink(fd int, name string, e source.Entry, m *tagging.ManifestEntry) error {
	w.buf.Reset()
	if err := w.read(&w.buf, e); err != nil {
		return err
	}
	m.Size, m.Hash = int64(w.buf.Len()), sha256.Sum256(w.buf.Bytes())
	return w.step.do("make staged link", e.Path, func() error {
		if err := unix.Symlinkat(w.buf.String(), fd, name); err != nil {
			return err
		}
		return unix.UtimesNanoAt(fd, name, w.times(), unix.AT_SYMLINK_NOFOLLOW)
	})
}

// writeFile writes a file with the source's contents.
func (w *writer) writeFile(fd int, name string, e source.Entry, m *tagging.ManifestEntry) error {
	return w.step.do("write staged file", e.Path, func() (err error) {
		f, err := create(fd, name)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		w.hash.Reset()
		if e.Size >= 0 && e.Size <= wholeFile {
			w.buf.Reset()
			if err := w.read(&w.buf, e); err != nil {
				return err
			}
			w.hash.Write(w.buf.Bytes())
			m.Size = int64(w.buf.Len())
			_, err = f.Write(w.buf.Bytes())
		} else {
			count := &countingWriter{w: io.MultiWriter(f, w.hash)}
			err = w.read(count, e)
			m.Size = count.n
		}
		if err != nil {
			return err
		}
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
func create(fd int, name string) (rawFile, error) {
	n, err := unix.Openat(fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	return rawFile(n), err
}

// finish gives a written file its mode and time.
func (w *writer) finish(f rawFile, mode source.Mode) error {
	if err := unix.Fchmod(int(f), uint32(w.files.perm(mode))); err != nil {
		return err
	}
	return unix.UtimesNanoAt(int(f), "", w.times(), unix.AT_EMPTY_PATH)
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

// take makes the file name in the directory fd from the previous tag's, which has the same contents if nobody has touched
// it since: its hash is taken anew. It reports false, with nothing left behind, if the file cannot be had
// that way.
func (w *writer) take(fd int, name string, e source.Entry, old tagging.ManifestEntry,
	m *tagging.ManifestEntry) (bool, error) {
	src, ok := openRegular(w.previousDir, path.Base(e.Path), old.Size, w.files.perm(e.Mode))
	if !ok {
		return false, nil // gone, replaced or changed in the previous tag; the source still has it
	}
	defer src.Close()
	taken := false
	var err error
	if w.files == Hardlink {
		taken, err = w.linkFile(fd, name, src, e, old)
	} else {
		err = w.step.do("clone staged file", e.Path, func() (err error) {
			taken, err = w.cloneFile(fd, name, src, e, old)
			return err
		})
	}
	if err != nil || !taken {
		err = errors.Join(err, unlinkAt(fd, name))
	}
	m.Size, m.Hash = old.Size, old.Hash
	return taken, err
}

func unlinkAt(fd int, name string) error {
	if err := unix.Unlinkat(fd, name, 0); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// linkFile links the very file that was opened and hashes what it linked.
func (w *writer) linkFile(fd int, name string, src rawFile, e source.Entry, old tagging.ManifestEntry) (bool, error) {
	err := w.step.do("link staged file", e.Path, func() error {
		err := unix.Linkat(int(src), "", fd, name, unix.AT_EMPTY_PATH)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) { // AT_EMPTY_PATH wants a capability
			err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", src), fd, name, unix.AT_SYMLINK_FOLLOW)
		}
		return err
	})
	switch {
	case errors.Is(err, unix.EMLINK), errors.Is(err, unix.EXDEV), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, err
	}
	return w.copyHashed(io.Discard, src, old)
}

// cloneFile makes a file of its own that shares the blocks of src where the file system can, and is a
// copy where not. Either way what was made is hashed.
func (w *writer) cloneFile(fd int, name string, src rawFile, e source.Entry,
	old tagging.ManifestEntry) (same bool, err error) {
	f, err := create(fd, name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if w.reflink(f, src) {
		same, err = w.copyHashed(io.Discard, f, old)
	} else {
		same, err = w.copyHashed(f, src, old)
	}
	if err != nil || !same {
		return false, err
	}
	return true, w.finish(f, e.Mode)
}

// reflink reports whether f now shares the blocks of src.
func (w *writer) reflink(f, src rawFile) bool {
	if w.noReflink.Load() {
		return false
	}
	err := unix.IoctlFileClone(int(f), int(src))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTTY) {
		w.noReflink.Store(true)
	}
	return err == nil
}

// copyHashed copies src to dst and reports whether what it copied is what the manifest recorded.
func (w *writer) copyHashed(dst io.Writer, src rawFile, old tagging.ManifestEntry) (bool, error) {
	if w.chunk == nil {
		w.chunk = make([]byte, wholeFile/8)
	}
	w.hash.Reset()
	var n int64
	for n <= old.Size {
		read, err := src.Read(w.chunk)
		if err == io.EOF {
			break
		}
		if err != nil {
			return false, err
		}
		n += int64(read)
		w.hash.Write(w.chunk[:read])
		if _, err := dst.Write(w.chunk[:read]); err != nil {
			return false, err
		}
	}
	return n == old.Size && [sha256.Size]byte(w.hash.Sum(w.sum[:0])) == old.Hash, nil
}
