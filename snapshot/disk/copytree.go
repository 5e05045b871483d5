package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// TreeCopier copies what stands in one directory to another, file by file: contents, the targets of symbolic links
// byte for byte, permissions without setuid, setgid and sticky bit, and the times of files. It follows no link, and
// whatever bears a name already is never overwritten. The owner is whoever runs it.
type TreeCopier struct {
	// Step, if not nil, is called before each file that is made, with the label "copy directory", "copy file" or
	// "copy link". An error that it returns fails the operation.
	Step func(label string) error

	Files int      // what was copied so far, directories not counted
	Left  []string // paths of sockets, fifos and devices, which have no contents and are left out
}

// Copy copies name, with all that is below it if it is a directory, from the directory from to the directory to, both
// given by their descriptors. A file whose copy fails leaves nothing behind, the ones before it stay.
func (c *TreeCopier) Copy(from int, name string, to int) error { return c.copy(from, name, name, to) }

// copy is Copy for what stands at path.
func (c *TreeCopier) copy(from int, name, path string, to int) error {
	var st unix.Stat_t
	err := unix.Fstatat(from, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil {
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			return c.copyDir(from, name, path, to, st)
		case unix.S_IFREG:
			err = c.copyFile(from, name, to, st)
		case unix.S_IFLNK:
			err = c.copyLink(from, name, to)
		default:
			c.Left = append(c.Left, path)
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", QuotePath(path), err)
	}
	c.Files++
	return nil
}

func (c *TreeCopier) copyLink(from int, name string, to int) error {
	target, err := ReadlinkAt(from, name)
	if err == nil {
		err = TakeStep(c.Step, "copy link")
	}
	if err != nil {
		return err
	}
	return unix.Symlinkat(string(target), to, name)
}

func (c *TreeCopier) copyDir(from int, name, path string, to int, st unix.Stat_t) error {
	failed := func(err error) error { return fmt.Errorf("copy directory %s: %w", QuotePath(path), err) }
	err := TakeStep(c.Step, "copy directory")
	if err == nil {
		err = unix.Mkdirat(to, name, 0o700)
	}
	if err != nil {
		return failed(err)
	}
	into, err := OpenDirAt(to, name)
	if err != nil {
		return failed(err)
	}
	defer into.Close()
	if err := EachIn(from, name, func(dir int, child string) error {
		return c.copy(dir, child, path+"/"+child, int(into.Fd()))
	}); err != nil {
		return err
	}
	// Only now: it may be one that not even its owner can write to.
	if err := unix.Fchmod(int(into.Fd()), st.Mode&0o777); err != nil {
		return failed(err)
	}
	return nil
}

func (c *TreeCopier) copyFile(from int, name string, to int, st unix.Stat_t) (err error) {
	in, err := OpenFileAt(from, name)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := TakeStep(c.Step, "copy file"); err != nil {
		return err
	}
	fd, err := unix.Openat(to, name, OpenNew, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(out, in)
	times := []unix.Timeval{unix.NsecToTimeval(st.Atim.Nano()), unix.NsecToTimeval(st.Mtim.Nano())}
	// What is copied may be removed next.
	err = errors.Join(err, unix.Fchmod(fd, st.Mode&0o777), unix.Futimes(fd, times), out.Sync(), out.Close())
	if err != nil {
		err = errors.Join(err, unix.Unlinkat(to, name, 0))
	}
	return err
}
