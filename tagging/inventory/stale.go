package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// StaleOptions says which earlier answers may stand in for an inventory that fails, and where they are kept.
type StaleOptions struct {
	Age time.Duration // how old an answer may be; younger ones serve
	ID  string        // tells the inventory's configuration from others: the answers of one are nothing to another

	// Dir is the directory of the cache. It must exist, and may be shared by users: each keeps its answers in
	// a directory of its own there, which Dir must let it make, or somebody must have made for it.
	Dir string

	// Now is the present. It must be the real one even if a decision is made for another time, because an
	// answer is of the moment at which it was given.
	Now func() time.Time

	// Step, if not nil, is called before each operation that changes a file, with a label such as "rename
	// answer". The operation fails with the error that it returns.
	Step func(label string) error
}

// WithStale returns inner with a memory. The last good answer for a host serves when inner fails, while it
// is younger than o.Age, and says so in a note. Without such an answer inner's error stands. To spare the disk
// an answer that inner repeats is recorded anew after a tenth of o.Age only; it can thus be taken for that
// much older than it is.
//
// Answers are recorded for hosts that inner knows; that a host is unknown, or known no more, removes what
// was recorded. An answer that cannot be recorded is given all the same, with a note, and what it
// supersedes is removed, if that is possible. Number and size of the records are bounded. They serve the
// user only who has recorded them: of two processes with the same user either can make up answers for the
// other, of different users only root can.
//
// If inner is a Lister, so is the result. A listing is never made from the records.
func WithStale(inner Inventory, o StaleOptions) Inventory {
	s := &stale{inner: inner, options: o, store: answerStore{dir: o.Dir, shardSize: maxShardSize, step: o.Step}}
	if lister, ok := inner.(Lister); ok {
		return &staleLister{stale: s, lister: lister}
	}
	return s
}

// CacheDir is the directory below dir in which the user with that number keeps answers. It must belong to the user,
// and nobody else may write there.
func CacheDir(dir, uid string) string { return filepath.Join(dir, uid) }

type stale struct {
	inner   Inventory
	options StaleOptions
	store   answerStore
}

// staleLister is stale for inventories that can list their hosts.
type staleLister struct {
	*stale
	lister Lister
}

var _ Lister = (*staleLister)(nil)

// Hosts implements Lister.
func (s *staleLister) Hosts(ctx context.Context, yield func(host string, a Answer) bool) error {
	return s.lister.Hosts(ctx, yield)
}

// Name implements Inventory.
func (s *stale) Name() string { return s.inner.Name() }

// Lookup implements Inventory.
func (s *stale) Lookup(ctx context.Context, host string) (Answer, error) {
	asked := s.options.Now()
	a, err := s.inner.Lookup(ctx, host)
	if err == nil {
		if err := s.remember(host, asked, a); err != nil {
			a.Notes = append(a.Notes[:len(a.Notes):len(a.Notes)], "this answer could not be recorded: "+oneLine(err))
		}
		return a, nil
	}
	if errors.Is(ctx.Err(), context.Canceled) { // nobody wants an answer any more
		return Answer{}, err
	}
	a, recallErr := s.recall(host, err)
	if recallErr != nil {
		return Answer{}, fmt.Errorf("%w; no earlier answer is young enough: %v", err, recallErr)
	}
	return a, nil
}

// remember records a good answer, if that changes anything.
func (s *stale) remember(host string, asked time.Time, a Answer) error {
	id := recordID(s.options.ID, host)
	old, err := s.load(host)
	if !a.Known {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return s.store.remove(id)
	}
	superseded := err == nil && !old.tells(a)
	if age := asked.Sub(old.Time); err == nil && !superseded && age >= 0 && age < s.options.Age/10 {
		return nil
	}
	data, err := newRecord(s.options.ID, host, asked, a).encode()
	if err == nil {
		err = s.store.save(id, data)
	}
	if err != nil && superseded {
		if removeErr := s.store.remove(id); removeErr != nil {
			return fmt.Errorf("%w; and the one before it stays: %v", err, removeErr)
		}
	}
	return err
}

// recall returns the recorded answer for a host if it may stand in for inner, which has failed.
func (s *stale) recall(host string, failure error) (Answer, error) {
	r, err := s.load(host)
	if errors.Is(err, fs.ErrNotExist) {
		return Answer{}, fmt.Errorf("none is recorded (%w)", err)
	}
	if err != nil {
		return Answer{}, err
	}
	age := s.options.Now().Sub(r.Time)
	switch {
	case age < 0:
		return Answer{}, fmt.Errorf("the last one is of %s, which is still to come", r.Time.Format(time.RFC3339))
	case age >= s.options.Age:
		return Answer{}, fmt.Errorf("the last one is %s old, and less than %s is allowed",
			age.Truncate(time.Second), s.options.Age)
	}
	a := r.answer()
	a.Notes = []string{fmt.Sprintf("this was answered %s ago; now: %s", age.Truncate(time.Second), oneLine(failure))}
	return a, nil
}

// load returns what is recorded for a host. The error is fs.ErrNotExist if there is nothing.
func (s *stale) load(host string) (record, error) {
	data, err := s.store.load(recordID(s.options.ID, host))
	if err != nil {
		return record{}, err
	}
	r, err := decodeRecord(data)
	if err == nil && (r.Inventory != s.options.ID || r.Host != host) {
		err = fmt.Errorf("it is that of %q in %q", r.Host, r.Inventory)
	}
	if err != nil {
		return record{}, fmt.Errorf("the record of %q in %s: %w", host, s.options.Dir, err)
	}
	return r, nil
}

// oneLine returns an error's text for a note.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
