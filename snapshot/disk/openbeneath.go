package disk

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenAt opens the directory path below the directory root. A symbolic link on the way is an error.
func OpenAt(root int, path string) (int, error) {
	if path == "" {
		path = "."
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	// Linux before 5.6, or a container that does not know the call: one step at a time.
	fd, err = unix.Openat(root, ".", flags, 0)
	for name := range strings.SplitSeq(path, "/") {
		if err != nil {
			break
		}
		var next int
		next, err = unix.Openat(fd, name, flags, 0)
		unix.Close(fd)
		fd = next
	}
	return fd, err
}
