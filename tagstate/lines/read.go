package lines

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Read returns the contents of the file at path. A file that is absent gives nil and no error: it
// says nothing. Anything that exists and cannot be read is an error, because it may say that a tag
// is bad: a file without permission, a directory, a fifo or device (which are never waited for), or
// a symbolic link, of the file or of a directory on the way to it, that leads nowhere.
func Read(path string) ([]byte, error) {
	data, err := readRegular(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, leadsNowhere(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return data, nil
}

func readRegular(path string) ([]byte, error) {
	// Without O_NONBLOCK to open a fifo would wait for a writer.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file (%s)", path, info.Mode().Type())
	}
	return io.ReadAll(f)
}

// leadsNowhere tells a path that is absent (nil) from one that was not found because a symbolic
// link on the way is dangling.
func leadsNowhere(path string) error {
	for p := filepath.Clean(path); ; p = filepath.Dir(p) {
		info, err := os.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) && p != filepath.Dir(p) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if info.Mode().Type() != fs.ModeSymlink {
			return nil
		}
		if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %s is a symbolic link that leads nowhere", path, p)
		}
		return nil
	}
}
