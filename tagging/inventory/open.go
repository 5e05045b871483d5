package inventory

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openFile opens a file for reading, as os.Open does. It does not offer the file to the runtime's poller, which would
// take many calls of the kernel to find out that nobody can wait for a regular file: as many as a whole lookup.
func openFile(path string) (*os.File, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), path), nil
		case unix.EINTR:
		default:
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}
