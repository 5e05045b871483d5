package staged

import (
	"context"
	"crypto/sha256"
	"errors"
	"hash"
	"io"
	"os"
	"path"
	"sync"
	"sync/atomic"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

const (
	// walkWorkers is how many files of a tree are read side by side.
	walkWorkers = 4
	// walkAhead is how many files wait to be read at most. Each may keep its directory open.
	walkAhead = 64
	// walkNames is how many names of a directory are read at a time.
	walkNames = 1024
)

// treeVisitor is told what stands in a tree. The walk calls meet from one goroutine, and the others from several,
// also while it calls meet.
type treeVisitor interface {
	// meet is told of everything, of a directory before what is in it; the tree itself is ".". It says whether to look
	// inside: to enter a directory, or to read a regular file or a link's target.
	meet(path string, st *unix.Stat_t) bool
	// read is told what is in a file or a symbolic link that meet wanted to be read.
	read(path string, c contents)
	// failed is told of what cannot be looked at, be it a directory, of which a part may have been met.
	failed(path string, err error)
}

// contents is what is in a file or a symbolic link.
type contents struct {
	size   int64
	hash   [sha256.Size]byte
	target string // of a symbolic link
}

// walkTree shows the tree at dir to v. It follows no link below dir. What it keeps in memory and open depends on the
// tree's depth, not on its size. The error says that dir itself cannot be opened, or that ctx was done.
func walkTree(ctx context.Context, dir string, v treeVisitor) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	w := treeWalk{ctx: ctx, visitor: v, files: make(chan walkedFile, walkAhead)}
	var workers sync.WaitGroup
	for range walkWorkers {
		workers.Go(w.readFiles)
	}
	w.enter(fd, ".", func(st *unix.Stat_t) bool { return v.meet(".", st) })
	close(w.files)
	workers.Wait()
	return context.Cause(ctx)
}

type treeWalk struct {
	ctx     context.Context
	visitor treeVisitor
	files   chan walkedFile
}

// walkedFile is a file that waits to be read.
type walkedFile struct {
	dir        *sharedDir
	name, path string
	link       bool
	size       int64
}

// sharedDir is an open directory that is closed by the last who needs it.
type sharedDir struct {
	*os.File
	fd    int
	users atomic.Int32
}

func (d *sharedDir) release() {
	if d.users.Add(-1) == 0 {
		d.Close()
	}
}

// enter walks the directory fd, which it takes over, if meet says so.
func (w *treeWalk) enter(fd int, at string, meet func(*unix.Stat_t) bool) {
	d := &sharedDir{File: os.NewFile(uintptr(fd), at), fd: fd}
	d.users.Store(1)
	defer d.release()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		w.visitor.failed(at, err)
		return
	}
	if !meet(&st) {
		return
	}
	for w.ctx.Err() == nil {
		names, err := d.Readdirnames(walkNames)
		for _, name := range names {
			w.entry(d, name, path.Join(at, name))
		}
		if err == io.EOF {
			return
		}
		if err != nil {
			w.visitor.failed(at, errors.Unwrap(err))
			return
		}
	}
}

// entry shows what bears a name in a directory.
func (w *treeWalk) entry(d *sharedDir, name, p string) {
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		w.visitor.failed(p, err)
		return
	}
	if !w.visitor.meet(p, &st) {
		return
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		fd, err := unix.Openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			w.visitor.failed(p, err)
			return
		}
		w.enter(fd, p, func(*unix.Stat_t) bool { return true })
		return
	}
	d.users.Add(1)
	w.files <- walkedFile{d, name, p, st.Mode&unix.S_IFMT == unix.S_IFLNK, st.Size}
}

// readFiles reads files until there are no more.
func (w *treeWalk) readFiles() {
	r := fileReader{hash: sha256.New(), chunk: make([]byte, wholeFile/8)}
	for f := range w.files {
		if w.ctx.Err() == nil {
			if c, err := r.read(f); err != nil {
				w.visitor.failed(f.path, err)
			} else {
				w.visitor.read(f.path, c)
			}
		}
		f.dir.release()
	}
}

// fileReader reads one file at a time.
type fileReader struct {
	hash  hash.Hash // SHA-256
	chunk []byte
}

func (r *fileReader) read(f walkedFile) (c contents, err error) {
	if f.link {
		target := make([]byte, f.size+1)
		n, err := unix.Readlinkat(f.dir.fd, f.name, target)
		if err != nil {
			return c, err
		}
		return contents{int64(n), sha256.Sum256(target[:n]), string(target[:n])}, nil
	}
	fd, err := unix.Openat(f.dir.fd, f.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return c, err
	}
	defer unix.Close(fd)
	r.hash.Reset()
	for {
		n, err := disk.RawFile(fd).Read(r.chunk)
		if err == io.EOF {
			r.hash.Sum(c.hash[:0])
			return c, nil
		}
		if err != nil {
			return c, err
		}
		c.size += int64(n)
		r.hash.Write(r.chunk[:n])
	}
}
