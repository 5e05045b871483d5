package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// settleTries is how often a tree that changes while it is read is read in all.
	settleTries = 5
	// settlePause is the time between the first two tries; every later one is twice as long as the one before.
	settlePause = 100 * time.Millisecond
	// minPrefix is how much of a revision's ID has to be given to name it.
	minPrefix = 4
)

// DirOptions says where a plain tree is and how its revisions are named.
type DirOptions struct {
	Dir string // the tree, absolute; it may be a symbolic link
	// TreeHash makes the ID of a revision of what the tree holds. It must not be nil.
	TreeHash func(entries []ExportedEntry) string
	// Sleep waits between two tries to read the tree, or until the context ends; nil waits in fact.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Dir is a tree that rsync or another tool maintains. It has one revision: what it holds now, named by its hash
// and dated by the newest time of modification in it. What version control systems keep in it is left out.
//
// A tree counts only while it holds still: all of it is looked at before and after it is read. One that changes
// meanwhile is read again a few times. Then the error is an UnsettledError, which names what changed. That a tree
// which holds still is what its tool wants it to be is up to that tool.
type Dir struct {
	o DirOptions
}

var _ Exporter = (*Dir)(nil)

// NewDir returns the source for a tree that need not exist yet.
func NewDir(o DirOptions) *Dir {
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	return &Dir{o}
}

// Kind returns "dir".
func (d *Dir) Kind() string { return "dir" }

// At implements Source.
func (d *Dir) At(dir string) Source {
	o := d.o
	o.Dir = dir
	return NewDir(o)
}

// Foreign implements Source. Any tree may be one that another tool maintains.
func (d *Dir) Foreign() (reason string, err error) { return "", nil }

// Clone always fails: nothing is known of where the tree comes from.
func (d *Dir) Clone(context.Context) (Outcome, error) {
	return Outcome{}, fmt.Errorf("the tree %q has to be put there by the tool that maintains it, such as rsync", d.o.Dir)
}

// Update returns the revision that the tree is. It changes nothing.
func (d *Dir) Update(ctx context.Context) (Outcome, error) {
	r, err := d.Current(ctx)
	return Outcome{Revision: r}, err
}

// Current returns the revision that the tree is.
func (d *Dir) Current(ctx context.Context) (Revision, error) {
	var r Revision
	err := d.whenSettled(ctx, func() error {
		t, err := hashSettled(ctx, d.o.Dir, isMetadata)
		if err != nil {
			return err
		}
		r, err = d.revision(t)
		return err
	})
	return r, err
}

func (d *Dir) revision(t *treeReader) (Revision, error) {
	for _, e := range t.entries {
		if e.Mode != Directory {
			return Revision{ID: d.o.TreeHash(t.entries), Time: t.before.newest()}, nil
		}
	}
	return Revision{}, fmt.Errorf("the tree %q is empty: has the tool that maintains it ever run?", d.o.Dir)
}

// Resolve returns the present revision, if that is what name is, or is the beginning of.
func (d *Dir) Resolve(ctx context.Context, name string) (Revision, error) {
	r, err := d.Current(ctx)
	if err != nil {
		return Revision{}, err
	}
	if len(name) < min(minPrefix, len(r.ID)) || !strings.HasPrefix(r.ID, name) {
		return Revision{}, fmt.Errorf("there is no revision %q: a plain tree has none but its present one, %s", name, r.ID)
	}
	return r, nil
}

// Export implements Exporter. If the tree has changed since r was returned, what it is now is exported, and a warning
// says so.
func (d *Dir) Export(ctx context.Context, r Revision, dir string, o ExportOptions) (Export, error) {
	var export Export
	err := d.whenSettled(ctx, func() error {
		if err := eachIn(unix.AT_FDCWD, dir, RemoveTree); err != nil { // what the last try left
			return fmt.Errorf("emptying %q: %w", dir, err)
		}
		t, err := copySettled(ctx, d.o.Dir, dir, isMetadata, o)
		if err != nil {
			return err
		}
		export.Entries = t.entries
		export.Revision, err = d.revision(t)
		return err
	})
	if err != nil {
		return Export{}, err
	}
	if export.Revision.ID != r.ID {
		export.Warnings = []string{fmt.Sprintf("the tree %q changed before it was copied: its revision was %s, and is %s now",
			d.o.Dir, r.ID, export.Revision.ID)}
	}
	return export, nil
}

// whenSettled reads the tree, and does so again if it changed meanwhile.
func (d *Dir) whenSettled(ctx context.Context, read func() error) error {
	pause := settlePause
	for try := 1; ; try++ {
		err := read()
		var unsettled *UnsettledError
		if !errors.As(err, &unsettled) {
			return err
		}
		if try == settleTries {
			return fmt.Errorf("%w (tried %d times)", err, try)
		}
		if err := d.o.Sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}
