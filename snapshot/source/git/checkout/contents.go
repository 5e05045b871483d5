package checkout

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1" // git names objects by their SHA-1
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// contents judges files of the working copy by reading them.
type contents struct {
	ctx        context.Context
	dirs       *disk.Dirs
	objects    func() (*object.Reader, error)
	conversion func(want *object.TreeFile) (attr.Conversion, error)
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
func (c *contents) published(f *workcopy.File, want *object.TreeFile) (bool, error) {
	if f.IsRegular() != want.IsFile() || f.IsSymlink() != (want.Mode == source.Symlink) {
		return false, nil
	}
	conv := attr.ConvertNone
	if want.IsFile() {
		var err error
		if conv, err = c.conversion(want); err != nil {
			return false, err
		}
	}
	if conv != attr.ConvertNone {
		return c.equal(f, want.Hash, conv)
	}
	h, err := c.hashes(f)
	return h.raw == want.Hash, err
}

// known implements judge. Versions that differ in their line ends only count as the same: which
// conversion an earlier update applied is not recorded, and nothing is lost with them.
func (c *contents) known(f *workcopy.File, base, want *object.TreeFile) (bool, error) {
	if !f.IsRegular() && !f.IsSymlink() || base == nil && len(c.commits) == 0 {
		return false, nil
	}
	h, err := c.hashes(f)
	if err != nil {
		return false, err
	}
	matches := func(version *object.TreeFile) bool {
		return version != nil && f.IsSymlink() == (version.Mode == source.Symlink) &&
			(version.Hash == h.raw || version.Hash == h.withLF)
	}
	if matches(base) || matches(want) {
		return true, nil
	}
	for _, commit := range c.commits {
		version, err := c.versionIn(commit, f.Path)
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
func (c *contents) versionIn(commit plumbing.Hash, path string) (*object.TreeFile, error) {
	o, err := c.objects()
	if err != nil {
		return nil, err
	}
	root, err := o.Commit(commit)
	if err == nil {
		f, ok, lookup := object.FindInTree(o, root.Tree, path)
		if ok {
			return &f, nil
		}
		err = lookup
	}
	var damaged *object.Error
	if errors.As(err, &damaged) {
		return nil, nil
	}
	return nil, err
}

// hashes reads a file or a link and hashes it.
func (c *contents) hashes(f *workcopy.File) (fileHashes, error) {
	if c.last.path == f.Path {
		return c.last, nil
	}
	if err := c.ctx.Err(); err != nil {
		return fileHashes{}, err
	}
	h, err := c.hash(f)
	if err != nil {
		return fileHashes{}, fmt.Errorf("read %s in the working copy: %w", disk.QuotePath(f.Path), err)
	}
	h.path = f.Path
	c.last = h
	return h, nil
}

func (c *contents) hash(f *workcopy.File) (h fileHashes, err error) {
	if f.IsSymlink() {
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
	counter := &attr.TextStats{}
	if h.raw, err = hashStream(io.TeeReader(file, counter), f.Stat.Size); err != nil {
		return h, err
	}
	h.withLF = h.raw
	if counter.Crlf > 0 {
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return h, err
		}
		h.withLF, err = hashStream(&attr.LfReader{R: bufio.NewReader(file)}, f.Stat.Size-int64(counter.Crlf))
	}
	return h, err
}

// equal compares a file with what a conversion makes of a blob.
func (c *contents) equal(f *workcopy.File, h plumbing.Hash, conv attr.Conversion) (bool, error) {
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
		return false, fmt.Errorf("compare %s with its blob: %w", disk.QuotePath(f.Path), err)
	}
	_, err = compare.r.ReadByte()
	return errors.Is(err, io.EOF), nil
}

// open opens a regular file that was seen in the working copy.
func (c *contents) open(f *workcopy.File) (*os.File, error) {
	dir, name := disk.SplitPath(f.Path)
	fd, err := c.dirs.At(dir)
	if err != nil {
		return nil, err
	}
	file, err := disk.OpenFileAt(fd, name)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(file.Fd()), &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Ino != f.Stat.Ino {
		file.Close()
		return nil, errors.Join(err, workcopy.ErrChangedMeanwhile)
	}
	return file, nil
}

func (c *contents) readlink(f *workcopy.File) ([]byte, error) {
	dir, name := disk.SplitPath(f.Path)
	fd, err := c.dirs.At(dir)
	if err != nil {
		return nil, err
	}
	return disk.ReadlinkAt(fd, name)
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
func writeConverted(w io.Writer, o *object.Reader, h plumbing.Hash, c attr.Conversion) error {
	return c.Convert(w, func(w io.Writer) error {
		_, err := o.WriteBlob(w, h)
		return err
	})
}
