// Package tagging says which hosts get which tag.
//
// Rings divide the fleet by how old a tag must be before a host gets it. The resolver joins them and the index of
// the tags that exist (package tag) with what people said of the tags (package tagstate) and what is known of the hosts
// (package inventory) to a decision that carries its reasons.
//
// Decisions are pure: they depend on what was read and on the time that the caller gives, never on the
// clock. Reading needs no lock and no write access. A tag that is marked bad, or that shares its content
// with one that is, is never handed out, nor is a tag of the future; if no tag is left, the decision fails.
package tagging

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// Resolver decides. It is made from what was read at one moment, and then answers for any host and time. Its
// fields must not change once it was asked; then it may be asked from several goroutines.
type Resolver struct {
	Base        tag.Base
	Cadence     tag.Cadence
	Rings       Rings
	States      *tagstate.Set // read with Cadence.Valid, so that only aligned tags have states
	Index       *tag.Index
	Pins        *Pins
	Inventories []inventory.Inventory // in order: groups are united, the first pin wins

	once  sync.Once
	marks marks
}

// Decide says what a host gets at now: what it is pinned to, or else the tag of its ring. A host whose name
// cannot be one, an inventory that fails, and a pin that cannot be followed are failures of the decision.
func (r *Resolver) Decide(ctx context.Context, host string, now time.Time) *Decision {
	d := decider{
		Resolver:    r,
		inventories: r.Inventories,
		ringTag:     func(ring Ring) *Decision { return r.RingTag(ring, now) },
		inspect:     r.inspect,
	}
	return d.decide(ctx, host, now)
}

// decider decides for hosts, by what does not depend on the host alone.
type decider struct {
	*Resolver
	inventories []inventory.Inventory
	ringTag     func(Ring) *Decision
	inspect     func(path string) (note string, err error)
}

func (r *decider) decide(ctx context.Context, host string, now time.Time) *Decision {
	d := &Decision{Host: strings.ToLower(host), At: now}
	if err := ValidateHost(host); err != nil {
		d.fail(err)
		return d
	}
	if len(r.Rings) == 0 {
		d.fail(errors.New("there are no rings"))
		return d
	}
	known, err := inventory.Merge(ctx, r.inventories, d.Host)
	if err != nil {
		d.fail(err)
		return d
	}
	d.Groups, d.Notes = known.Groups, known.Notes
	if len(r.inventories) > 0 && !known.Known {
		d.note("no inventory knows the host")
	}
	ring, why := r.Rings.Match(d.Host, d.Groups)
	d.RingWhy = why
	r.enter(d, ring)
	if !r.pinned(d, known.Pins) {
		d.take(r.ringTag(ring))
	}
	return d
}

// RingTag says what a ring gets at now, whatever single hosts are pinned to.
func (r *Resolver) RingTag(ring Ring, now time.Time) *Decision {
	d := &Decision{At: now}
	r.enter(d, ring)
	d.Notes = append(d.Notes, r.know().notes...)
	q := question{r, ring, now}
	q.answer(d)
	return d
}

// State returns a tag's state, its own or the one that it inherits, and where it comes from: the line that
// says so, or the tag that it is inherited from. If the tag's manifest cannot be read, what it inherits is
// not known, and the state is None.
func (r *Resolver) State(t *tag.Tag) (state tagstate.State, from string) {
	j := r.judge(t)
	return j.state, j.from
}

// enter puts a decision's ring down.
func (r *Resolver) enter(d *Decision, ring Ring) {
	d.Ring, d.Delay = ring.Name, ring.Delay
	d.Nominal = tag.Name(r.nominal(ring, d.At))
}

func (r *Resolver) nominal(ring Ring, now time.Time) time.Time {
	return r.Cadence.Floor(now.Add(-ring.Delay))
}

// pinned decides by the host's pins, and reports whether one of them decides. The pins file comes before
// the inventories. A bump that does not hold means nothing.
func (r *decider) pinned(d *Decision, more []inventory.Pin) bool {
	var pins []Pin
	if pin, ok := r.Pins.Get(d.Host); ok {
		pins = append(pins, pin)
	}
	for _, pin := range more {
		pins = append(pins, Pin{Host: d.Host, Path: pin.Path, From: pin.From})
	}
	for _, pin := range pins {
		if !pin.IsBump() {
			d.Direction, d.Pin, d.PinFrom = Pinned, pin.Path, pin.From
			r.follow(d, pin, pin.Path)
			return true
		}
		holds, why, err := pin.bumped(d.At, d.Delay)
		if err == nil && !holds {
			d.note(fmt.Sprintf("the bump %s (%s) %s, so it means nothing", pin.Path, pin.From, why))
			continue
		}
		d.Direction, d.Pin, d.PinFrom = Bumped, pin.Path, pin.From
		if err != nil {
			d.fail(fmt.Errorf("the pin %q of %s (%s) cannot be followed: %w", pin.Path, pin.Host, pin.From, err))
		} else {
			r.follow(d, pin, r.Base.TrunkPath())
		}
		return true
	}
	return false
}

// follow decides for the path that a pin means.
func (r *decider) follow(d *Decision, pin Pin, path string) {
	note, err := r.inspect(path)
	if err != nil {
		d.fail(fmt.Errorf("the pin %q of %s (%s) cannot be followed: %w", pin.Path, pin.Host, pin.From, err))
		return
	}
	d.Path = path
	d.note(fmt.Sprintf("the host is pinned to %s (%s)", pin.Path, pin.From))
	if note != "" {
		d.note(note)
	}
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

// take makes the answer for the host's ring the host's own.
func (d *Decision) take(ring *Decision) {
	d.BaseTag, d.BaseWhy, d.RestsOn = ring.BaseTag, ring.BaseWhy, ring.RestsOn
	d.Direction, d.Path = ring.Direction, ring.Path
	d.Err, d.Failure, d.Steps = ring.Err, ring.Failure, ring.Steps
	d.Notes = append(d.Notes, ring.Notes...)
}
