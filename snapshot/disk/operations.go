package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// These are the operations themselves. Whoever calls one has announced it by its label (Labelled, Step.Do): together
// with the files above, they are all that changes the disk for the sources, for what is set aside and for the tags.

// Rename gives a file or directory another name on the same file system. It replaces a file that has that name.
func Rename(from, to string) error { return os.Rename(from, to) }

// RenameDir gives a directory another name, which may be that of an empty directory.
func RenameDir(from, to string) error { return unix.Rename(from, to) }

// Remove deletes a file, a link or an empty directory.
func Remove(path string) error { return os.Remove(path) }

// Link gives a file a second name.
func Link(from, to string) error { return os.Link(from, to) }

// Chmod changes the permissions of what is no link.
func Chmod(path string, mode fs.FileMode) error { return os.Chmod(path, mode) }

// MakeDir makes a directory. The umask may take permissions away.
func MakeDir(path string, mode fs.FileMode) error { return os.Mkdir(path, mode) }

// MakeAll is MakeDir for a directory and all above it that are not there.
func MakeAll(path string, mode fs.FileMode) error { return os.MkdirAll(path, mode) }

// MakeTemp makes a directory for us alone, with a random string for the last asterisk of the pattern.
func MakeTemp(dir, pattern string) (string, error) { return os.MkdirTemp(dir, pattern) }

// NewTemp is MakeTemp for a file.
func NewTemp(dir, pattern string) (*os.File, error) { return os.CreateTemp(dir, pattern) }

// NewFile opens a file to write it from its beginning, and makes it if it is not there.
func NewFile(path string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, mode)
}

// NewLock makes a file that is a lock by being there: the error matches fs.ErrExist if another has made it.
func NewLock(path string, mode fs.FileMode) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

// NewFileAt makes a file below an open directory, to write it and read it again. Nothing may be there.
func NewFileAt(dir int, name string, mode uint32) (RawFile, error) {
	fd, err := unix.Openat(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	return RawFile(fd), err
}

// WriteFile makes a file of these contents, which is not durable yet.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	return os.WriteFile(path, content, mode)
}

// RenameAt is Rename below open directories.
func RenameAt(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat(fromDir, from, toDir, to)
}

// RemoveFileAt deletes a file or a link below an open directory, if it is there.
func RemoveFileAt(dir int, name string) error {
	if err := unix.Unlinkat(dir, name, 0); !errors.Is(err, unix.ENOENT) {
		return err
	}
	return nil
}

// RemoveDirAt deletes an empty directory below an open one.
func RemoveDirAt(dir int, name string) error { return unix.Unlinkat(dir, name, unix.AT_REMOVEDIR) }

// LinkAt is Link below open directories.
func LinkAt(fromDir int, from string, toDir int, to string) error {
	return unix.Linkat(fromDir, from, toDir, to, 0)
}

// LinkOpen gives the file that is open a name below an open directory, whatever has become of its own name.
func LinkOpen(file, dir int, name string) error {
	err := unix.Linkat(file, "", dir, name, unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EPERM) { // AT_EMPTY_PATH wants a capability
		err = unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", file), dir, name, unix.AT_SYMLINK_FOLLOW)
	}
	return err
}

// ShareBlocks makes the contents of an empty file those of another, whose blocks it shares until one of them is changed.
func ShareBlocks(f, of RawFile) error { return unix.IoctlFileClone(int(f), int(of)) }

// SymlinkAt makes a symbolic link below an open directory. Its target is written byte for byte.
func SymlinkAt(target string, dir int, name string) error { return unix.Symlinkat(target, dir, name) }

// MakeDirAt is MakeDir below an open directory.
func MakeDirAt(dir int, name string, mode uint32) error { return unix.Mkdirat(dir, name, mode) }

// ChmodOpen changes the permissions of what is open.
func ChmodOpen(fd int, mode uint32) error { return unix.Fchmod(fd, mode) }

// ChmodAt changes the permissions of what stands below an open directory and is no link.
func ChmodAt(dir int, name string, mode uint32) error { return unix.Fchmodat(dir, name, mode, 0) }

// SetTimes sets when a file, directory or link was last read and changed. An empty name is what is open itself.
func SetTimes(dir int, name string, times []unix.Timespec) error {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if name == "" {
		flags = unix.AT_EMPTY_PATH
	}
	return unix.UtimesNanoAt(dir, name, times, flags)
}

// Exchange swaps two directories, in the second of which nothing may be mounted, so that each name always leads to one
// of them where the file system can do that. Where it cannot, such as on NFS, the old one is called spare for a moment:
// whoever is killed then leaves nothing at the second name, and the old one there.
func Exchange(fresh, old, spare string) error { return ExchangeAt(unix.AT_FDCWD, fresh, old, spare) }

// ExchangeAt is Exchange for a fresh directory, and a spare name, below an open directory.
func ExchangeAt(dir int, fresh, old, spare string) error {
	if err := MountedAt(old); err != nil {
		return err
	}
	return exchange(dir, fresh, unix.AT_FDCWD, old, spare)
}

// exchange is Exchange without the look for mounts; spare stands in the directory of the first.
func exchange(freshDir int, fresh string, oldDir int, old, spare string) error {
	err := unix.Renameat2(freshDir, fresh, oldDir, old, unix.RENAME_EXCHANGE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EXDEV) {
		return err
	}
	if err := unix.Renameat(oldDir, old, freshDir, spare); err != nil {
		return err
	}
	if err := unix.Renameat(freshDir, fresh, oldDir, old); err != nil {
		return errors.Join(err, unix.Renameat(freshDir, spare, oldDir, old))
	}
	return unix.Renameat(freshDir, spare, freshDir, fresh)
}
