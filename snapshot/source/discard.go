package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// MaxDiscards is how many directories of what was set aside are kept, of whatever kind. When another one
	// is made, the oldest goes.
	MaxDiscards = 10
	// maxNamed is how many of the files set aside a warning names.
	maxNamed      = 5
	discardLayout = "20060102-150405"
	discardMode   = 0o700
)

// DiscardName is what the name of a directory that is set aside at the time given begins with.
func DiscardName(at time.Time) string { return at.UTC().Format(discardLayout) }

// ParseDiscard returns the time, in UTC, at which a directory of that name was set aside, and false if it is none of
// ours. The name begins with the time; a dash and further words may follow.
func ParseDiscard(name string) (time.Time, bool) {
	stamp, rest := name[:min(len(discardLayout), len(name))], name[min(len(discardLayout), len(name)):]
	t, err := time.Parse(discardLayout, stamp)
	return t, err == nil && (rest == "" || rest[0] == '-')
}

// Room is what became of the oldest of what was set aside, to make room for more.
type Room struct {
	Gone []string // the names of what went
	Stay []string // why others stay that should have gone: something is mounted in them
}

// MakeRoom lets the oldest directories below base go until there is room for one more. Those in which something is
// mounted stay, and newer ones go for them. Whoever sets something aside there calls it first. It makes base if it is not
// there. What else stands in it is left alone. step may be nil.
func MakeRoom(base string, step func(label string) error) (room Room, err error) {
	root, err := openDiscards(base)
	if err != nil {
		return room, err
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return room, fmt.Errorf("listing the directory of local edits: %w", err)
	}
	var old []string // oldest first, as ReadDir sorts
	for _, e := range entries {
		if _, ours := ParseDiscard(e.Name()); ours && e.IsDir() {
			old = append(old, e.Name())
		}
	}
	for _, name := range old {
		if len(old)-len(room.Gone) < MaxDiscards {
			break
		}
		if err := takeStep(step, "remove discard directory"); err != nil {
			return room, err
		}
		err := WithDirectory(root, func(fd int) error { return RemoveTree(fd, name) })
		if mounted, ok := errors.AsType[*MountError](err); ok {
			room.Stay = append(room.Stay, fmt.Sprintf("%s stays: %v", name, mounted))
			continue
		}
		if err != nil {
			return room, fmt.Errorf("removing old local edits: %w", err)
		}
		room.Gone = append(room.Gone, name)
	}
	return room, nil
}

// DescribeDiscard is the end of a warning that something was set aside: how to get at it, and what went for it.
func DescribeDiscard(room Room) string {
	text := "; etchtag discarded shows it"
	if len(room.Gone) > 0 {
		text += fmt.Sprintf("; to keep no more than %d, %s is gone", MaxDiscards, strings.Join(room.Gone, ", "))
	}
	for _, stay := range room.Stay {
		text += "; " + stay
	}
	return text
}

// discarder sets local edits and untracked files aside, below a directory that it makes for this run.
type discarder struct {
	base string // the directory of all such directories
	now  func() time.Time
	step func(label string) error

	dir   string // this run's directory, empty while there is none
	to    *dirs  // below dir
	root  *os.File
	names []string // the first files that were set aside
	count int
	room  Room // what had to go for it
}

// setAside moves what stands at path, a file or a directory in which nothing is mounted, from the directory from, in which
// it stands, to the directory of this run. With keep it only gives a file a second name there, or copies it, so that it
// stands where it was until it is replaced.
func (d *discarder) setAside(from int, path string, keep bool) error {
	if err := mountedInDir(from, path); err != nil {
		return fmt.Errorf("setting %s aside: %w", quotePath(path), err)
	}
	if err := d.begin(); err != nil {
		return err
	}
	if err := d.move(from, path, keep); err != nil {
		return fmt.Errorf("setting %s aside in %q: %w", quotePath(path), d.dir, err)
	}
	if d.count++; d.count <= maxNamed {
		d.names = append(d.names, quotePath(path))
	}
	return nil
}

