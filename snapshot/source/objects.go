package source

import (
	"bytes"
	"crypto/sha1" // git names objects by their SHA-1
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/storage/filesystem"
)

const (
	// objectCacheSize bounds, in bytes, the objects that one reader keeps as bases of deltas.
	objectCacheSize = 4 << 20
	// streamThreshold is the size in bytes above which an object is streamed and not held in memory.
	streamThreshold = 4 << 20
	// maxTreeObject bounds, in bytes, one tree object: a directory of more than a million entries.
	maxTreeObject = 64 << 20
	// maxAlternates bounds how far alternates may name further alternates, as git does.
	maxAlternates = 6
)

// ObjectError says that an object of the repository is missing, truncated or corrupt, so that fetching
// it again helps. The zero hash stands for the object database itself. Objects that are sound but cannot
// be used are other errors.
type ObjectError struct {
	Hash plumbing.Hash
	Err  error
}

func (e *ObjectError) Error() string {
	if e.Hash.IsZero() {
		return fmt.Sprintf("reading the object database: %v", e.Err)
	}
	return fmt.Sprintf("reading object %s: %v", e.Hash, e.Err)
}

func (e *ObjectError) Unwrap() error { return e.Err }

// errTooLarge says that an object is larger than anything of its kind should be.
var errTooLarge = errors.New("it is too large")

// objects reads the object database of a repository, for one goroutine. It sees the objects that
// were there when it was opened, those of alternates included. All that it reads it proves against the
// hash that was asked for.
type objects struct {
	stores []*filesystem.Storage
	buf    []byte
	digest hash.Hash
}

// openObjects opens the object database below gitDir. A damaged index of a pack is an *ObjectError.
func openObjects(gitDir string) (*objects, error) {
	dirs, err := withAlternates(gitDir)
	if err != nil {
		return nil, err
	}
	o := &objects{buf: make([]byte, 64<<10), digest: sha1.New()}
	objectCache := cache.NewObjectLRU(objectCacheSize)
	for _, dir := range dirs {
		fs := &repositoryFS{Filesystem: osfs.New(dir)}
		store := filesystem.NewStorageWithOptions(fs, objectCache, filesystem.Options{
			ExclusiveAccess:      true,
			KeepDescriptors:      true,
			LargeObjectThreshold: streamThreshold,
		})
		o.stores = append(o.stores, store)
		// The library forgets a damaged pack index after the first complaint, and then reports all that
		// is in the pack as missing: ask once here, where the complaint is heard.
		err := guard(func() error {
			_, err := store.EncodedObject(plumbing.AnyObject, plumbing.ZeroHash)
			return err
		})
		if err != nil && !errors.Is(err, plumbing.ErrObjectNotFound) {
			_ = o.Close()
			return nil, &ObjectError{Err: fmt.Errorf("%s: %w", dir, err)}
		}
	}
	return o, nil
}

