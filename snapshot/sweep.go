package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/tagging/tag"
)

// sweep removes what runs left that died. The caller holds the lock, so nothing of it is in use. One thing that
// cannot be removed does not keep the others.
func (e Env) sweep() []error {
	failed := append(e.giveAllBack(), e.emptyTrash(everything)...)
	for _, p := range debrisPlaces(e.Base) {
		failed = append(failed, e.sweepDir(p.dir, p.debris)...)
	}
	return failed
}

// debrisPlace is a directory in which dead runs leave something, and how to tell it.
type debrisPlace struct {
	dir    string
	debris func(fs.DirEntry) bool
}

// debrisPlaces says where to look, besides the trash: for staged trees, for the records of tags that were never
// published or were removed by hand, and for the temporary names of a record being replaced.
func debrisPlaces(l tag.Base) []debrisPlace {
	orphan := func(e fs.DirEntry) bool {
		retired, err := os.Lstat(filepath.Join(l.Trash(), e.Name()))
		isRetired := err == nil && retired.IsDir() || err != nil && !errors.Is(err, fs.ErrNotExist)
		return !exists(l.Dir(e.Name())) && !isRetired
	}
	return []debrisPlace{
		{l.Stage(), everything},
		{filepath.Dir(l.Manifest("x")), orphan},
		{filepath.Dir(l.Table("x")), orphan},
		{l.Work(), func(e fs.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }},
	}
}

func everything(fs.DirEntry) bool { return true }

// sweepDir removes the entries of dir that are debris.
func (e Env) sweepDir(dir string, debris func(fs.DirEntry) bool) []error {
	root, err := e.files().Open(dir)
	if err != nil {
		return []error{fmt.Errorf("sweep: %w", err)}
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return []error{fmt.Errorf("sweep %q: %w", dir, err)}
	}
	var failed []error
	for _, entry := range entries {
		if !debris(entry) {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		// In the directory that was listed: another one of that name may hold anything.
		err := e.Step.Do("sweep", path, func() error {
			return disk.WithDirectory(root, func(fd int) error { return disk.RemoveTree(fd, entry.Name()) })
		})
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}
