package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
)

// isMixed reports whether an error means that the working copy is of no single revision.
func isMixed(err error) bool { return errors.As(err, new(*source.MixedError)) }

// makeAgain makes a tag of what the newest one before it has. That is the last whole revision that was published, if not
// the last that was fetched. No ring gets anything else by that: without the new tag the newest one would be served on, and
// having the same tree the new one inherits its marks.
func (t *taking) makeAgain(ctx context.Context, at time.Time) error {
	newest, err := t.newestOwn(at)
	if err != nil {
		return fmt.Errorf("the working copy has no whole revision, and no tag can stand in for it: %w", err)
	}
	t.r.Revision, t.r.Again = newest.Revision, newest.Name
	return t.make(ctx, func(ctx context.Context, stage *staged.Dir) ([]tag.Entry, source.Revision, error) {
		entries, err := stage.FillFromTag(ctx, newest, t.fillOptions())
		return entries, source.Revision{ID: newest.Revision}, err
	})
}

// newestOwn finds the newest tag before a time, which must have been made by us from a source of this kind: an older one
// would be a step back.
func (t *taking) newestOwn(at time.Time) (*tag.Header, error) {
	index, err := tag.ReadIndex(t.Base)
	if err != nil {
		return nil, err
	}
	for _, older := range slices.Backward(index.Tags) {
		if !older.Time.Before(at) {
			continue
		}
		header, ok, err := older.Header()
		switch {
		case err != nil:
			return nil, err
		case !ok || older.Link || header.Source != t.source.Kind():
			return nil, fmt.Errorf("the newest one, %s, was not made from this working copy", older.Name)
		}
		return header, nil
	}
	return nil, errors.New("there is none")
}