// Close releases the files of the object database.
func (o *objects) Close() error {
	var errs []error
	for _, s := range o.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// commit reads a commit.
func (o *objects) commit(h plumbing.Hash) (*commit, error) {
	data, err := o.read(plumbing.CommitObject, h, maxTreeObject)
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

// tree reads one tree. Nothing is checked in its entries but their form.
func (o *objects) tree(h plumbing.Hash) ([]treeEntry, error) {
	data, err := o.read(plumbing.TreeObject, h, maxTreeObject)
	if err != nil {
		return nil, err
	}
	entries, err := parseTree(data)
	if err != nil {
		return nil, fmt.Errorf("tree %s is malformed: %w", h, err)
	}
	return entries, nil
}

// blob reads a blob of at most limit bytes. A larger one is an error that wraps errTooLarge.
func (o *objects) blob(h plumbing.Hash, limit int64) ([]byte, error) {
	return o.read(plumbing.BlobObject, h, limit)
}

// writeBlob writes a blob's contents to w and proves them against its hash. It returns the number of
// bytes written. An error of w is returned as it is.
func (o *objects) writeBlob(w io.Writer, h plumbing.Hash) (int64, error) {
	obj, err := o.open(plumbing.BlobObject, h)
	if err != nil {
		return 0, err
	}
	return o.copy(w, obj, h)
}

// size returns the size of an object in bytes, as its header has it.
func (o *objects) size(h plumbing.Hash) (size int64, err error) {
	err = o.find(h, func(s *filesystem.Storage) (err error) {
		size, err = s.EncodedObjectSize(h)
		s.Filesystem().(*repositoryFS).closeLoose()
		return err
	})
	return size, err
}

// open finds an object and checks its type.
func (o *objects) open(t plumbing.ObjectType, h plumbing.Hash) (obj plumbing.EncodedObject, err error) {
	err = o.find(h, func(s *filesystem.Storage) (err error) {
		obj, err = s.EncodedObject(plumbing.AnyObject, h)
		return err
	})
	if err != nil {
		return nil, err
	}
	if obj.Type() != t {
		if _, err := o.copy(io.Discard, obj, h); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("object %s is a %s where a %s is meant", h, obj.Type(), t)
	}
	return obj, nil
}

// find asks each repository in turn for the object h.
func (o *objects) find(h plumbing.Hash, ask func(*filesystem.Storage) error) error {
	for _, s := range o.stores {
		err := guard(func() error { return ask(s) })
		if err == nil {
			return nil
		}
		if !errors.Is(err, plumbing.ErrObjectNotFound) {
			return &ObjectError{h, err}
		}
	}
	return &ObjectError{h, plumbing.ErrObjectNotFound}
}

// read reads a whole object of at most limit bytes, and proves it against its hash.
func (o *objects) read(t plumbing.ObjectType, h plumbing.Hash, limit int64) ([]byte, error) {
	obj, err := o.open(t, h)
	if err != nil {
		return nil, err
	}
	if obj.Size() > limit {
		return nil, fmt.Errorf("%s %s has %d bytes: %w", t, h, obj.Size(), errTooLarge)
	}
	data := bytes.NewBuffer(make([]byte, 0, obj.Size()))
	_, err = o.copy(data, obj, h)
	return data.Bytes(), err
}

// copy writes an object's contents to w and proves them against its hash.
func (o *objects) copy(w io.Writer, obj plumbing.EncodedObject, h plumbing.Hash) (int64, error) {
	o.digest.Reset()
	header := append(o.buf[:0], obj.Type().String()...)
	header = append(header, ' ')
	header = strconv.AppendInt(header, obj.Size(), 10)
	o.digest.Write(append(header, 0))

	out := &rememberingWriter{w: w}
	var n int64
	err := guard(func() error {
		r, err := obj.Reader()
		if err != nil {
			return err
		}
		n, err = io.CopyBuffer(io.MultiWriter(o.digest, out), onlyReader{r}, o.buf)
		return errors.Join(err, r.Close())
	})
	switch {
	case out.err != nil:
		return n, out.err
	case err != nil:
		return n, &ObjectError{h, err}
	case n != obj.Size():
		return n, &ObjectError{h, fmt.Errorf("truncated: %d of %d bytes", n, obj.Size())}
	case !bytes.Equal(o.digest.Sum(o.buf[:0]), h[:]):
		return n, &ObjectError{h, errors.New("corrupt: the contents have another hash")}
	}
	return n, nil
}

// repositoryFS hides the alternates of a repository: the library would open them anew for each object that is not in
// the repository itself. It also closes what the library forgets to.
type repositoryFS struct {
	billy.Filesystem
	loose billy.File // the loose object that was opened last
}

func (fs *repositoryFS) Open(name string) (billy.File, error) {
	name = filepath.ToSlash(name)
	if name == "objects/info/alternates" {
		return nil, os.ErrNotExist
	}
	f, err := fs.Filesystem.Open(name)
	if dir, _, _ := strings.Cut(strings.TrimPrefix(name, "objects/"), "/"); len(dir) == 2 && err == nil {
		fs.loose = f
	}
	return f, err
}

// closeLoose closes the loose object that was opened last: the library leaves one open of which it reads the size.
func (fs *repositoryFS) closeLoose() {
	if fs.loose != nil {
		_ = fs.loose.Close()
		fs.loose = nil
	}
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

// onlyReader hides a reader's other methods, so that a copy goes through the buffer given.
type onlyReader struct{ io.Reader }

// guard turns a panic into an error: the library trusts offsets and lengths that it reads from packs
// and their indexes, and those can be damaged.
func guard(read func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged beyond reading: %v", p)
		}
	}()
	return read()
}

// withAlternates returns gitDir and the repositories whose objects it borrows.
func withAlternates(gitDir string) ([]string, error) {
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
			return nil, fmt.Errorf("reading the alternates of %q: %w", dirs[i], err)
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
