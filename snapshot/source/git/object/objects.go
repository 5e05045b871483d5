package object

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// objectCacheSize bounds, in bytes, the objects that one reader keeps as bases of deltas.
	objectCacheSize = 4 << 20
	// StreamThreshold is the size in bytes above which an object is streamed and not held in memory.
	StreamThreshold = 4 << 20
	// MaxTreeObject bounds, in bytes, one tree object: a directory of more than a million entries.
	MaxTreeObject = 64 << 20
	// maxAlternates bounds how far alternates may name further alternates, as git does.
	maxAlternates = 6
)

// Error says that an object of the repository is missing, truncated or corrupt, so that fetching
// it again helps. The zero hash stands for the object database itself. Objects that are sound but cannot
// be used are other errors.
type Error struct {
	Hash plumbing.Hash
	Err  error
}

func (e *Error) Error() string {
	if e.Hash.IsZero() {
		return fmt.Sprintf("read the object database: %v", e.Err)
	}
	return fmt.Sprintf("read object %s: %v", e.Hash, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ErrTooLarge says that an object is larger than anything of its kind should be.
var ErrTooLarge = errors.New("it is too large")

// Reader reads the object database of a repository, for one goroutine. It sees the objects that
// were there when it was opened, those of alternates included. All that it reads it proves against the
// hash that was asked for: by plain SHA-1, because whoever could make two objects of one name could as well have
// changed the files.
type Reader struct {
	dirs    []string // the objects directories, those of alternates included
	packs   []*packReader
	bases   baseCache
	scratch scratch
	namer   namer
	shared  bool // the packs belong to another reader
}

// Open opens the object database below gitDir. A damaged index of a pack is an *ObjectError.
func Open(gitDir string) (*Reader, error) {
	repositories, err := WithAlternates(gitDir)
	if err != nil {
		return nil, err
	}
	o := &Reader{namer: newNamer()}
	for _, dir := range repositories {
		o.dirs = append(o.dirs, filepath.Join(dir, "objects"))
		err := readPackIndexes(dir, func(name string, x packIndex) error {
			p, err := openPack(name, x)
			if err != nil {
				return &Error{Err: err}
			}
			o.addPack(p)
			return nil
		})
		if err != nil {
			_ = o.Close()
			return nil, err
		}
	}
	return o, nil
}

func (o *Reader) addPack(p *pack) {
	o.packs = append(o.packs, newPackReader(p, &o.bases, &o.scratch))
}

// Another returns a reader of the same objects for another goroutine. It is not to be used after o was closed.
func (o *Reader) Another() *Reader {
	n := &Reader{dirs: o.dirs, namer: newNamer(), shared: true}
	for _, p := range o.packs {
		n.addPack(p.pack)
	}
	return n
}

// Close releases the files of the object database.
func (o *Reader) Close() error {
	if o.shared {
		return nil
	}
	var errs []error
	for _, p := range o.packs {
		errs = append(errs, p.file.Close())
	}
	return errors.Join(errs...)
}

// Commit reads a commit.
func (o *Reader) Commit(h plumbing.Hash) (*Commit, error) {
	data, err := o.Read(plumbing.CommitObject, h, MaxTreeObject)
	if err != nil {
		return nil, err
	}
	c, err := parseCommit(data)
	if err != nil {
		return nil, fmt.Errorf("commit %s is malformed: %w", h, err)
	}
	c.Hash = h
	return c, nil
}

// Tree reads one tree. Nothing is checked in its entries but their form.
func (o *Reader) Tree(h plumbing.Hash) ([]treeEntry, error) {
	data, err := o.Read(plumbing.TreeObject, h, MaxTreeObject)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s is malformed: %w", h, err)
	}
	return entries, nil
}

// Blob reads a blob of at most limit bytes. A larger one is an error that wraps errTooLarge.
func (o *Reader) Blob(h plumbing.Hash, limit int64) ([]byte, error) {
	data, err := o.Read(plumbing.BlobObject, h, limit)
	return bytes.Clone(data), err
}

// WriteBlob writes a blob's contents to w and proves them against its hash: before that, unless the blob is large. It returns
// the number of bytes written. An error of w is returned as it is.
func (o *Reader) WriteBlob(w io.Writer, h plumbing.Hash) (int64, error) {
	obj, err := o.Any(h)
	if err == nil {
		err = o.checkKind(obj, plumbing.BlobObject)
	}
	if err != nil {
		return 0, err
	}
	if obj.data == nil {
		return o.copy(w, obj)
	}
	n, err := w.Write(obj.data)
	return int64(n), err
}

// Size returns the size of an object in bytes, as its header has it.
func (o *Reader) Size(h plumbing.Hash) (int64, error) {
	if p, offset, ok, err := o.packed(h); ok || err != nil {
		var size int64
		if err == nil {
			size, err = p.sizeAt(offset)
		}
		return size, objectError(h, err)
	}
	obj, err := o.loose(h)
	return obj.size, objectError(h, err)
}

// CheckBlob makes sure that an object is there and is a blob, as far as that can be told without reading its contents.
func (o *Reader) CheckBlob(h plumbing.Hash) error {
	if _, err := o.Size(h); err != nil {
		return err
	}
	p, offset, ok, err := o.packed(h)
	if err == nil && ok {
		var kind plumbing.ObjectType
		if kind, err = p.kindAt(offset); err == nil && kind == plumbing.BlobObject {
			return nil
		}
	}
	if err != nil {
		return objectError(h, err)
	}
	_, err = o.WriteBlob(io.Discard, h) // to tell what is wrong with it, or because its kind stands in its contents
	return err
}

// Read reads a whole object of at most limit bytes, and proves it against its hash. It is valid until the next one is read.
func (o *Reader) Read(t plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	obj, err := o.Any(h)
	if err == nil {
		err = o.checkKind(obj, t)
	}
	switch {
	case err != nil:
		return nil, err
	case obj.size > limit:
		return nil, fmt.Errorf("%s %s has %d bytes: %w", t, h, obj.size, ErrTooLarge)
	case obj.data != nil:
		return obj.data, nil
	}
	data := bytes.NewBuffer(make([]byte, 0, obj.size))
	_, err = o.copy(data, obj)
	return data.Bytes(), err
}

// storedObject is an object that was found.
type storedObject struct {
	hash plumbing.Hash
	kind plumbing.ObjectType
	size int64
	data []byte // the contents, proved and valid until the next object is found; nil if they are large
	// open streams the contents of a large object, which are to be proved.
	open func() (io.ReadCloser, error)
}

// reader returns the contents of an object. Those of a large one are not proved.
func (s *storedObject) reader() (io.ReadCloser, error) {
	if s.data != nil {
		return io.NopCloser(bytes.NewReader(s.data)), nil
	}
	return s.open()
}

// Any finds an object of whatever kind.
func (o *Reader) Any(h plumbing.Hash) (obj storedObject, err error) {
	p, offset, ok, err := o.packed(h)
	switch {
	case err != nil:
	case ok:
		obj, err = p.find(offset)
	default:
		obj, err = o.loose(h)
	}
	if err != nil {
		return obj, objectError(h, err)
	}
	obj.hash = h
	if obj.data != nil {
		err = proved(h, o.namer.name(obj.kind, obj.data))
	}
	return obj, err
}

// objectError says that reading an object failed.
func objectError(h plumbing.Hash, err error) error {
	if err == nil {
		return nil
	}
	return &Error{h, err}
}

// packed finds an object in the packs.
func (o *Reader) packed(h plumbing.Hash) (p *packReader, offset int64, ok bool, err error) {
	for _, p := range o.packs {
		if i, ok := p.index.find(h); ok {
			offset, err := p.index.offset(i)
			return p, offset, true, err
		}
	}
	return nil, 0, false, nil
}

// find reads the object at an offset, but of a large one what stands before it only.
func (p *packReader) find(offset int64) (obj storedObject, err error) {
	h, err := p.head(&p.window, offset)
	if err != nil {
		return obj, err
	}
	if h.size > StreamThreshold && !h.kind.IsDelta() {
		return storedObject{kind: h.kind, size: h.size, open: func() (io.ReadCloser, error) { return p.stream(h) }}, nil
	}
	obj.kind, obj.data, err = p.read(offset)
	obj.size = int64(len(obj.data))
	return obj, err
}

// checkKind checks that an object is of the kind that was meant. If it is not, that is no damage if the object is whole.
func (o *Reader) checkKind(obj storedObject, t plumbing.ObjectType) error {
	if obj.kind == t {
		return nil
	}
	if obj.data == nil {
		if _, err := o.copy(io.Discard, obj); err != nil {
			return err
		}
	}
	return fmt.Errorf("object %s is a %s where a %s is meant", obj.hash, obj.kind, t)
}

// proved returns an error unless the name that was computed of an object is its own.
func proved(h, computed plumbing.Hash) error {
	if h != computed {
		return &Error{h, errors.New("corrupt: the contents have another hash")}
	}
	return nil
}

// copy writes the contents of a large object to w and proves them against its hash.
func (o *Reader) copy(w io.Writer, obj storedObject) (int64, error) {
	r, err := obj.open()
	if err != nil {
		return 0, objectError(obj.hash, err)
	}
	o.namer.begin(obj.kind, obj.size)
	out := &rememberingWriter{w: w}
	buf := make([]byte, 128<<10)
	n, err := io.CopyBuffer(io.MultiWriter(o.namer.digest, out), io.LimitReader(r, obj.size+1), buf)
	err = errors.Join(err, r.Close())
	switch {
	case out.err != nil:
		return n, out.err
	case err != nil:
		return n, objectError(obj.hash, err)
	case n != obj.size:
		return n, objectError(obj.hash, errWrongSize)
	}
	return n, proved(obj.hash, o.namer.sum())
}

// rememberingWriter keeps the error of the writer behind it, to tell it from an error of the reader.
type rememberingWriter struct {
	w   io.Writer
	err error
}

func (r *rememberingWriter) Write(p []byte) (int, error) {
	n, err := r.w.Write(p)
	r.err = err
	return n, err
}

// OnlyReader hides a reader's other methods, so that a copy goes through the buffer given.
type OnlyReader struct{ io.Reader }

// WithAlternates returns gitDir and the repositories whose objects it borrows.
func WithAlternates(gitDir string) ([]string, error) {
	dirs := []string{filepath.Clean(gitDir)}
	seen := map[string]bool{dirs[0]: true}
	depth := map[string]int{}
	for i := 0; i < len(dirs); i++ {
		objectsDir := filepath.Join(dirs[i], "objects")
		list, err := os.ReadFile(filepath.Join(objectsDir, "info", "alternates"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the alternates of %q: %w", dirs[i], err)
		}
		for line := range strings.Lines(string(list)) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || line[0] == '#' {
				continue
			}
			if !filepath.IsAbs(line) {
				line = filepath.Join(objectsDir, line)
			}
			dir, base := filepath.Split(filepath.Clean(line))
			dir = filepath.Clean(dir)
			if base != "objects" {
				return nil, fmt.Errorf("alternates of %q: %q is not called objects, which is not supported", dirs[i], line)
			}
			if depth[dirs[i]] >= maxAlternates || seen[dir] {
				continue
			}
			seen[dir] = true
			depth[dir] = depth[dirs[i]] + 1
			dirs = append(dirs, dir)
		}
	}
	return dirs, nil
}