// mountedInDir is Mounted for what stands at a path, unless it is no directory: a file is on one mount, and one that is a
// mount cannot be moved.
func mountedInDir(dir int, path string) error {
	_, name := splitPath(path)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return Mounted(dir, name)
}

func (d *discarder) move(from int, path string, keep bool) error {
	dir, name := splitPath(path)
	to, err := d.to.make(dir)
	if err != nil {
		return err
	}
	if err := takeStep(d.step, "set aside file"); err != nil {
		return err
	}
	if keep {
		err = unix.Linkat(from, name, to, name, 0)
	} else {
		err = unix.Renameat(from, name, to, name)
	}
	if err == nil || errors.Is(err, unix.ENOENT) {
		return err
	}
	// Another file system, or one without links.
	if err := new(TreeCopier).Copy(from, name, to); err != nil || keep {
		return err
	}
	return RemoveTree(from, name)
}

// begin makes the directory of this run and lets go of the oldest ones.
func (d *discarder) begin() error {
	if d.dir != "" {
		return nil
	}
	var err error
	if d.room, err = MakeRoom(d.base, d.step); err != nil {
		return err
	}
	if err := takeStep(d.step, "make discard directory"); err != nil {
		return err
	}
	base, err := openDiscards(d.base)
	if err != nil {
		return err
	}
	defer base.Close()
	name, root, err := makeDiscard(base, DiscardName(d.now()))
	if err != nil {
		return fmt.Errorf("making a directory for local edits: %w", err)
	}
	d.dir, d.root = filepath.Join(d.base, name), root
	d.to = &dirs{root: int(root.Fd()), mode: discardMode, step: d.step}
	return nil
}

// makeDiscard makes a directory of the name given, with a number if that is taken, and opens it.
func makeDiscard(base *os.Root, stamp string) (name string, dir *os.File, err error) {
	name = stamp
	for n := 1; ; n++ {
		err := base.Mkdir(name, discardMode)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) {
			return "", nil, err
		}
		name = fmt.Sprintf("%s-%d", stamp, n)
	}
	root, err := openChild(base, name)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	dir, err = root.Open(".")
	return name, dir, err
}

// close closes the directories that are open.
func (d *discarder) close() {
	if d.dir != "" {
		d.to.close()
		d.root.Close()
	}
}

// warning says what was set aside, empty if nothing was.
func (d *discarder) warning() string {
	if d.count == 0 {
		return ""
	}
	names := strings.Join(d.names, ", ")
	if more := d.count - len(d.names); more > 0 {
		names += fmt.Sprintf(" and %d more", more)
	}
	files := "files that were edited locally or are not upstream's were"
	if d.count == 1 {
		files = "file that was edited locally or is not upstream's was"
	}
	return fmt.Sprintf("%d %s set aside in %q: %s%s", d.count, files, d.dir, names, DescribeDiscard(d.room))
}

// openDiscards opens the directory base of all that was set aside, and makes it if it is not there. Neither it nor the
// one that it stands in may be a link: both are ours.
func openDiscards(base string) (*os.Root, error) {
	failed := func(err error) (*os.Root, error) {
		return nil, fmt.Errorf("opening the directory of local edits: %w", err)
	}
	ours := filepath.Dir(base)
	if _, err := os.Lstat(ours); errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(ours, discardMode); err != nil {
			return failed(err)
		}
	}
	parent, err := OpenBeneath(filepath.Dir(ours), filepath.Base(ours))
	if err != nil {
		return failed(err)
	}
	defer parent.Close()
	if err := parent.Mkdir(filepath.Base(base), discardMode); err != nil && !errors.Is(err, os.ErrExist) {
		return failed(err)
	}
	root, err := openChild(parent, filepath.Base(base))
	if err != nil {
		return failed(fmt.Errorf("%q: %w", base, err))
	}
	return root, nil
}
