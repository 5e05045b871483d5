// Package tagging says which hosts get which tag.
//
// Rings divide the fleet by how old a tag must be before a host gets it. A Resolver joins them and the index of the tags
// that exist (package tag) with what people said of the tags (package tagstate). At a Moment it decides for rings, and
// says from which trees hosts may be looked up. Hosts adds pins and inventories (package inventory), which read those
// trees, and decides for hosts. Each decision carries its reasons.
//
// Decisions are pure: they depend on what was read and on the time that the caller gives once, never on the
// clock. Reading needs no lock and no write access. A tag that is marked bad, or that shares its content
// with one that is, is never handed out, nor is a tag of the future; if no tag is left, the decision fails.
package tagging

import (
	"fmt"
	"sync"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// Resolver decides by what was read at one time, and At says for when. Its fields must not change once it was asked; then it
// may be asked from several goroutines.
type Resolver struct {
	Base    tag.Base
	Cadence tag.Cadence
	Rings   Rings
	States  *tagstate.Set // read with Cadence.Valid, so that only aligned tags have states
	Index   *tag.Index

	once sync.Once
	memo marks
}

// State returns a tag's state, its own or the one that it inherits, and where it comes from: the line that
// says so, or the tag that it is inherited from. If the tag's manifest cannot be read, what it inherits is
// not known, and the state is None.
func (r *Resolver) State(t *tag.Tag) (state tagstate.State, from string) {
	j := r.judge(t)
	return j.state, j.from
}

// inspect returns an error if no host can be pinned to path, and a note if the tag there is a bad one.
func (r *Resolver) inspect(path string) (note string, err error) {
	if err := r.Base.CheckPath(path); err != nil {
		return "", err
	}
	if t := r.Index.Find(r.Base.TagOf(path)); t != nil {
		if state, from := r.State(t); state != tagstate.None && state != tagstate.Good {
			note = fmt.Sprintf("%s is %s (%s): a pin holds all the same", t.Name, state, from)
		}
	}
	return note, nil
}

func (r *Resolver) nominal(ring Ring, now time.Time) time.Time {
	return r.Cadence.Floor(now.Add(-ring.Delay))
}
