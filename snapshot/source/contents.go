package source

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // git names objects by their SHA-1
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// contents judges files of the working copy by reading them.
type contents struct {
	ctx        context.Context
	dirs       *dirs
	objects    func() (*objects, error)
	conversion func(want *treeFile) (conversion, error)
	commits    []plumbing.Hash // of earlier and interrupted updates

	last fileHashes
}

// fileHashes are the hashes that a file, or a link's target, would have as a blob.
type fileHashes struct {
	path   string
	raw    plumbing.Hash
	withLF plumbing.Hash // with each CR LF taken for a line feed
}

// published implements judge.
func (c *contents) published(f *workFile, want *treeFile) (bool, error) {
	if f.isRegular() != want.isFile() || f.isSymlink() != (want.mode == Symlink) {
		return false, nil
	}
	conv := convertNone
	if want.isFile() {
		var err error
		if conv, err = c.conversion(want); err != nil {
			return false, err
		}
	}
	if conv != convertNone {
		return c.equal(f, want.hash, conv)
	}
	h, err := c.hashes(f)
	return h.raw == want.hash, err
}

// known implements judge. Versions that differ in their line ends only count as the same: which
// conversion an earlier update applied is not recorded, and nothing is lost with them.
func (c *contents) known(f *workFile, base, want *treeFile) (bool, error) {
	if !f.isRegular() && !f.isSymlink() || base == nil && len(c.commits) == 0 {
		return false, nil
	}
	h, err := c.hashes(f)
	if err != nil {
		return false, err
	}
	matches := func(version *treeFile) bool {
		return version != nil && f.isSymlink() == (version.mode == Symlink) &&
			(version.hash == h.raw || version.hash == h.withLF)
	}
	if matches(base) || matches(want) {
		return true, nil
	}
	for _, commit := range c.commits {
		version, err := c.versionIn(commit, f.path)
		if err != nil {
			return false, err
		}
		if matches(version) {
			return true, nil
		}
	}
	return false, nil
}

// versionIn returns what stands at path in a commit, nil if there is no such file. Objects of old
// commits may be gone, which makes them say nothing.
func (c *contents) versionIn(commit plumbing.Hash, path string) (*treeFile, error) {
	o, err := c.objects()
	if err != nil {
		return nil, err
	}
	root, err := o.commit(commit)
	if err == nil {
		f, ok, lookup := findInTree(o, root.Tree, path)
		if ok {
			return &f, nil
		}
		err = lookup
	}
	var damaged *ObjectError
	if errors.As(err, &damaged) {
		return nil, nil
	}
	return nil, err
}

// hashes reads a file or a link and hashes it.
func (c *contents) hashes(f *workFile) (fileHashes, error) {
	if c.last.path == f.path {
		return c.last, nil
	}
	if err := c.ctx.Err(); err != nil {
		return fileHashes{}, err
	}
	h, err := c.hash(f)
	if err != nil {
		return fileHashes{}, fmt.Errorf("reading %s in the working copy: %w", quotePath(f.path), err)
	}
	h.path = f.path
	c.last = h
	return h, nil
}

func (c *contents) hash(f *workFile) (h fileHashes, err error) {
	if f.isSymlink() {
		target, err := c.readlink(f)
		if err != nil {
			return h, err
		}
		h.raw = hashBlob(target)
		h.withLF = h.raw
		return h, nil
	}
	file, err := c.open(f)
	if err != nil {
		return h, err
	}
	defer file.Close()
	counter := &textStats{}
	if h.raw, err = hashStream(io.TeeReader(file, counter), f.stat.Size); err != nil {
		return h, err
	}
	h.withLF = h.raw
	if counter.crlf > 0 {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return h, err
		}
		h.withLF, err = hashStream(&lfReader{r: bufio.NewReader(file)}, f.stat.Size-int64(counter.crlf))
	}
	return h, err
}

// equal compares a file with what a conversion makes of a blob.
func (c *contents) equal(f *workFile, h plumbing.Hash, conv conversion) (bool, error) {
	o, err := c.objects()
	if err != nil {
		return false, err
	}
	file, err := c.open(f)
	if err != nil {
		return false, err
	}
	defer file.Close()
	compare := &comparer{r: bufio.NewReader(file)}
	err = writeConverted(compare, o, h, conv)
	if errors.Is(err, errDiffers) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("comparing %s with its blob: %w", quotePath(f.path), err)
	}
	_, err = compare.r.ReadByte()
	return errors.Is(err, io.EOF), nil
}

// open opens a regular file that was seen in the working copy.
func (c *contents) open(f *workFile) (*os.File, error) {
	dir, name := splitPath(f.path)
	fd, err := c.dirs.at(dir)
	if err != nil {
		return nil, err
	}
	file, err := openFileAt(fd, name)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(file.Fd()), &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Ino != f.stat.Ino {
		file.Close()
		return nil, errors.Join(err, errChangedMeanwhile)
	}
	return file, nil
}

func (c *contents) readlink(f *workFile) ([]byte, error) {
	dir, name := splitPath(f.path)
	fd, err := c.dirs.at(dir)
	if err != nil {
		return nil, err
	}
	return readlinkAt(fd, name)
}

func hashBlob(data []byte) plumbing.Hash {
	h, _ := hashStream(bytes.NewReader(data), int64(len(data))) // a reader of bytes does not fail
	return h
}

// hashStream returns the hash of a blob of size bytes. If r has another number of bytes the hash is
// that of no blob.
func hashStream(r io.Reader, size int64) (h plumbing.Hash, err error) {
	digest := sha1.New()
	fmt.Fprintf(digest, "blob %d\x00", size)
	if _, err := io.Copy(digest, r); err != nil {
		return h, err
	}
	digest.Sum(h[:0])
	return h, nil
}

// lfReader leaves out the carriage returns that stand before line feeds.
type lfReader struct{ r *bufio.Reader }

func (l *lfReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		b, err := l.r.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if b == '\r' {
			if next, err := l.r.Peek(1); err == nil && next[0] == '\n' {
				continue
			}
		}
		p[n] = b
		n++
	}
	return n, nil
}

var errDiffers = errors.New("contents differ")

// comparer fails with errDiffers when something is written that is not what r has.
type comparer struct {
	r   *bufio.Reader
	buf []byte
}

func (c *comparer) Write(p []byte) (int, error) {
	c.buf = append(c.buf[:0], p...)
	if _, err := io.ReadFull(c.r, c.buf); err != nil || !bytes.Equal(c.buf, p) {
		return 0, errDiffers
	}
	return len(p), nil
}

// writeConverted writes a blob as it is to stand in a file.
func writeConverted(w io.Writer, o *objects, h plumbing.Hash, c conversion) error {
	return c.convert(w, func(w io.Writer) error {
		_, err := o.writeBlob(w, h)
		return err
	})
}
