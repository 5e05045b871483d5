package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// temporaryName is the name of a file that is being written beside the one that it is to replace.
const temporaryName = ".etchtag-tmp"

// workFile is what stands at one path of the working copy: a file, a link or anything else that is no
// directory, or a repository inside it, which is one thing.
type workFile struct {
	path       string
	stat       unix.Stat_t
	repository bool
}

func (f *workFile) isRegular() bool { return f.stat.Mode&unix.S_IFMT == unix.S_IFREG }
func (f *workFile) isSymlink() bool { return f.stat.Mode&unix.S_IFMT == unix.S_IFLNK }

// workDir is a directory of the working copy.
type workDir struct {
	path string
	mode uint32
}

// workCopy is what stands in the working copy, but for .git itself, sorted by path.
type workCopy struct {
	files  []workFile
	dirs   []workDir
	mounts workMounts // what is there is in neither list, nor is a repository that holds one
}

// walker lists a working copy with nothing but readdir and lstat.
type walker struct {
	ctx    context.Context
	wanted map[string]bool // the directories that hold something of ours
	found  workCopy
	buf    []byte
}

// walkWorkCopy lists the directory root. wanted holds the directories in which something of the index
// or of the target stands: a repository in any other is not looked into.
func walkWorkCopy(ctx context.Context, root int, wanted map[string]bool) (*workCopy, error) {
	w := &walker{ctx: ctx, wanted: wanted, buf: make([]byte, 32<<10)}
	var st unix.Stat_t
	if err := unix.Fstat(root, &st); err != nil {
		return nil, fmt.Errorf("looking at the working copy: %w", err)
	}
	w.found.dirs = append(w.found.dirs, workDir{"", st.Mode})
	w.found.mounts = findWorkMounts(root)
	if _, err := w.walk(root, ".", ""); err != nil {
		return nil, err
	}
	slices.SortFunc(w.found.files, func(a, b workFile) int { return cmp.Compare(a.path, b.path) })
	slices.SortFunc(w.found.dirs, func(a, b workDir) int { return cmp.Compare(a.path, b.path) })
	return &w.found, nil
}

// walk lists the directory name of parent, which stands at path, unless it is a repository.
func (w *walker) walk(parent int, name, path string) (repository bool, err error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	fd, err := openUnmounted(parent, name)
	if err != nil {
		return false, fmt.Errorf("opening directory %s of the working copy: %w", quotePath(path), err)
	}
	defer unix.Close(fd)
	names, err := w.names(fd)
	if err != nil {
		return false, fmt.Errorf("listing directory %s of the working copy: %w", quotePath(path), err)
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
	if w.found.mounts.at(path) {
		return nil
	}
	f := workFile{path: path}
	err := unix.Fstatat(dir, name, &f.stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) { // it went meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("looking at %s in the working copy: %w", quotePath(path), err)
	}
	if f.stat.Mode&unix.S_IFMT == unix.S_IFDIR {
		f.repository = name == ".git"
		if !f.repository {
			if f.repository, err = w.walk(dir, name, path); err != nil {
				return err
			}
		}
		if !f.repository {
			w.found.dirs = append(w.found.dirs, workDir{path, f.stat.Mode})
			return nil
		}
		if w.found.mounts.in(path) {
			return nil
		}
	}
	w.found.files = append(w.found.files, f)
	return nil
}

// parentDirs adds all directories above path to set.
func parentDirs(set map[string]bool, path string) {
	for {
		i := strings.LastIndexByte(path, '/')
		if i < 0 || set[path[:i]] {
			return
		}
		path = path[:i]
		set[path] = true
	}
}
