package source

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

	"golang.org/x/sys/unix"
)

// treeReader reads a tree whose fingerprint was taken. It is the fs.FS that the copy is made from, in which files are
// named by their absolute paths: it lists what the fingerprint has and opens nothing else, so that what has become
// another file, a link to elsewhere or a fifo is noticed and not read.
type treeReader struct {
	ctx      context.Context // of the reading
	cancel   context.CancelCauseFunc
	skip     func(path string) bool
	progress func(done, total int)
	before   *fingerprint
	stamps   map[string]*fileStamp
	children map[string][]fs.DirEntry

	mu      sync.Mutex
	entries []ExportedEntry
	index   map[string]int // of entries, by path
	done    int
}

var (
	_ fs.StatFS    = (*treeReader)(nil)
	_ fs.ReadDirFS = (*treeReader)(nil)
)

// newTreeReader takes the fingerprint of a tree that is to be read, and asks whether there is room for it.
func newTreeReader(ctx context.Context, dir string, skip func(path string) bool, o ExportOptions) (*treeReader, error) {
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
	t := &treeReader{
		skip: skip, progress: o.Progress, before: before,
		stamps:   make(map[string]*fileStamp, len(before.stamps)),
		children: map[string][]fs.DirEntry{},
		entries:  make([]ExportedEntry, len(entries)),
		index:    make(map[string]int, len(entries)),
	}
	t.ctx, t.cancel = context.WithCancelCause(ctx)
	for _, s := range before.stamps {
		t.stamps[s.path] = s
		if s.path != "" {
			parent, _ := splitPath(s.path)
			t.children[parent] = append(t.children[parent], fs.FileInfoToDirEntry(s))
		}
	}
	for i, e := range entries {
		t.entries[i].Entry, t.index[e.Path] = e, i
	}
	return t, nil
}

// Stat implements fs.StatFS.
func (t *treeReader) Stat(path string) (fs.FileInfo, error) {
	s, err := t.lookup(path)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *treeReader) ReadDir(path string) ([]fs.DirEntry, error) {
	s, err := t.lookup(path)
	if err != nil {
		return nil, err
	}
	return t.children[s.path], nil
}

func (t *treeReader) lookup(path string) (*fileStamp, error) {
	if t.ctx.Err() != nil {
		return nil, context.Cause(t.ctx)
	}
	s, ok := t.stamps[t.before.inside(path)]
	if !ok {
		return nil, fmt.Errorf("%q is not in the fingerprint", path)
	}
	return s, nil
}

// Open implements fs.FS. No error of it is one of a file that does not exist: the copy would go on without it.
func (t *treeReader) Open(path string) (fs.File, error) {
	s, err := t.lookup(path)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Open(path, openRead, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil, t.unsettled(s)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := &hashedFile{file: os.NewFile(uintptr(fd), path), tree: t, stamp: s, hash: sha256.New()}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && !sameStat(&st, &s.stat) {
		err = t.unsettled(s)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (t *treeReader) unsettled(s *fileStamp) error {
	return &UnsettledError{t.before.dir, []string{s.path}}
}

// hashedFile is a file of a tree that is hashed as it is read.
type hashedFile struct {
	file  *os.File
	tree  *treeReader
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
		return n, f.tree.unsettled(f.stamp)
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
func (t *treeReader) finish(s *fileStamp, sum [sha256.Size]byte) {
	i, ok := t.index[s.path]
	if !ok {
		return // a directory in which something stands
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e := &t.entries[i]
	e.Hash = sum
	if e.Mode != Directory {
		e.ID = hex.EncodeToString(sum[:])
	}
	if t.done++; t.progress != nil {
		t.progress(t.done, len(t.entries))
	}
}

// hashAll reads all files.
func (t *treeReader) hashAll() error {
	for _, e := range t.entries {
		if s := t.stamps[e.Path]; !s.isRegular() {
			t.finish(s, s.targetHash())
			continue
		}
		f, err := t.Open(filepath.Join(t.before.dir, e.Path))
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

// proveSettled fails with an UnsettledError if the tree is not what it was when its fingerprint was taken.
func (t *treeReader) proveSettled(ctx context.Context) error {
	after, err := takeFingerprint(ctx, t.before.dir, t.skip)
	if err != nil {
		return err
	}
	if changed := t.before.changes(after); len(changed) > 0 {
		return &UnsettledError{t.before.dir, changed[:min(len(changed), maxChanges)]}
	}
	return nil
}
