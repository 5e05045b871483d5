package disk

import (
	"errors"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// removers is how many directories of a tree are removed side by side: mostly they wait for the file system's journal.
const removers = 4

// RemoveTree deletes what bears a name in an open directory, with all that is in it. Links are deleted, never followed.
// If something is mounted in it, it stays, and the error is a *MountError. What is mounted meanwhile, or where there is no
// /proc to tell beforehand, is not entered either: it stays, with the directories that lead to it.
//
// What cannot be deleted does not keep the rest; the error is the first that was met. Nothing to delete is none.
func RemoveTree(dir int, name string) error { return removeTree(dir, name, name) }

// RemovePath is RemoveTree for what stands at a path.
func RemovePath(path string) error {
	dir, err := openPath(filepath.Dir(path))
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return removeTree(dir, filepath.Base(path), path)
}

// removeTree is RemoveTree, with the path that errors name.
func removeTree(dir int, name, path string) error {
	if mounted, ok := errors.AsType[*MountError](Mounted(dir, name)); ok {
		return &os.PathError{Op: "remove", Path: path, Err: mounted}
	}
	return removeUnlooked(dir, name, path)
}

// removeUnlooked is removeTree without the look.
func removeUnlooked(dir int, name, path string) error {
	r := &treeRemoval{idle: make(chan struct{}, removers-1)}
	if r.unlink(dir, name, path) {
		r.removeDir(dir, name, path)
	}
	return r.err
}

type treeRemoval struct {
	idle chan struct{} // has one for each other remover that is at work

	mu  sync.Mutex
	err error
}

func (r *treeRemoval) failed(path string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = &os.PathError{Op: "remove", Path: path, Err: err}
	}
}

// unlink deletes what stands at path and is called name in dir, unless it is a directory, which it reports.
func (r *treeRemoval) unlink(dir int, name, path string) (isDir bool) {
	err := unix.Unlinkat(dir, name, 0)
	if err == nil || err == unix.ENOENT {
		return false
	}
	var st unix.Stat_t
	if err == unix.EISDIR || unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return true
	}
	r.failed(path, err)
	return false
}

// removeDir deletes a directory with all that is in it.
func (r *treeRemoval) removeDir(dir int, name, path string) {
	fd, err := OpenUnmounted(dir, name)
	if err == nil {
		err = r.empty(fd, path)
		unix.Close(fd)
	}
	if err == nil {
		err = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
	}
	if err != nil && err != unix.ENOENT {
		r.failed(path, err)
	}
}

// empty deletes all that is in an open directory.
func (r *treeRemoval) empty(fd int, path string) error {
	names, err := readNames(fd)
	var others sync.WaitGroup
	for _, name := range names {
		at := path + "/" + name
		if !r.unlink(fd, name, at) {
			continue
		}
		select {
		case r.idle <- struct{}{}:
			others.Go(func() {
				defer func() { <-r.idle }()
				r.removeDir(fd, name, at)
			})
		default:
			r.removeDir(fd, name, at)
		}
	}
	others.Wait()
	return err
}

var direntBuffers = sync.Pool{New: func() any { return new([8 << 10]byte) }}

// readNames lists an open directory.
func readNames(fd int) (names []string, err error) {
	buf := direntBuffers.Get().(*[8 << 10]byte)
	defer direntBuffers.Put(buf)
	for {
		n, err := unix.ReadDirent(fd, buf[:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if n <= 0 || err != nil {
			return names, err
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names)
	}
}
