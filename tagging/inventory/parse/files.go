package parse

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Text returns the content of a regular file. It does not wait if path is a named pipe.
func Text(path string) (string, error) {
	text, _, err := File(path)
	return text, err
}

// File is Text with what the file was like when it was opened.
func File(path string) (string, fs.FileInfo, error) {
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

// HostName returns the name by which a host that is written as name is looked up.
func HostName(file string, line int, name string) (string, error) {
	lower := strings.ToLower(name)
	if len(lower) > MaxHostName {
		return "", Faultf(file, line, "the host name %.20q... is %d bytes long; %d is the most",
			name, len(lower), MaxHostName)
	}
	return lower, nil
}

// MaxHostName is the greatest length of a host's name in bytes, from the DNS.
const MaxHostName = 253
