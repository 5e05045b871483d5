// Package checkout makes the files of a working copy those of a commit, and says what a tag publishes of one.
//
// A sync plans what is to be written and removed from the index, the commit and the files, judges which files were edited
// locally, sets those aside, and writes the rest; a journal makes good what a killed one has left. go-git's worktree is
// not used: its Reset takes 0.9 s, Clean 1.5 s and Status 1.1 s on 10,850 files, it ignores a lock of the index, and it
// refuses names that Linux can have.
package checkout

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/go-git/go-git/v5/plumbing"
)

// Worktree is the working copy of a git repository. One goroutine at a time may sync it.
//
// What a sync leaves is exactly the target: files, links, modes, empty directories for submodules, and
// nothing else but .git. What it finds unchanged it does not touch, and it knows that from stat data, as
// git does. Local edits and untracked files are set aside. A sync that is killed at any moment is made
// good by the next one.
type Worktree struct {
	Dir    string // the root of the working copy; may be a symbolic link
	GitDir string // its repository

	aside.Edits

	// Whole says that the objects of the commit that the index stands for are known to be all there, although
	// others were fetched since.
	Whole bool
	// Fresh says that nobody sees the working copy before it is whole, so that files are written right where they belong
	// and no journal is kept. If it is not finished it is thrown away.
	Fresh bool

	// Files are those of the target, if they were listed before.
	Files []object.TreeFile

	// Progress, if not nil, is called after each file that was written.
	Progress func(done, total int)
	// wait waits for d; nil means to do so by the clock.
	wait func(ctx context.Context, d time.Duration) error
}

// syncResult says what a sync did.
type syncResult struct {
	Changed   int      // files written, removed or given another mode
	Discarded string   // the directory that local edits and untracked files were set aside in, or empty
	Warnings  []string // what an administrator should know, one sentence each
}

// Sync makes the files of the working copy and the index exactly those of the commit target. An object
// that is missing or corrupt is an *ObjectError; one that is missing is noticed before anything changes.
func (w *Worktree) Sync(ctx context.Context, target plumbing.Hash) (syncResult, error) {
	s, err := w.begin(ctx, target)
	if err != nil {
		return syncResult{}, fmt.Errorf("look at the working copy %q: %w", w.Dir, err)
	}
	defer s.close()
	if err := s.makePlan(); err != nil {
		return syncResult{}, fmt.Errorf("compare the working copy %q with revision %s: %w", w.Dir, target, err)
	}
	if s.nothingToDo() {
		return s.result, nil
	}
	if err := s.apply(); err != nil {
		return s.result, fmt.Errorf("bring the working copy %q to revision %s: %w", w.Dir, target, err)
	}
	return s.result, nil
}

func (w *Worktree) pause(ctx context.Context, d time.Duration) error {
	if w.wait != nil {
		return w.wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Worktree) file(name string) string { return filepath.Join(w.GitDir, name) }
