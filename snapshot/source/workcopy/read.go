package workcopy

import (
	"errors"
	"io"

	"github.com/etch/etchtag/snapshot/disk"
)

// ReadAt reads a small regular file.
func ReadAt(dir int, name string) ([]byte, error) {
	f, err := disk.OpenFileAt(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxPassedOn))
}

// MaxPassedOn is the size in bytes up to which the contents of a file that is to go are passed on to
// beforeReplace.
const MaxPassedOn = 32 << 20

// ErrChangedMeanwhile says that someone else is at work in the working copy.
var ErrChangedMeanwhile = errors.New("it changed while the working copy was being updated")
