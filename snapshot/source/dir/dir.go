// Package dir is a source that is a plain tree, which some other tool updates. It is published as a copy that is proved
// to be of one moment.
package dir

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

const (
	// mostTries is how often a tree that changes while it is read is read in all.
	mostTries = 5
	// firstPause is the time between the first two tries; every later one is twice as long as the one before.
	firstPause = 100 * time.Millisecond
	// minPrefix is how much of a revision's ID has to be given to name it.
	minPrefix = 4
)

// Options says where a plain tree is and how its revisions are named.
type Options struct {
	Dir string // the tree, absolute; it may be a symbolic link
	// TreeHash makes the ID of a revision of what the tree holds. It must not be nil.
	TreeHash func(entries []source.ExportedEntry) string
	// Sleep waits between two tries to read the tree, or until the context ends; nil waits in fact.
	Sleep func(ctx context.Context, d time.Duration) error
}

// Source is a tree that rsync or another tool maintains. It has one revision: what it holds now, named by its hash
// and dated by the newest time of modification in it. What version control systems keep in it is left out.
//
// A tree counts only while it holds still: all of it is looked at before and after it is read. One that changes
// meanwhile is read again a few times. Then the error is an UnsteadyError, which names what changed. That a tree
// which holds still is what its tool wants it to be is up to that tool.
type Source struct {
	o Options
}

var _ source.Exporter = (*Source)(nil)

// New returns the source for a tree that need not exist yet.
func New(o Options) *Source {
	if o.Sleep == nil {
		o.Sleep = workcopy.Sleep
	}
	return &Source{o}
}

// Kind returns "dir".
func (d *Source) Kind() string { return "dir" }

// At implements Source.
func (d *Source) At(dir string) source.Source {
	o := d.o
	o.Dir = dir
	return New(o)
}

// Foreign implements Source. Any tree may be one that another tool maintains.
func (d *Source) Foreign() (reason string, err error) { return "", nil }

// Clone always fails: nothing is known of where the tree comes from.
func (d *Source) Clone(context.Context) (source.Outcome, error) {
	return source.Outcome{}, fmt.Errorf("the tree %q has to be put there by the tool that maintains it, such as rsync", d.o.Dir)
}

// Update returns the revision that the tree is. It changes nothing.
func (d *Source) Update(ctx context.Context) (source.Outcome, error) {
	r, err := d.Current(ctx)
	return source.Outcome{Revision: r}, err
}

// Current returns the revision that the tree is.
func (d *Source) Current(ctx context.Context) (source.Revision, error) {
	var r source.Revision
	err := d.whenSteady(ctx, func() error {
		t, err := workcopy.HashSteady(ctx, d.o.Dir, workcopy.IsMetadata)
		if err != nil {
			return err
		}
		r, err = d.revision(t)
		return err
	})
	return r, err
}

func (d *Source) revision(t *workcopy.TreeReader) (source.Revision, error) {
	for _, e := range t.Entries {
		if e.Mode != source.Directory {
			return source.Revision{ID: d.o.TreeHash(t.Entries), Time: t.Before.Newest()}, nil
		}
	}
	return source.Revision{}, fmt.Errorf("the tree %q is empty: has the tool that maintains it ever run?", d.o.Dir)
}

// Resolve returns the present revision, if that is what name is, or is the beginning of.
func (d *Source) Resolve(ctx context.Context, name string) (source.Revision, error) {
	r, err := d.Current(ctx)
	if err != nil {
		return source.Revision{}, err
	}
	if len(name) < min(minPrefix, len(r.ID)) || !strings.HasPrefix(r.ID, name) {
		return source.Revision{}, fmt.Errorf("there is no revision %q: a plain tree has none but its present one, %s", name, r.ID)
	}
	return r, nil
}

// Export implements Exporter. If the tree has changed since r was returned, what it is now is exported, and a warning
// says so.
func (d *Source) Export(ctx context.Context, r source.Revision, dir string, o source.ExportOptions) (source.Export, error) {
	var export source.Export
	err := d.whenSteady(ctx, func() error {
		if err := disk.EachIn(unix.AT_FDCWD, dir, disk.RemoveTree); err != nil { // what the last try left
			return fmt.Errorf("empty %q: %w", dir, err)
		}
		t, err := workcopy.CopySteady(ctx, d.o.Dir, dir, workcopy.IsMetadata, o)
		if err != nil {
			return err
		}
		export.Entries = t.Entries
		export.Revision, err = d.revision(t)
		return err
	})
	if err != nil {
		return source.Export{}, err
	}
	if export.Revision.ID != r.ID {
		export.Warnings = []string{fmt.Sprintf("the tree %q changed before it was copied: its revision was %s, and is %s now",
			d.o.Dir, r.ID, export.Revision.ID)}
	}
	return export, nil
}

// whenSteady reads the tree, and does so again if it changed meanwhile.
func (d *Source) whenSteady(ctx context.Context, read func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := read()
		var unsteady *workcopy.UnsteadyError
		if !errors.As(err, &unsteady) {
			return err
		}
		if try == mostTries {
			return fmt.Errorf("%w (tried %d times)", err, try)
		}
		if err := d.o.Sleep(ctx, pause); err != nil {
			return err
		}
		pause *= 2
	}
}
