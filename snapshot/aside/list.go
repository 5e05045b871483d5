package aside

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

// maxFirst is how many paths the summary of what was set aside names.
const maxFirst = 5

// Run sums up one directory of what was set aside: local edits that an update replaced, a whole working
// copy, or a tag.
type Run struct {
	Name  string    // the directory's
	Time  time.Time // when it was set aside, in UTC
	Files int       // directories not counted
	Bytes int64     // the sizes of files, and of the targets of symbolic links
	First []string  // the paths of the first files
}

// File is one file or directory of what was set aside.
type File struct {
	Path   string      // relative to what was set aside
	Mode   fs.FileMode // type and permissions
	Size   int64       // 0 for a directory
	Target string      // of a symbolic link
}

// List sums up everything that was set aside below dir, newest first. What somebody else has put there is left out.
// It takes no lock: what goes meanwhile may be missing.
func List(dir string) ([]Run, error) {
	names, err := Names(dir)
	if err != nil {
		return nil, err
	}
	var all []Run
	for _, name := range names {
		d, err := sumUp(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, d)
	}
	return all, nil
}

// Names lists the directories of what was set aside below dir, newest first, without looking into them.
func Names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list what was set aside: %w", err)
	}
	var names []string
	for _, e := range entries {
		if _, ours := ParseName(e.Name()); ours && e.IsDir() {
			names = append(names, e.Name())
		}
	}
	slices.Reverse(names)
	return names, nil
}

func sumUp(dir, name string) (Run, error) {
	d := Run{Name: name}
	d.Time, _ = ParseName(name)
	t, err := Open(dir, name)
	if err != nil {
		return d, err
	}
	defer t.Close()
	return d, t.Walk(".", func(f File) error {
		if f.Mode.IsDir() {
			return nil
		}
		if d.Files++; d.Files <= maxFirst {
			d.First = append(d.First, f.Path)
		}
		d.Bytes += f.Size
		return nil
	})
}

// Tree is one directory of what was set aside, open to be looked at and copied from. No path leads through
// a symbolic link, so nothing outside of it is ever reached.
type Tree struct {
	name string
	root *os.File
}

// Open opens the directory of that name below dir. The error matches fs.ErrNotExist if nothing was set aside under
// it, and fs.ErrPermission for everyone but the user who makes tags.
func Open(dir, name string) (*Tree, error) {
	fd := -1
	err := error(unix.ENOENT)
	if _, ours := ParseName(name); ours && filepath.Base(name) == name {
		fd, err = unix.Open(filepath.Join(dir, name),
			unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("open what was set aside as %q: %w", name, err)
	}
	return &Tree{name: name, root: os.NewFile(uintptr(fd), name)}, nil
}

// Close closes the directory.
func (t *Tree) Close() error { return t.root.Close() }

// Walk calls visit for what stands at p, a path relative to the tree, and for everything below it: directories before
// what is in them, and that in the order of the names. "." is the tree itself, which is not visited.
func (t *Tree) Walk(p string, visit func(File) error) error {
	p, err := t.clean(p)
	if err != nil {
		return err
	}
	if p == "." {
		err = t.walkDir(int(t.root.Fd()), "", visit)
	} else {
		err = t.inParent(p, func(dir int, name string) error { return t.walk(dir, name, p, visit) })
	}
	if err != nil {
		return fmt.Errorf("look into what was set aside as %q: %w", t.name, err)
	}
	return nil
}

// WriteFile writes the contents of the file at p, or the target of the symbolic link there, to w.
func (t *Tree) WriteFile(w io.Writer, p string) error {
	p, err := t.clean(p)
	if err != nil {
		return err
	}
	err = t.inParent(p, func(dir int, name string) error {
		f, err := describeAt(dir, name, p)
		switch {
		case err != nil:
			return err
		case f.Mode.Type() == fs.ModeSymlink:
			_, err = io.WriteString(w, f.Target)
			return err
		case !f.Mode.IsRegular():
			return fmt.Errorf("%q has no contents: it is a %s", p, f.Mode.Type())
		}
		fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: p, Err: err}
		}
		in := os.NewFile(uintptr(fd), p)
		defer in.Close()
		_, err = io.Copy(w, in)
		return err
	})
	if err != nil {
		return fmt.Errorf("read from what was set aside as %q: %w", t.name, err)
	}
	return nil
}

// clean refuses paths that lead out of the tree.
func (t *Tree) clean(p string) (string, error) {
	if !filepath.IsLocal(p) {
		return "", fmt.Errorf("%q is no path in what was set aside as %q", p, t.name)
	}
	return path.Clean(p), nil
}

// inParent calls do with the directory in which the cleaned path p stands, and its name there.
func (t *Tree) inParent(p string, do func(dir int, name string) error) error {
	up, name := path.Split(p)
	dir, err := disk.OpenAt(int(t.root.Fd()), strings.TrimSuffix(up, "/"))
	if err != nil {
		return &os.PathError{Op: "open", Path: cmp.Or(strings.TrimSuffix(up, "/"), "."), Err: err}
	}
	defer unix.Close(dir)
	return do(dir, name)
}

func (t *Tree) walk(dir int, name, p string, visit func(File) error) error {
	f, err := describeAt(dir, name, p)
	if err == nil {
		err = visit(f)
	}
	if err != nil || !f.Mode.IsDir() {
		return err
	}
	fd, err := disk.OpenAt(dir, name)
	if err != nil {
		return &os.PathError{Op: "open", Path: p, Err: err}
	}
	defer unix.Close(fd)
	return t.walkDir(fd, p+"/", visit)
}

// walkDir visits what is in the directory fd, whose paths begin with prefix.
func (t *Tree) walkDir(fd int, prefix string, visit func(File) error) error {
	again, err := disk.OpenAt(fd, ".") // since reading a directory leaves the descriptor at its end
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(again), prefix)
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := t.walk(fd, name, prefix+name, visit); err != nil {
			return err
		}
	}
	return nil
}

// describeAt looks at name in the directory dir, which stands at p.
func describeAt(dir int, name, p string) (File, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return File{}, &os.PathError{Op: "stat", Path: p, Err: err}
	}
	f := File{Path: p, Mode: fs.FileMode(st.Mode & 0o777), Size: st.Size}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
	case unix.S_IFDIR:
		f.Mode |= fs.ModeDir
		f.Size = 0
	case unix.S_IFLNK:
		f.Mode |= fs.ModeSymlink
		target := make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(dir, name, target)
		if err != nil {
			return f, &os.PathError{Op: "readlink", Path: p, Err: err}
		}
		f.Target = string(target[:n])
	case unix.S_IFIFO:
		f.Mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		f.Mode |= fs.ModeSocket
	default:
		f.Mode |= fs.ModeDevice
	}
	return f, nil
}
