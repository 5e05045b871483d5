package git

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
)

// checkPacks compares what the end of every pack says with what its index says of it. A pack that was cut short, or
// that stands beside another's index, reads well until an object is missed.
func checkPacks(commonDir string) error {
	indexes, err := filepath.Glob(filepath.Join(commonDir, "objects", "pack", "pack-*.idx"))
	if err != nil {
		return err
	}
	for _, index := range indexes {
		pack := strings.TrimSuffix(index, ".idx") + ".pack"
		own, err := readTail(pack, sha1.Size)
		if err != nil {
			return &object.Error{Err: err}
		}
		said, err := readTail(index, 2*sha1.Size) // the pack's checksum, and then the index's own
		if err != nil {
			return &object.Error{Err: err}
		}
		if !bytes.Equal(own, said[:sha1.Size]) {
			return &object.Error{Err: fmt.Errorf("the pack %q is not the one that its index describes", pack)}
		}
	}
	return nil
}

// readTail reads the last n bytes of a file.
func readTail(path string, n int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < n {
		return nil, fmt.Errorf("%q is cut short", path)
	}
	tail := make([]byte, n)
	_, err = f.ReadAt(tail, info.Size()-n)
	return tail, err
}

// checkShape proves that the parts of a repository are of the kind that git wants: nothing that reads one of them
// notices another that it does not need.
func checkShape(l repo.Location) error {
	for name, wantDir := range map[string]bool{"objects": true, "refs": true, "packed-refs": false, "config": false} {
		path := filepath.Join(l.CommonDir, name)
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) && !wantDir {
			continue
		}
		if err != nil {
			return &DamageError{l.CommonDir, err}
		}
		if info.IsDir() != wantDir {
			return &DamageError{l.CommonDir, fmt.Errorf("%q is a %s", path, map[bool]string{true: "directory", false: "file"}[info.IsDir()])}
		}
	}
	return nil
}
