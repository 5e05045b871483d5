package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/etch/etchtag/tagstate/lines"
)

// editWait is how long an edit waits for another to end. Edits take milliseconds.
const editWait = 10 * time.Second

// OwnTagstate is this server's own file: the last one that updates of the working copy do not touch.
func (s *Site) OwnTagstate() (string, error) {
	for _, path := range slices.Backward(s.Config.Tagstate) {
		if !s.InWorkingCopy(path) {
			return filepath.Join(s.Base.Path, path), nil
		}
	}
	return "", errors.New("every file that tagstate names in the configuration lies in the working copy, where a mark " +
		"would be overwritten: commit the mark there, or add this server's own file to the list")
}

// InWorkingCopy reports whether a path, relative to the base, lies in the working copy.
func (s *Site) InWorkingCopy(path string) bool {
	rel, err := filepath.Rel(s.Base.WorkingCopy, path)
	return err == nil && filepath.IsLocal(rel)
}

// Edit changes one of the base's small files.
func (s *Site) Edit(ctx context.Context, file string, change func([]byte) ([]byte, error)) error {
	if err := s.refuseUpstreamsLink(file); err != nil {
		return err
	}
	if err := s.Env(s.Clock, nil).Prepare(); err != nil {
		return err
	}
	return s.Editor(file).Edit(ctx, change)
}

// Editor edits a file under the lock that all edits take.
func (s *Site) Editor(file string) lines.Editor {
	return lines.Editor{Path: file, Lock: s.Base.TagstateLock(), Wait: editWait, Step: s.Step}
}

// refuseUpstreamsLink refuses to edit what a link leads to whose end, or which itself, is upstream's to choose: it could
// be any file of this machine. A link that the administrator has made is followed.
func (s *Site) refuseUpstreamsLink(file string) error {
	target, err := os.Readlink(file)
	if err != nil {
		return nil // no link
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(file), target)
	}
	inside := func(trunk, path string) bool {
		rel, err := filepath.Rel(trunk, path)
		return err == nil && filepath.IsLocal(rel)
	}
	trunk, trunkErr := filepath.EvalSymlinks(s.Base.Trunk())
	dir, dirErr := filepath.EvalSymlinks(filepath.Dir(target))
	if inside(s.Base.Trunk(), target) || trunkErr == nil && dirErr == nil && inside(trunk, dir) || s.BaseIsWorkingCopy() {
		return fmt.Errorf("%s is a link to %s, and so upstream decides which file is edited: put a file in its place", file, target)
	}
	return nil
}
