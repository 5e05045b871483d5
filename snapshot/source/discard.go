package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxDiscards is how many directories of set aside files are kept.
	maxDiscards = 10
	// maxNamed is how many of the files set aside a warning names.
	maxNamed      = 5
	discardLayout = "20060102-150405"
	discardMode   = 0o700
)

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
}

// setAside moves a file to the directory of this run. With keep it only gives it a second name there,
// or copies it, so that it stands where it was until it is replaced.
func (d *discarder) setAside(from int, f *workFile, keep bool) error {
	if err := d.begin(); err != nil {
		return err
	}
	if err := d.move(from, f, keep); err != nil {
		return fmt.Errorf("setting %s aside in %q: %w", quotePath(f.path), d.dir, err)
	}
	if d.count++; d.count <= maxNamed {
		d.names = append(d.names, quotePath(f.path))
	}
	return nil
}

func (d *discarder) move(from int, f *workFile, keep bool) error {
	dir, name := splitPath(f.path)
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
	if err := copyTree(from, name, to); err != nil || keep {
		return err
	}
	return removeTree(from, name)
}

// begin makes the directory of this run and lets go of the oldest ones.
func (d *discarder) begin() error {
	if d.dir != "" {
		return nil
	}
	if err := d.prune(); err != nil {
		return err
	}
	if err := takeStep(d.step, "make discard directory"); err != nil {
		return err
	}
	name := filepath.Join(d.base, d.now().UTC().Format(discardLayout))
	dir := name
	for n := 1; ; n++ {
		err := os.Mkdir(dir, discardMode)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("making a directory for local edits: %w", err)
		}
		dir = fmt.Sprintf("%s-%d", name, n)
	}
	root, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("making a directory for local edits: %w", err)
	}
	d.dir, d.root = dir, root
	d.to = &dirs{root: int(root.Fd()), mode: discardMode, step: d.step}
	return nil
}

// prune makes room for one more directory below base.
func (d *discarder) prune() error {
	if err := os.MkdirAll(d.base, discardMode); err != nil {
		return fmt.Errorf("making the directory of local edits: %w", err)
	}
	entries, err := os.ReadDir(d.base)
	if err != nil {
		return fmt.Errorf("listing the directory of local edits: %w", err)
	}
	var old []string
	for _, e := range entries {
		stamp := e.Name()[:min(len(discardLayout), len(e.Name()))]
		if _, err := time.Parse(discardLayout, stamp); err == nil && e.IsDir() {
			old = append(old, e.Name())
		}
	}
	slices.Sort(old)
	for _, name := range old[:max(0, len(old)-maxDiscards+1)] {
		if err := takeStep(d.step, "remove discard directory"); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(d.base, name)); err != nil {
			return fmt.Errorf("removing old local edits: %w", err)
		}
	}
	return nil
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
	return fmt.Sprintf("%d %s set aside in %q: %s", d.count, files, d.dir, names)
}

// copyTree copies name from one directory to another: files and links byte for byte, directories with
// all that is in them. Sockets, fifos and devices have no contents and are left out.
func copyTree(from int, name string, to int) error {
	var st unix.Stat_t
	if err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return copyFile(from, name, to, st.Mode&0o777)
	case unix.S_IFLNK:
		target, err := readlinkAt(from, name)
		if err != nil {
			return err
		}
		return unix.Symlinkat(string(target), to, name)
	case unix.S_IFDIR:
		return copyDir(from, name, to)
	}
	return nil
}

func copyDir(from int, name string, to int) error {
	if err := unix.Mkdirat(to, name, discardMode); err != nil {
		return err
	}
	into, err := openDirAt(to, name)
	if err != nil {
		return err
	}
	defer into.Close()
	return eachIn(from, name, func(dir int, child string) error { return copyTree(dir, child, int(into.Fd())) })
}

func copyFile(from int, name string, to int, mode uint32) error {
	in, err := openFileAt(from, name)
	if err != nil {
		return err
	}
	defer in.Close()
	fd, err := unix.Openat(to, name, openNew, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(out, in)
	// What is copied is removed next.
	return errors.Join(err, unix.Fchmod(fd, mode), out.Sync(), out.Close())
}

// removeTree removes name and all that is below it, and follows no link.
func removeTree(from int, name string) error {
	err := unix.Unlinkat(from, name, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	if err := eachIn(from, name, removeTree); err != nil {
		return err
	}
	return unix.Unlinkat(from, name, unix.AT_REMOVEDIR)
}

// eachIn calls do for every name in the directory name of parent.
func eachIn(parent int, name string, do func(dir int, child string) error) error {
	dir, err := openDirAt(parent, name)
	if err != nil {
		return err
	}
	defer dir.Close()
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
