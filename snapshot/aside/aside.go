// Package aside keeps what is set aside: files that were edited locally, working copies and tags that were replaced.
// Nothing that somebody made is deleted without having been here, where the newest Max runs are kept.
//
// The sources set aside what they are going to overwrite; package snapshot lists it and restores it.
package aside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

const (
	// Max is how many directories of what was set aside are kept, of whatever kind. When another one
	// is made, the oldest goes.
	Max           = 10
	discardLayout = "20060102-150405"
	discardMode   = 0o700
)

// Name is what the name of a directory that is set aside at the time given begins with.
func Name(at time.Time) string { return at.UTC().Format(discardLayout) }

// ParseName returns the time, in UTC, at which a directory of that name was set aside, and false if it is none of
// ours. The name begins with the time; a dash and further words may follow.
func ParseName(name string) (time.Time, bool) {
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
		return room, fmt.Errorf("list the directory of local edits: %w", err)
	}
	var old []string // oldest first, as ReadDir sorts
	for _, e := range entries {
		if _, ours := ParseName(e.Name()); ours && e.IsDir() {
			old = append(old, e.Name())
		}
	}
	for _, name := range old {
		if len(old)-len(room.Gone) < Max {
			break
		}
		if err := disk.TakeStep(step, "remove discard directory"); err != nil {
			return room, err
		}
		err := disk.WithDirectory(root, func(fd int) error { return disk.RemoveTree(fd, name) })
		if mounted, ok := errors.AsType[*disk.MountError](err); ok {
			room.Stay = append(room.Stay, fmt.Sprintf("%s stays: %v", name, mounted))
			continue
		}
		if err != nil {
			return room, fmt.Errorf("remove old local edits: %w", err)
		}
		room.Gone = append(room.Gone, name)
	}
	return room, nil
}

// Describe is the end of a warning that something was set aside: how to get at it, in the words of the program, and what
// went for it.
func Describe(room Room, hint string) string {
	text := ""
	if hint != "" {
		text = "; " + hint
	}
	if len(room.Gone) > 0 {
		text += fmt.Sprintf("; to keep no more than %d, %s is gone", Max, strings.Join(room.Gone, ", "))
	}
	for _, stay := range room.Stay {
		text += "; " + stay
	}
	return text
}

// Edits say where the edits in a working copy are set aside, and who is told. They are the same for every kind of source.
type Edits struct {
	Discard string // the directory below which local edits and untracked files are set aside
	Hint    string // how people get at them, for warnings; may be empty
	// Now is the clock by which the directories below Discard are named. It must not be nil.
	Now func() time.Time
	// BeforeReplace is called before a locally edited or untracked file is set aside, with its contents as they were
	// checked out, as they are, and as they will be; nil where there is no file, or if they are not known. It is not told
	// of large files. May be nil.
	BeforeReplace func(path string, base, local, upstream []byte) error
	// Step is called before every operation that changes something on disk; an error fails it. May be nil.
	Step func(label string) error
}

// Discarder sets local edits and untracked files aside, below a directory that it makes for this run.
type Discarder struct {
	Edits

	Dir   string     // this run's directory, empty while there is none
	to    *disk.Dirs // below dir
	root  *os.File
	names []string // the first files that were set aside
	count int
	room  Room // what had to go for it
}

// SetAside moves what stands at path, a file or a directory in which nothing is mounted, from the directory from, in which
// it stands, to the directory of this run. With keep it only gives a file a second name there, or copies it, so that it
// stands where it was until it is replaced.
func (d *Discarder) SetAside(from int, path string, keep bool) error {
	if err := mountedInDir(from, path); err != nil {
		return fmt.Errorf("set %s aside: %w", disk.QuotePath(path), err)
	}
	if err := d.begin(); err != nil {
		return err
	}
	if err := d.move(from, path, keep); err != nil {
		return fmt.Errorf("set %s aside in %q: %w", disk.QuotePath(path), d.Dir, err)
	}
	if d.count++; d.count <= disk.MaxNamed {
		d.names = append(d.names, disk.QuotePath(path))
	}
	return nil
}

// Exchange puts a fresh directory in the place of an old one, and sets the old one aside whole. Nothing may be mounted in
// it. The caller syncs the fresh one before.
//
// The fresh one moves first to where the old one will be: whoever is killed between two steps leaves the old one, with
// all that was edited in it, where it was or among what is set aside. Where that is another file system, the old one is
// copied there before.
func (d *Discarder) Exchange(fresh, old string) error {
	if err := d.exchange(fresh, old); err != nil {
		return fmt.Errorf("exchange %q for a fresh one: %w", old, err)
	}
	if d.count++; d.count <= disk.MaxNamed {
		d.names = append(d.names, disk.QuotePath(filepath.Base(old)))
	}
	return nil
}

