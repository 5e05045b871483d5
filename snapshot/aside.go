package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// swap is an exchange of a tree for a fresh one, with the labels of its steps.
type swap struct {
	fresh, old string // directories of one file system
	name       string // what the old one will be called among what was set aside, after the time

	setUp, exchange, remove, sync string
}

// swap exchanges a fresh tree for an old one, which it sets aside. It returns the new place of the old one, also with
// the error that a power cut may undo it; it is empty if nothing was exchanged.
//
// The fresh one moves to that place first: whoever is killed between the two steps leaves a second whole copy, but the
// old one, which may hold edits, is never where debris is swept.
func (m *Manager) swap(s swap) (aside string, err error) {
	name := filepath.Join(m.Base.Discarded(), m.Clock().UTC().Format(discardStamp)+"-"+s.name)
	aside = name
	for n := 2; ; n++ {
		err := m.files().renameNoReplace(s.setUp, s.fresh, aside)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) {
			return "", err
		}
		aside = fmt.Sprintf("%s-%d", name, n)
	}
	if err := m.files().exchange(s.exchange, aside, s.old); err != nil {
		return "", errors.Join(err, m.files().removeAll(s.remove, aside))
	}
	if err := m.files().syncDir(s.sync, filepath.Dir(s.old)); err != nil {
		return aside, err
	}
	return aside, m.files().syncDir("sync discarded", m.Base.Discarded())
}

// discardStamp is what the name of everything that was set aside begins with, as package source has it.
const discardStamp = "20060102-150405"
