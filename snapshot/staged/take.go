package staged

import (
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// take makes the file or link name in the directory fd from the previous tag's, which has the same contents if nobody
// has touched it since: its hash is taken anew. It reports false, with nothing left behind, if it cannot be had that
// way: the source still has it.
func (w *writer) take(fd int, name string, e source.Entry, old tag.Entry) (bool, error) {
	dir := w.inPrevious()
	if dir < 0 {
		return false, nil
	}
	if e.Mode == source.Symlink {
		return w.takeLink(fd, dir, name, e, old)
	}
	src, ok := w.openRegular(dir, path.Base(e.Path), old.Size, w.layout.perm(e.Mode))
	if !ok {
		return false, nil // gone, replaced or changed in the previous tag
	}
	defer src.Close()
	taken := false
	var err error
	if w.layout == Hardlink {
		taken, err = w.linkFile(fd, name, src, e, old)
	} else {
		err = w.step.Do("clone staged file", e.Path, func() (err error) {
			taken, err = w.cloneFile(fd, name, src, e, old)
			return err
		})
	}
	if err != nil || !taken {
		err = errors.Join(err, disk.RemoveFileAt(fd, name))
	}
	return taken, err
}

// takeLink makes a symbolic link that leads where the previous tag's does.
func (w *writer) takeLink(fd, dir int, name string, e source.Entry, old tag.Entry) (bool, error) {
	target, ok := readLink(dir, name, old.Size)
	if !ok || sha256.Sum256(target) != old.Hash {
		return false, nil
	}
	return true, w.makeLink(fd, name, e, string(target))
}

// linkFile links the very file that was opened and hashes what it linked.
func (w *writer) linkFile(fd int, name string, src disk.RawFile, e source.Entry, old tag.Entry) (bool, error) {
	err := w.step.Do("link staged file", e.Path, func() error { return disk.LinkOpen(int(src), fd, name) })
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
func (w *writer) cloneFile(fd int, name string, src disk.RawFile, e source.Entry,
	old tag.Entry) (same bool, err error) {
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
func (w *writer) reflink(f, src disk.RawFile) bool {
	if w.noReflink.Load() {
		return false
	}
	err := disk.ShareBlocks(f, src)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTTY) {
		w.noReflink.Store(true)
	}
	return err == nil
}

// copyHashed copies src to dst and reports whether what it copied is what the manifest recorded.
func (w *writer) copyHashed(dst io.Writer, src disk.RawFile, old tag.Entry) (bool, error) {
	if w.chunk == nil {
		w.chunk = make([]byte, wholeFile/8)
	}
	w.hash.Reset()
	var n int64
	for ended := false; !ended && n <= old.Size; {
		read, err := src.Read(w.chunk)
		if err != nil && err != io.EOF {
			return false, err
		}
		// A file that gives less than what was asked for has no more.
		ended = err == io.EOF || read < len(w.chunk) && n+int64(read) == old.Size
		n += int64(read)
		w.hash.Write(w.chunk[:read])
		if _, err := dst.Write(w.chunk[:read]); err != nil {
			return false, err
		}
	}
	return n == old.Size && [sha256.Size]byte(w.hash.Sum(w.sum[:0])) == old.Hash, nil
}

// openRegular opens the file name in the directory dir if it is a regular file of ours of that size and mode. Whom it
// belongs to could write to it, and with a link to all tags.
func (w *writer) openRegular(dir int, name string, size int64, perm os.FileMode) (disk.RawFile, bool) {
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != size || st.Mode&0o7777 != uint32(perm) ||
		st.Uid != w.owner {
		unix.Close(fd)
		return -1, false
	}
	return disk.RawFile(fd), true
}

// readLink returns where the symbolic link name in the directory dir leads if that has so many bytes.
func readLink(dir int, name string, size int64) (target []byte, ok bool) {
	target = make([]byte, size+1)
	n, err := unix.Readlinkat(dir, name, target)
	return target[:max(n, 0)], err == nil && int64(n) == size
}
