package workcopy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"golang.org/x/sys/unix"
)

// fingerprint is what stands in a tree at one moment, as far as it can be told without reading contents. Two that are
// equal mean that nothing was changed in between: whatever is done to a file sets the time of its inode's last change,
// which nobody can set back.
type fingerprint struct {
	dir    string       // the tree's root, links resolved
	stamps []*fileStamp // sorted by path; the root is the first
}

// fileStamp is what stands at one path. It is the fs.FileInfo of it.
type fileStamp struct {
	path   string // relative to the root, whose own is empty
	stat   unix.Stat_t
	target string // of a symbolic link
}

var _ fs.FileInfo = (*fileStamp)(nil)

func (s *fileStamp) Name() string       { return filepath.Base(s.path) }
func (s *fileStamp) Size() int64        { return s.stat.Size }
func (s *fileStamp) ModTime() time.Time { return time.Unix(s.stat.Mtim.Unix()) }
func (s *fileStamp) IsDir() bool        { return s.kind() == source.Directory }

// Mode returns the type alone: what a copy may be done with is not the original's business.
func (s *fileStamp) Mode() fs.FileMode {
	switch s.kind() {
	case source.Directory:
		return fs.ModeDir
	case source.Symlink:
		return fs.ModeSymlink
	}
	return 0
}

// Sys returns a *syscall.Stat_t in which the times are right.
func (s *fileStamp) Sys() any {
	return &syscall.Stat_t{
		Atim: syscall.Timespec(s.stat.Atim), Mtim: syscall.Timespec(s.stat.Mtim), Ctim: syscall.Timespec(s.stat.Ctim),
	}
}

// kind returns the mode of the entry that the file is. Others than these four are in no fingerprint.
func (s *fileStamp) kind() source.Mode {
	switch {
	case s.stat.Mode&unix.S_IFMT == unix.S_IFDIR:
		return source.Directory
	case s.stat.Mode&unix.S_IFMT == unix.S_IFLNK:
		return source.Symlink
	case s.stat.Mode&unix.S_IXUSR != 0:
		return source.Executable
	}
	return source.Regular
}

func (s *fileStamp) isRegular() bool {
	return s.kind() == source.Regular || s.kind() == source.Executable
}

// targetHash is the hash of a symbolic link's target; it is zero for a directory.
func (s *fileStamp) targetHash() (sum [sha256.Size]byte) {
	if s.kind() == source.Symlink {
		sum = sha256.Sum256([]byte(s.target))
	}
	return sum
}

// same reports whether the file is still the one that it was, and untouched.
func (s *fileStamp) same(t *fileStamp) bool {
	return s.target == t.target && sameStat(&s.stat, &t.stat)
}

func sameStat(a, b *unix.Stat_t) bool {
	return a.Mode == b.Mode && a.Size == b.Size && a.Dev == b.Dev && a.Ino == b.Ino && a.Mtim == b.Mtim &&
		a.Ctim == b.Ctim
}

// entry is what the file will be once it is published.
func (s *fileStamp) entry() source.Entry {
	e := source.Entry{Path: s.path, Mode: s.kind(), Size: s.stat.Size}
	if e.Mode == source.Directory {
		e.Size = 0
	}
	return e
}

// takeFingerprint takes the fingerprint of the tree at dir, except what skip accepts by its path. It fails
// with an UnsteadyError if something goes while it looks.
func takeFingerprint(ctx context.Context, dir string, skip func(path string) bool) (*fingerprint, error) {
	root, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	w := fingerprinter{ctx: ctx, skip: skip, found: fingerprint{dir: root}}
	if err := w.look(unix.AT_FDCWD, root, ""); err != nil {
		return nil, err
	}
	if !w.found.stamps[0].IsDir() {
		return nil, fmt.Errorf("%q is not a directory", dir)
	}
	slices.SortFunc(w.found.stamps, func(a, b *fileStamp) int { return cmp.Compare(a.path, b.path) })
	return &w.found, nil
}

type fingerprinter struct {
	ctx   context.Context
	skip  func(path string) bool
	found fingerprint
}

