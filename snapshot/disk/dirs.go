package disk

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	DirMode  = 0o755 // of the directories of working copies
	openDir  = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	OpenRead = unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC
	OpenNew  = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
)

// Dirs opens directories below a root one component after the other, follows no link and enters nothing that is mounted,
// so that nothing outside the root is ever reached. It keeps those open that lead to the last one, as paths
// come sorted. It serves one goroutine.
type Dirs struct {
	Root  int // not closed by us
	Step  func(label string) error
	Mode  uint32 // of directories that make makes
	Fresh bool   // most directories are not there
	open  []struct {
		name string
		fd   int
	}
}

// At returns a descriptor of the directory path; the root is empty. It is valid until the next call.
func (d *Dirs) At(path string) (int, error) { return d.descend(path, false) }

// Make is at, and makes the directories that are not there.
func (d *Dirs) Make(path string) (int, error) { return d.descend(path, true) }

// Close closes the directories that are kept open. It must be called before one of them is removed.
func (d *Dirs) Close() { d.closeFrom(0) }

func (d *Dirs) closeFrom(n int) {
	for _, o := range d.open[n:] {
		unix.Close(o.fd)
	}
	d.open = d.open[:n]
}

func (d *Dirs) descend(path string, create bool) (int, error) {
	fd, depth := d.Root, 0
	for rest := path; rest != ""; depth++ {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if depth < len(d.open) {
			if d.open[depth].name == name {
				fd = d.open[depth].fd
				continue
			}
			d.closeFrom(depth)
		}
		next, err := d.enter(fd, name, create)
		if err != nil {
			return -1, fmt.Errorf("open directory %s: %w", QuotePath(strings.TrimSuffix(path, rest)), err)
		}
		d.open = append(d.open, struct {
			name string
			fd   int
		}{name, next})
		fd = next
	}
	d.closeFrom(depth)
	return fd, nil
}

// enter opens, and with create makes, one directory. Its mode does not depend on the umask.
func (d *Dirs) enter(parent int, name string, create bool) (int, error) {
	if !create || !d.Fresh {
		fd, err := OpenUnmounted(parent, name)
		if !create || !errors.Is(err, unix.ENOENT) {
			return fd, err
		}
	}
	if err := TakeStep(d.Step, "make directory"); err != nil {
		return -1, err
	}
	if err := unix.Mkdirat(parent, name, d.Mode); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	fd, err := OpenUnmounted(parent, name)
	if err != nil {
		return -1, err
	}
	if err := unix.Fchmod(fd, d.Mode); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// TakeStep calls the hook before an operation that changes something.
func TakeStep(step func(label string) error, label string) error {
	if step == nil {
		return nil
	}
	return step(label)
}

// OpenFileAt opens a file to read it, and follows no link.
func OpenFileAt(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, OpenRead, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// OpenDirAt opens a directory to list it, and follows no link.
func OpenDirAt(dir int, name string) (*os.File, error) {
	fd, err := unix.Openat(dir, name, openDir, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReadlinkAt returns the target of a link, byte for byte.
func ReadlinkAt(dir int, name string) ([]byte, error) {
	target := make([]byte, MaxPath+1)
	n, err := unix.Readlinkat(dir, name, target)
	return target[:max(n, 0)], err
}

// EachIn calls do for every name in the directory name of parent.
func EachIn(parent int, name string, do func(dir int, child string) error) error {
	dir, err := OpenDirAt(parent, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	return EachName(dir, do)
}

// EachName calls do for every name in a directory that was just opened.
func EachName(dir *os.File, do func(dir int, child string) error) error {
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := do(int(dir.Fd()), child); err != nil {
			return err
		}
	}
	return nil
}