func (d *Discarder) exchange(fresh, old string) error {
	if err := disk.MountedAt(old); err != nil {
		return err
	}
	if err := d.begin(); err != nil {
		return err
	}
	dir, name := int(d.root.Fd()), filepath.Base(old)
	err := disk.Labelled(d.Step, "set up fresh directory", func() error {
		return disk.RenameAt(unix.AT_FDCWD, fresh, dir, name)
	})
	if errors.Is(err, unix.EXDEV) {
		dir, name = unix.AT_FDCWD, fresh
		err = d.copyAside(old)
	}
	if err != nil {
		return err
	}
	err = disk.Labelled(d.Step, "exchange working copies", func() error {
		return disk.ExchangeAt(dir, name, old, name+".old")
	})
	if err != nil && name != fresh {
		return errors.Join(err, disk.RenameAt(dir, name, unix.AT_FDCWD, fresh))
	}
	if err != nil {
		return err
	}
	return disk.Labelled(d.Step, "sync working copy's directory", func() error {
		return errors.Join(disk.SyncDir(filepath.Dir(old)), d.root.Sync())
	})
}

// copyAside copies a directory to the directory of this run.
func (d *Discarder) copyAside(old string) error {
	parent, err := disk.OpenDirAt(unix.AT_FDCWD, filepath.Dir(old))
	if err != nil {
		return err
	}
	defer parent.Close()
	return disk.Labelled(d.Step, "copy old directory", func() error {
		return new(disk.TreeCopier).Copy(int(parent.Fd()), filepath.Base(old), int(d.root.Fd()))
	})
}

// mountedInDir is Mounted for what stands at a path, unless it is no directory: a file is on one mount, and one that is a
// mount cannot be moved.
func mountedInDir(dir int, path string) error {
	_, name := disk.SplitPath(path)
	var st unix.Stat_t
	if err := unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	return disk.Mounted(dir, name)
}

func (d *Discarder) move(from int, path string, keep bool) error {
	dir, name := disk.SplitPath(path)
	to, err := d.to.Make(dir)
	if err != nil {
		return err
	}
	if err := disk.TakeStep(d.Step, "set aside file"); err != nil {
		return err
	}
	if keep {
		err = disk.LinkAt(from, name, to, name)
	} else {
		err = disk.RenameAt(from, name, to, name)
	}
	if err == nil || errors.Is(err, unix.ENOENT) {
		return err
	}
	// Another file system, or one without links.
	if err := new(disk.TreeCopier).Copy(from, name, to); err != nil || keep {
		return err
	}
	return disk.RemoveTree(from, name)
}

// begin makes the directory of this run and lets go of the oldest ones.
func (d *Discarder) begin() error {
	if d.Dir != "" {
		return nil
	}
	var err error
	if d.room, err = MakeRoom(d.Discard, d.Step); err != nil {
		return err
	}
	if err := disk.TakeStep(d.Step, "make discard directory"); err != nil {
		return err
	}
	base, err := openDiscards(d.Discard)
	if err != nil {
		return err
	}
	defer base.Close()
	name, root, err := makeDiscard(base, Name(d.Now()))
	if err != nil {
		return fmt.Errorf("make a directory for local edits: %w", err)
	}
	d.Dir, d.root = filepath.Join(d.Discard, name), root
	d.to = &disk.Dirs{Root: int(root.Fd()), Mode: discardMode, Step: d.Step}
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
	root, err := disk.OpenChild(base, name)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	dir, err = root.Open(".")
	return name, dir, err
}

// Close closes the directories that are open.
func (d *Discarder) Close() {
	if d.Dir != "" {
		d.to.Close()
		d.root.Close()
	}
}

// Warning says what was set aside, empty if nothing was.
func (d *Discarder) Warning() string {
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
	return fmt.Sprintf("%d %s set aside in %q: %s%s", d.count, files, d.Dir, names, Describe(d.room, d.Hint))
}

// openDiscards opens the directory base of all that was set aside, and makes it if it is not there. Neither it nor the
// one that it stands in may be a link: both are ours.
func openDiscards(base string) (*os.Root, error) {
	failed := func(err error) (*os.Root, error) {
		return nil, fmt.Errorf("open the directory of local edits: %w", err)
	}
	ours := filepath.Dir(base)
	if _, err := os.Lstat(ours); errors.Is(err, os.ErrNotExist) {
		if err := disk.MakeAll(ours, discardMode); err != nil {
			return failed(err)
		}
	}
	parent, err := disk.OpenBeneath(filepath.Dir(ours), filepath.Base(ours))
	if err != nil {
		return failed(err)
	}
	defer parent.Close()
	if err := parent.Mkdir(filepath.Base(base), discardMode); err != nil && !errors.Is(err, os.ErrExist) {
		return failed(err)
	}
	root, err := disk.OpenChild(parent, filepath.Base(base))
	if err != nil {
		return failed(fmt.Errorf("%q: %w", base, err))
	}
	return root, nil
}
