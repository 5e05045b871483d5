package object

import (
	"crypto/sha1" // tells states of a directory apart, proves nothing
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// StoreSignature sums up the files of an object store by their names, sizes and times. While it stays the same no
// object can have gone, so that what was once proved whole still is.
func StoreSignature(commonDir string) (sum [sha1.Size]byte, err error) {
	h := sha1.New()
	objectsDir := filepath.Join(commonDir, "objects")
	dirs, err := os.ReadDir(objectsDir)
	if err != nil {
		return sum, fmt.Errorf("look at the object store: %w", err)
	}
	for _, dir := range dirs {
		if dir.Name() == "info" {
			continue
		}
		files, err := os.ReadDir(filepath.Join(objectsDir, dir.Name()))
		if err != nil {
			return sum, fmt.Errorf("look at the object store: %w", err)
		}
		for _, file := range files {
			info, err := file.Info()
			if errors.Is(err, os.ErrNotExist) {
				continue // a gc that is at work; the next look will differ
			}
			if err != nil {
				return sum, fmt.Errorf("look at the object store: %w", err)
			}
			fmt.Fprintf(h, "%s/%s %d %d\n", dir.Name(), file.Name(), info.Size(), info.ModTime().UnixNano())
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}
