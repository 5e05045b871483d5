package disk

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Whatever is mounted in a tree of ours is somebody else's: nothing that removes a tree, renames it away or sets it aside
// may reach into it. A bind mount can have the device number of what is around it, so only the mounts themselves tell.
//
// Mounted looks beforehand, so that a tree stays whole, or goes. It asks /proc, and where that is not mounted it cannot
// know, which is an error. Whatever descends opens directories by openUnmounted, because something may be mounted after
// the look. A program that we start, such as svn, has nothing but the look before it.

// MountError says that a tree stays where it is, whole, because something is mounted in it.
type MountError struct {
	Points []string // the paths, from the root on, at which something is mounted: the tree itself, or below it
}

func (e *MountError) Error() string {
	const most = 5
	var quoted []string
	for _, point := range e.Points[:min(most, len(e.Points))] {
		quoted = append(quoted, strconv.Quote(point))
	}
	if more := len(e.Points) - most; more > 0 {
		quoted = append(quoted, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("it stays until what is mounted in it, at %s, is unmounted", strings.Join(quoted, ", "))
}

// ErrMountPoint is the error of whoever would enter another mount.
var ErrMountPoint = errors.New("something is mounted there")

// Mounted returns a *MountError if something is mounted at name in the open directory dir, or anywhere below it, and
// another error if that cannot be known.
func Mounted(dir int, name string) error {
	points, err := MountsBelow(dir)
	if err != nil {
		return err
	}
	var found []string
	for _, p := range points {
		if IsAtOrBelow(p.Below, name) {
			found = append(found, p.Path)
		}
	}
	if len(found) > 0 {
		return &MountError{found}
	}
	return nil
}

// MountedAt is Mounted for what stands at a path.
func MountedAt(path string) error {
	dir, err := openPath(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return Mounted(dir, filepath.Base(path))
}

// SameMount reports whether two directories lie in one mount: nothing can be renamed from one mount to another, even if
// both are of one file system.
func SameMount(a, b string) (bool, error) {
	var ids [2]string
	for i, path := range []string{a, b} {
		fd, err := openPath(path)
		if err != nil {
			return false, err
		}
		ids[i], err = mountID(fd)
		unix.Close(fd)
		if err != nil {
			return false, err
		}
	}
	return ids[0] == ids[1], nil
}

// openPath opens a directory in which others are to be named.
func openPath(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// MountPoint is a place at which something is mounted.
type MountPoint struct {
	Below string // its path in the directory in which it was looked for
	Path  string // its path from the root on
}

// MountsBelow returns the places below an open directory at which something is mounted, sorted.
func MountsBelow(dir int) ([]MountPoint, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	var table mountTable
	if err == nil {
		table, err = parseMounts(string(text))
	}
	var id, here string
	if err == nil {
		id, err = mountID(dir)
	}
	if err == nil {
		here, err = os.Readlink("/proc/self/fd/" + strconv.Itoa(dir))
	}
	if err != nil {
		return nil, fmt.Errorf("find out what is mounted: %w", err)
	}
	return table.below(id, here), nil
}

// mount is a line of the kernel's table of mounts.
type mount struct {
	parent string // the ID of the mount on which this one is
	device string
	root   string // the directory of the device's file system that is mounted
	path   string // where
}

// mountTable has the mounts that this process can reach, by their IDs.
type mountTable map[string]mount

// parseMounts reads the table in the form that proc_pid_mountinfo(5) tells.
func parseMounts(text string) (mountTable, error) {
	table := mountTable{}
	for line := range strings.Lines(text) {
		field := strings.SplitN(line, " ", 6) // other white space than that stands for itself
		if len(field) < 6 {
			return nil, fmt.Errorf("%q is no line of a table of mounts", line)
		}
		table[field[0]] = mount{field[1], field[2], unescapeMount(field[3]), unescapeMount(field[4])}
	}
	return table, nil
}

// unescapeMount reads a path in which the kernel has written some bytes as a backslash and three octal digits.
func unescapeMount(path string) string {
	var plain strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+4 <= len(path) {
			if code, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				plain.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		plain.WriteByte(path[i])
	}
	return plain.String()
}

// below returns the places below a path of the mount with this ID at which something is mounted, sorted.
//
// Paths alone do not tell: one may be hidden by what is mounted above it. And a directory can be seen in several mounts;
// what is mounted on it in one of them keeps it from being removed in all.
func (t mountTable) below(id, path string) (points []MountPoint) {
	device, top := t.inside(id, path)
	top = strings.TrimSuffix(top, "/") + "/"
	for _, m := range t {
		on, at := t.inside(m.parent, m.path)
		if at, below := strings.CutPrefix(at, top); below && on == device {
			points = append(points, MountPoint{at, m.path})
		}
	}
	slices.SortFunc(points, func(a, b MountPoint) int { return cmp.Compare(a.Path, b.Path) })
	return slices.Compact(points)
}

// inside says where a path of a mount is in the file system that is mounted.
func (t mountTable) inside(id, path string) (device, inside string) {
	m, listed := t[id]
	if !listed { // the one in which the root of this process lies, if that is not the root of a mount
		return "mount " + id, path
	}
	return m.device, filepath.Join(m.root, strings.TrimPrefix(path, m.path))
}

// mountID returns the ID of the mount in which something that is open lies.
func mountID(fd int) (string, error) {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st)
	if err == nil && st.Mask&unix.STATX_MNT_ID != 0 {
		return strconv.FormatUint(st.Mnt_id, 10), nil
	}
	return describedMountID(fd)
}

// describedMountID is mountID for Linux before 5.8.
func describedMountID(fd int) (string, error) {
	name := "/proc/self/fdinfo/" + strconv.Itoa(fd)
	text, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if id, found := strings.CutPrefix(line, "mnt_id:"); found {
			return strings.TrimSpace(id), nil
		}
	}
	return "", fmt.Errorf("%s does not tell the mount", name)
}

// OpenUnmounted opens a directory that stands in another one, unless it is a link. It fails with errMountPoint if
// something is mounted there, and with another error if that cannot be known.
func OpenUnmounted(dir int, name string) (int, error) {
	fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: openDir, Resolve: unix.RESOLVE_NO_XDEV})
	switch {
	case errors.Is(err, unix.EXDEV):
		return -1, ErrMountPoint
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
		return openCompared(dir, name)
	}
	return fd, err
}

// openCompared is openUnmounted for Linux before 5.6, and for containers that do not let openat2 through.
func openCompared(dir int, name string) (int, error) {
	fd, err := unix.Openat(dir, name, openDir, 0)
	if err != nil {
		return -1, err
	}
	outside, err := mountID(dir)
	if err == nil {
		var inside string
		if inside, err = mountID(fd); err == nil && inside != outside {
			err = ErrMountPoint
		}
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
