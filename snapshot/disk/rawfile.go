package disk

import (
	"io"

	"golang.org/x/sys/unix"
)

// RawFile is the descriptor of a regular file. Tags have many small files, and os.File costs several
// system calls for each that matter only for sockets and the like.
type RawFile int

// Read reads up to len(p) bytes, or returns io.EOF at the end.
func (f RawFile) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(int(f), p)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 0, err
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

// Write writes all of p.
func (f RawFile) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(int(f), p[done:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return done, err
		}
		done += n
	}
	return done, nil
}

// Close closes the descriptor.
func (f RawFile) Close() error { return unix.Close(int(f)) }
