package snapshot

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/tagging"
)

// LastUpdate records the last attempt to update the working copy.
type LastUpdate struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision,omitempty"`
	Failure  string    `json:"failure,omitempty"`
	// Success is when an update last succeeded; it equals Time unless this one failed.
	Success time.Time `json:"success,omitzero"`
}

func lastUpdatePath(l tagging.Layout) string { return filepath.Join(l.Work(), "last-update") }

// ReadLastUpdate returns the zero LastUpdate if there has been none.
func ReadLastUpdate(l tagging.Layout) (LastUpdate, error) {
	var u LastUpdate
	data, err := os.ReadFile(lastUpdatePath(l))
	if errors.Is(err, os.ErrNotExist) {
		return u, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &u)
	}
	if err != nil {
		return LastUpdate{}, fmt.Errorf("read the record of the last update %q: %w", lastUpdatePath(l), err)
	}
	return u, nil
}

// recordUpdate replaces the record. A failed update keeps the time and the revision of the last good one.
func (m *Manager) recordUpdate(u LastUpdate) error {
	if u.Failure == "" {
		u.Success = u.Time
	} else if old, err := ReadLastUpdate(m.Layout); err == nil {
		u.Success, u.Revision = old.Success, old.Revision
	}
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	path := lastUpdatePath(m.Layout)
	return m.Step.do("record update", path, func() error {
		return m.files().in(path, func(dir *os.Root, name string) error {
			return replaceFile(dir, name, append(data, '\n'))
		})
	})
}

// replaceFile puts a file that everybody may read in the place of the one that there may be, in one durable step. The
// temporary name begins with a dot, so that it is swept if we die.
func replaceFile(dir *os.Root, name string, data []byte) (err error) {
	temporary := "." + name + "-" + rand.Text()
	f, err := dir.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = dir.Rename(temporary, name)
	}
	if err != nil {
		return errors.Join(err, dir.Remove(temporary))
	}
	return nil
}
