package source

import (
	"bytes"
	"crypto/sha1" // tells states of a directory apart, proves nothing
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// storeSignature sums up the files of an object store by their names, sizes and times. While it stays the same no
// object can have gone, so that what was once proved whole still is.
func storeSignature(commonDir string) (sum [sha1.Size]byte, err error) {
	h := sha1.New()
	objectsDir := filepath.Join(commonDir, "objects")
	dirs, err := os.ReadDir(objectsDir)
	if err != nil {
		return sum, fmt.Errorf("looking at the object store: %w", err)
	}
	for _, dir := range dirs {
		if dir.Name() == "info" {
			continue
		}
		files, err := os.ReadDir(filepath.Join(objectsDir, dir.Name()))
		if err != nil {
			return sum, fmt.Errorf("looking at the object store: %w", err)
		}
		for _, file := range files {
			info, err := file.Info()
			if errors.Is(err, os.ErrNotExist) {
				continue // a gc that is at work; the next look will differ
			}
			if err != nil {
				return sum, fmt.Errorf("looking at the object store: %w", err)
			}
			fmt.Fprintf(h, "%s/%s %d %d\n", dir.Name(), file.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}

// storeIsWhole reports whether the object store is as it was when all that the index stands for was last
// proved to be in it.
func storeIsWhole(state syncState, commonDir string) bool {
	now, err := storeSignature(commonDir)
	return err == nil && now == state.objects
}

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
			return &ObjectError{Err: err}
		}
		said, err := readTail(index, 2*sha1.Size) // the pack's checksum, and then the index's own
		if err != nil {
			return &ObjectError{Err: err}
		}
		if !bytes.Equal(own, said[:sha1.Size]) {
			return &ObjectError{Err: fmt.Errorf("the pack %q is not the one that its index describes", pack)}
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
func checkShape(l gitLayout) error {
	for name, wantDir := range map[string]bool{"objects": true, "refs": true, "packed-refs": false, "config": false} {
		path := filepath.Join(l.commonDir, name)
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) && !wantDir {
			continue
		}
		if err != nil {
			return &DamageError{l.commonDir, err}
		}
		if info.IsDir() != wantDir {
			return &DamageError{l.commonDir, fmt.Errorf("%q is a %s", path, map[bool]string{true: "directory", false: "file"}[info.IsDir()])}
		}
	}
	return nil
}
