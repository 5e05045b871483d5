package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging"
)

// sweep removes what runs left that died. The caller holds the lock, so nothing of it is in use. One thing that
// cannot be removed does not keep the others.
func (m *Manager) sweep() []error {
	var failed []error
	for _, p := range debrisPlaces(m.Layout) {
		failed = append(failed, m.sweepDir(p.dir, p.debris)...)
	}
	return failed
}

// debrisPlace is a directory in which dead runs leave something, and how to tell it by its name.
type debrisPlace struct {
	dir    string
	debris func(name string) bool
}

// debrisPlaces says where to look: for staged trees and tags on their way out, for the records of tags that were
// never published or were removed by hand, and for the temporary names of a record being replaced.
func debrisPlaces(l tagging.Layout) []debrisPlace {
	everything := func(string) bool { return true }
	orphan := func(name string) bool {
		_, err := os.Lstat(l.Dir(name))
		return errors.Is(err, os.ErrNotExist)
	}
	return []debrisPlace{
		{l.Stage(), everything},
		{l.Trash(), everything},
		{filepath.Dir(l.Manifest("x")), orphan},
		{filepath.Dir(l.Table("x")), orphan},
		{l.Work(), func(name string) bool { return strings.HasPrefix(name, ".") }},
	}
}

// sweepDir removes the entries of dir that are debris.
func (m *Manager) sweepDir(dir string, debris func(name string) bool) []error {
	root, err := m.files().open(dir)
	if err != nil {
		return []error{fmt.Errorf("sweep: %w", err)}
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return []error{fmt.Errorf("sweep %q: %w", dir, err)}
	}
	var failed []error
	for _, e := range entries {
		if !debris(e.Name()) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		// In the directory that was listed: another one of that name may hold anything.
		err := m.Step.do("sweep", path, func() error {
			return source.WithDirectory(root, func(fd int) error { return source.RemoveTree(fd, e.Name()) })
		})
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}
