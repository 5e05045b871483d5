package inventory

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// readText returns the content of a regular file. It does not wait if path is a named pipe.
func readText(path string) (string, error) {
	text, _, err := readFile(path)
	return text, err
}

// readFile is readText with what the file was like when it was opened.
func readFile(path string) (string, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", nil, err
	}
	if !info.Mode().IsRegular() {
		return "", nil, fmt.Errorf("read %s: not a regular file", path)
	}
	var text strings.Builder
	text.Grow(int(info.Size()))
	if _, err := io.Copy(&text, f); err != nil {
		return "", nil, err
	}
	return text.String(), info, nil
}
