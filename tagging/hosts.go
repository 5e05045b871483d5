package tagging

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etch/etchtag/tagging/inventory"
)

// Hosts decides for hosts at a moment.
type Hosts struct {
	*Moment
	Pins        *Pins
	Inventories []inventory.Inventory // in order: groups are united, the first pin wins
}

// Decide says what a host gets: what it is pinned to, or else the tag of its ring. A host whose name cannot be one, an
// inventory that fails, and a pin that cannot be followed are failures of the decision.
func (h *Hosts) Decide(ctx context.Context, host string) *Decision {
	d := decider{h, h.Inventories, h.inspect}
	return d.decide(ctx, host)
}

// decider decides for hosts, by what does not depend on the host alone.
type decider struct {
	*Hosts
	inventories []inventory.Inventory
	inspect     func(path string) (note string, err error)
}

func (h *decider) decide(ctx context.Context, host string) *Decision {
	d := &Decision{Host: strings.ToLower(host), At: h.now}
	if err := ValidateHost(host); err != nil {
		d.fail(err)
		return d
	}
	if len(h.Rings) == 0 {
		d.fail(errors.New("there are no rings"))
		return d
	}
	said, err := inventory.Merge(ctx, h.inventories, d.Host)
	if err != nil {
		d.fail(err)
		return d
	}
	d.Groups, d.Notes = said.Groups, said.Notes
	if len(h.inventories) > 0 && !said.Known {
		d.note("no inventory knows the host")
	}
	ring, why := h.Rings.Match(d.Host, d.Groups)
	d.RingWhy = why
	h.enter(d, ring)
	if !h.pinned(d, said.Pins) {
		d.take(h.RingTag(ring))
	}
	return d
}

// pinned decides by the host's pins, and reports whether one of them decides. The pins file comes before
// the inventories. A bump that does not hold means nothing.
func (h *decider) pinned(d *Decision, more []inventory.Pin) bool {
	var pins []Pin
	if pin, ok := h.Pins.Get(d.Host); ok {
		pins = append(pins, pin)
	}
	for _, pin := range more {
		pins = append(pins, Pin{Host: d.Host, Path: pin.Path, From: pin.From})
	}
	for _, pin := range pins {
		if !pin.IsBump() {
			d.Direction, d.Pin, d.PinFrom = Pinned, pin.Path, pin.From
			h.follow(d, pin, pin.Path)
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
			h.follow(d, pin, h.Base.TrunkPath())
		}
		return true
	}
	return false
}

// follow decides for the path that a pin means.
func (h *decider) follow(d *Decision, pin Pin, path string) {
	note, err := h.inspect(path)
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

// take makes the answer for the host's ring the host's own.
func (d *Decision) take(ring *Decision) {
	d.BaseTag, d.BaseWhy, d.RestsOn = ring.BaseTag, ring.BaseWhy, ring.RestsOn
	d.Direction, d.Path = ring.Direction, ring.Path
	d.Err, d.Failure, d.Steps = ring.Err, ring.Failure, ring.Steps
	d.Notes = append(d.Notes, ring.Notes...)
}