// look records what stands at path, name in the directory parent, and all that is below it.
func (w *fingerprinter) look(parent int, name, path string) error {
	if w.ctx.Err() != nil {
		return context.Cause(w.ctx)
	}
	if len(path) > disk.MaxPath {
		return disk.Refused(path, fmt.Errorf("its path has %d bytes, more than %d", len(path), disk.MaxPath))
	}
	s := &fileStamp{path: path}
	if err := unix.Fstatat(parent, name, &s.stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return w.failed(path, err)
	}
	if err := publishable(s.stat.Mode); err != nil {
		return disk.Refused(path, err)
	}
	w.found.stamps = append(w.found.stamps, s)
	switch s.kind() {
	case source.Symlink:
		target, err := disk.ReadlinkAt(parent, name)
		if err != nil {
			return w.failed(path, err)
		}
		s.target = string(target)
	case source.Directory:
		return w.list(parent, name, path)
	}
	return nil
}

func (w *fingerprinter) list(parent int, name, path string) error {
	prefix := path
	if path != "" {
		prefix += "/"
	}
	var inner error
	err := disk.EachIn(parent, name, func(dir int, child string) error {
		if at := prefix + child; !w.skip(at) {
			inner = w.look(dir, child, at)
		}
		return inner
	})
	if err != nil && inner == nil {
		return w.failed(path, err)
	}
	return inner
}

// failed makes the error for a path that could not be looked at. One that went, or became something else, has changed.
func (w *fingerprinter) failed(path string, err error) error {
	for _, gone := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EINVAL} {
		if path != "" && errors.Is(err, gone) {
			return &UnsteadyError{w.found.dir, []string{path}}
		}
	}
	return fmt.Errorf("look at %s in %q: %w", disk.QuotePath(cmp.Or(path, ".")), w.found.dir, err)
}

// publishable returns an error that says what a file of this mode is, if such a one is never published. A directory
// may be setgid: that is how groups share one, and has no meaning for what is copied from it.
func publishable(mode uint32) error {
	switch mode & unix.S_IFMT {
	case unix.S_IFDIR, unix.S_IFLNK:
		return nil
	case unix.S_IFREG:
		if mode&unix.S_ISUID != 0 {
			return errors.New("it is setuid")
		}
		if mode&unix.S_ISGID != 0 {
			return errors.New("it is setgid")
		}
		return nil
	case unix.S_IFIFO:
		return errors.New("it is a fifo")
	case unix.S_IFSOCK:
		return errors.New("it is a socket")
	}
	return errors.New("it is a device")
}

// changes returns the paths that are not the same in both fingerprints, sorted.
func (f *fingerprint) changes(g *fingerprint) []string {
	before := make(map[string]*fileStamp, len(f.stamps))
	for _, s := range f.stamps {
		before[s.path] = s
	}
	var changed []string
	for _, s := range g.stamps {
		if old, ok := before[s.path]; !ok || !old.same(s) {
			changed = append(changed, s.path)
		}
		delete(before, s.path)
	}
	for path := range before {
		changed = append(changed, path)
	}
	slices.Sort(changed)
	return changed
}

// entries lists the tree as it is to be published: of the directories only those in which nothing stands.
func (f *fingerprint) entries() []source.Entry {
	full := map[string]bool{"": true}
	for _, s := range f.stamps {
		dir, _ := disk.SplitPath(s.path)
		full[dir] = true
	}
	var entries []source.Entry
	for _, s := range f.stamps {
		if !s.IsDir() || !full[s.path] {
			entries = append(entries, s.entry())
		}
	}
	return entries
}

// Newest returns the time of the newest modification.
func (f *fingerprint) Newest() time.Time {
	var newest time.Time
	for _, s := range f.stamps {
		if s.ModTime().After(newest) {
			newest = s.ModTime()
		}
	}
	return newest.UTC()
}

// inside returns the part of a path that is below the root; it is empty for the root.
func (f *fingerprint) inside(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, f.dir), "/")
}
