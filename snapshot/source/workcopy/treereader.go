package workcopy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"golang.org/x/sys/unix"
)

// TreeReader reads a tree whose fingerprint was taken. It is the fs.FS that the copy is made from, in which files are
// named by their absolute paths: it lists what the fingerprint has and opens nothing else, so that what has become
// another file, a link to elsewhere or a fifo is noticed and not read.
type TreeReader struct {
	ctx      context.Context // of the reading
	cancel   context.CancelCauseFunc
	skip     func(path string) bool
	progress func(done, total int)
	Before   *fingerprint
	stamps   map[string]*fileStamp
	children map[string][]fs.DirEntry

	mu      sync.Mutex
	Entries []source.ExportedEntry
	index   map[string]int // of entries, by path
	done    int
}

var (
	_ fs.StatFS    = (*TreeReader)(nil)
	_ fs.ReadDirFS = (*TreeReader)(nil)
)

// newTreeReader takes the fingerprint of a tree that is to be read, and asks whether there is room for it.
func newTreeReader(ctx context.Context, dir string, skip func(path string) bool, o source.ExportOptions) (*TreeReader, error) {
	before, err := takeFingerprint(ctx, dir, skip)
	if err != nil {
		return nil, err
	}
	entries := before.entries()
	if o.Room != nil {
		if err := o.Room(entries); err != nil {
			return nil, err
		}
	}
	t := &TreeReader{
		skip: skip, progress: o.Progress, Before: before,
		stamps:   make(map[string]*fileStamp, len(before.stamps)),
		children: map[string][]fs.DirEntry{},
		Entries:  make([]source.ExportedEntry, len(entries)),
		index:    make(map[string]int, len(entries)),
	}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	for _, s := range before.stamps {
		t.stamps[s.path] = s
		if s.path != "" {
			parent, _ := disk.SplitPath(s.path)
			t.children[parent] = append(t.children[parent], fs.FileInfoToDirEntry(s))
		}
	}
	for i, e := range entries {
		t.Entries[i].Entry, t.index[e.Path] = e, i
	}
	return t, nil
}

// Stat implements fs.StatFS.
func (t *TreeReader) Stat(path string) (fs.FileInfo, error) {
	s, err := t.lookup(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *TreeReader) ReadDir(path string) ([]fs.DirEntry, error) {
	s, err := t.lookup(path)
	if err != nil {
		return nil, err
	}
	return t.children[s.path], nil
}

func (t *TreeReader) lookup(path string) (*fileStamp, error) {
	if t.ctx.Err() != nil {
		return nil, context.Cause(t.ctx)
	}
	s, ok := t.stamps[t.Before.inside(path)]
	if !ok {
		return nil, fmt.Errorf("%q is not in the fingerprint", path)
	}
	return s, nil
}

// Open implements fs.FS. No error of it is one of a file that does not exist: the copy would go on without it.
func (t *TreeReader) Open(path string) (fs.File, error) {
	s, err := t.lookup(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, disk.OpenRead, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, t.unsteady(s)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := &hashedFile{file: os.NewFile(uintptr(fd), path), tree: t, stamp: s, hash: sha256.New()}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && !sameStat(&st, &s.stat) {
		err = t.unsteady(s)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (t *TreeReader) unsteady(s *fileStamp) error {
	return &UnsteadyError{t.Before.dir, []string{s.path}}
}

// hashedFile is a file of a tree that is hashed as it is read.
type hashedFile struct {
	file  *os.File
	tree  *TreeReader
	stamp *fileStamp
	hash  hash.Hash
	size  int64 // read until now
}

// Read implements fs.File. A file that grows as it is read has no end to wait for.
func (f *hashedFile) Read(p []byte) (int, error) {
	if f.tree.ctx.Err() != nil {
		return 0, context.Cause(f.tree.ctx)
	}
	n, err := f.file.Read(p)
	f.hash.Write(p[:n])
	f.size += int64(n)
	switch {
	case f.size > f.stamp.stat.Size:
		return n, f.tree.unsteady(f.stamp)
	case err == io.EOF:
		f.tree.finish(f.stamp, [sha256.Size]byte(f.hash.Sum(nil)))
	}
	return n, err
}

// Stat implements fs.File.
func (f *hashedFile) Stat() (fs.FileInfo, error) { return f.stamp, nil }

// Close implements fs.File.
func (f *hashedFile) Close() error { return f.file.Close() }

// finish records that a file was read whole, and its hash.
func (t *TreeReader) finish(s *fileStamp, sum [sha256.Size]byte) {
	i, ok := t.index[s.path]
	if !ok {
		return // a directory in which something stands
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &t.Entries[i]
	e.Hash = sum
	if e.Mode != source.Directory {
		e.ID = hex.EncodeToString(sum[:])
	}
	if t.done++; t.progress != nil {
		t.progress(t.done, len(t.Entries))
	}
}

// HashAll reads all files.
func (t *TreeReader) HashAll() error {
	for _, e := range t.Entries {
		if s := t.stamps[e.Path]; !s.isRegular() {
			t.finish(s, s.targetHash())
			continue
		}
		f, err := t.Open(filepath.Join(t.Before.dir, e.Path))
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// proveSteady fails with an UnsteadyError if the tree is not what it was when its fingerprint was taken.
func (t *TreeReader) proveSteady(ctx context.Context) error {
	after, err := takeFingerprint(ctx, t.Before.dir, t.skip)
	if err != nil {
		return err
	}
	if changed := t.Before.changes(after); len(changed) > 0 {
		return &UnsteadyError{t.Before.dir, changed[:min(len(changed), maxChanges)]}
	}
	return nil
}
