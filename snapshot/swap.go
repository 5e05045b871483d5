package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/aside"
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
func (e Env) swap(s swap) (kept string, err error) {
	name := filepath.Join(e.Base.Discarded(), aside.Name(e.Clock())+"-"+s.name)
	kept = name
	for n := 2; ; n++ {
		err := e.files().RenameNoReplace(s.setUp, s.fresh, kept)
		if err == nil {
			break
		}
		if !errors.Is(err, os.ErrExist) {
			return "", err
		}
		kept = fmt.Sprintf("%s-%d", name, n)
	}
	if err := e.files().Exchange(s.exchange, kept, s.old); err != nil {
		return "", errors.Join(err, e.files().RemoveTree(s.remove, kept))
	}
	if err := e.files().SyncDir(s.sync, filepath.Dir(s.old)); err != nil {
		return kept, err
	}
	return kept, e.files().SyncDir("sync discarded", e.Base.Discarded())
}
