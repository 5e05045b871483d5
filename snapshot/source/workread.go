package source

import (
	"errors"
	"io"
)

// readAt reads a small regular file.
func readAt(dir int, name string) ([]byte, error) {
	f, err := openFileAt(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPassedOn))
}

// maxPassedOn is the size in bytes up to which the contents of a file that is to go are passed on to
// beforeReplace.
const maxPassedOn = 32 << 20

// errChangedMeanwhile says that someone else is at work in the working copy.
var errChangedMeanwhile = errors.New("it changed while the working copy was being updated")
