package snapshot

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/renameio/v2"
)

// LastUpdate records the last attempt to update the working copy.
type LastUpdate struct {
	Time     time.Time `json:"time"`
	Revision string    `json:"revision,omitempty"`
	Failure  string    `json:"failure,omitempty"`
	// Success is when an update last succeeded; it equals Time unless this one failed.
	Success time.Time `json:"success,omitzero"`
}

func lastUpdatePath(l tag.Base) string { return filepath.Join(l.Work(), "last-update") }

// ReadLastUpdate returns the zero LastUpdate if there has been none.
func ReadLastUpdate(l tag.Base) (LastUpdate, error) {
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
func (e Env) recordUpdate(u LastUpdate) error {
	if u.Failure == "" {
		u.Success = u.Time
	} else if old, err := ReadLastUpdate(e.Base); err == nil {
		u.Success, u.Revision = old.Success, old.Revision
	}
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	path := lastUpdatePath(e.Base)
	return e.Step.Do("record update", path, func() error {
		return e.files().In(path, func(dir *os.Root, name string) error {
			return renameio.WriteFile(name, append(data, '\n'), 0o644, renameio.WithStaticPermissions(0o644), renameio.WithRoot(dir))
		})
	})
}
