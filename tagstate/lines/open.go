package lines

import (
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Open opens a file for reading, as os.Open does. It does not offer the file to the runtime's poller, which would
// take five more calls of the kernel to find out that nobody can wait for a regular file, and some more for the first:
// that counts where many small files are read, or where reading a few is all that a process does.
func Open(path string) (*os.File, error) {
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
