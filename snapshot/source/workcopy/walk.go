// Package workcopy has what all working copies have in common: walks that no link leads astray, fingerprints by which a
// file that changes while it is read is noticed, copies of trees that hold still, places in which a new working copy is
// built, and what is mounted in one.
package workcopy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

// TemporaryName is the name of a file that is being written beside the one that it is to replace.
const TemporaryName = ".etchtag-tmp"

// File is what stands at one path of the working copy: a file, a link or anything else that is no
// directory, or a repository inside it, which is one thing.
type File struct {
	Path       string
	Stat       unix.Stat_t
	Repository bool
}

// IsRegular reports whether it is a regular file.
func (f *File) IsRegular() bool { return f.Stat.Mode&unix.S_IFMT == unix.S_IFREG }

// IsSymlink reports whether it is a symbolic link.
func (f *File) IsSymlink() bool { return f.Stat.Mode&unix.S_IFMT == unix.S_IFLNK }

// Dir is a directory of the working copy.
type Dir struct {
	Path string
	Mode uint32
}

// Copy is what stands in the working copy, but for .git itself, sorted by path.
type Copy struct {
	Files  []File
	Dirs   []Dir
	Mounts Mounts // what is there is in neither list, nor is a repository that holds one
}

// walker lists a working copy with nothing but readdir and lstat.
type walker struct {
	ctx    context.Context
	wanted map[string]bool // the directories that hold something of ours
	found  Copy
	buf    []byte
}

// Walk lists the directory root. wanted holds the directories in which something of the index
// or of the target stands: a repository in any other is not looked into.
func Walk(ctx context.Context, root int, wanted map[string]bool) (*Copy, error) {
	w := &walker{ctx: ctx, wanted: wanted, buf: make([]byte, 32<<10)}
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return nil, fmt.Errorf("look at the working copy: %w", err)
	}
	w.found.Dirs = append(w.found.Dirs, Dir{"", st.Mode})
	w.found.Mounts = FindMounts(root)
	if _, err := w.walk(root, ".", ""); err != nil {
		return nil, err
	}
	slices.SortFunc(w.found.Files, func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(w.found.Dirs, func(a, b Dir) int { return cmp.Compare(a.Path, b.Path) })
	return &w.found, nil
}

// walk lists the directory name of parent, which stands at path, unless it is a repository.
func (w *walker) walk(parent int, name, path string) (repository bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	fd, err := disk.OpenUnmounted(parent, name)
	if err != nil {
		return false, fmt.Errorf("open directory %s of the working copy: %w", disk.QuotePath(path), err)
	}
	defer unix.Close(fd)
	names, err := w.names(fd)
	if err != nil {
		return false, fmt.Errorf("list directory %s of the working copy: %w", disk.QuotePath(path), err)
	}
	prefix := path
	if path != "" {
		prefix += "/"
		if !w.wanted[path] && slices.Contains(names, ".git") {
			return true, nil
		}
	}
	for _, name := range names {
		if path == "" && name == ".git" {
			continue
		}
		if err := w.look(fd, name, prefix+name); err != nil {
			return false, err
		}
	}
	return false, nil
}

// names lists a directory that was just opened.
func (w *walker) names(fd int) (names []string, err error) {
	for {
		n, err := unix.ReadDirent(fd, w.buf)
		if n <= 0 || err != nil {
			return names, err
		}
		_, _, names = unix.ParseDirent(w.buf[:n], -1, names)
	}
}

// look records what stands at path, name in dir, and lists it if it is a directory.
func (w *walker) look(dir int, name, path string) error {
	if w.found.Mounts.At(path) {
		return nil
	}
	f := File{Path: path}
	err := unix.Fstatat(dir, name, &f.Stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) { // it went meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s in the working copy: %w", disk.QuotePath(path), err)
	}
	if f.Stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		f.Repository = name == ".git"
		if !f.Repository {
			if f.Repository, err = w.walk(dir, name, path); err != nil {
				return err
			}
		}
		if !f.Repository {
			w.found.Dirs = append(w.found.Dirs, Dir{path, f.Stat.Mode})
			return nil
		}
		if w.found.Mounts.in(path) {
			return nil
		}
	}
	w.found.Files = append(w.found.Files, f)
	return nil
}
