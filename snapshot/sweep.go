package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// sweep removes what runs left that died: staged trees, tags on their way out, temporary files, and
// the records of tags that were never published or were removed by hand. The caller holds the
// lock, so nothing of it is in use. One thing that cannot be removed does not keep the others.
func (m *Manager) sweep() []error {
	var failed []error
	for _, dir := range []string{m.Layout.Stage(), m.Layout.Trash()} {
		failed = append(failed, m.sweepDir(dir, func(string) bool { return true })...)
	}
	orphan := func(name string) bool {
		_, err := os.Lstat(m.Layout.Dir(name))
		return errors.Is(err, os.ErrNotExist)
	}
	for _, dir := range []string{filepath.Dir(m.Layout.Manifest("x")), filepath.Dir(m.Layout.Table("x"))} {
		failed = append(failed, m.sweepDir(dir, orphan)...)
	}
	return append(failed, m.sweepDir(m.Layout.Work(), func(name string) bool {
		return strings.HasPrefix(name, ".") // temporary names of a record being replaced
	})...)
}

// sweepDir removes the entries of dir that are debris.
func (m *Manager) sweepDir(dir string, debris func(name string) bool) []error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return []error{fmt.Errorf("sweep: %w", err)}
	}
	var failed []error
	for _, e := range entries {
		if !debris(e.Name()) {
			continue
		}
		if err := m.Step.removeAll("sweep", filepath.Join(dir, e.Name())); err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}
