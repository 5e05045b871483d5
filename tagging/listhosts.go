package tagging

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/etch/etchtag/tagging/inventory"
)

// ErrNoLister is the error of Each if no inventory can list its hosts.
var ErrNoLister = errors.New("no inventory can list its hosts")

// Each decides for every host that an inventory can list, and for those in the pins file, each once,
// in the order of their names. Yield gets the decisions that Decide would give, apart from some of their
// notes, until it returns false. They share their steps, which must not be modified.
//
// Each inventory that can list its hosts is asked once for all of them, and their answers are merged as they
// come, so that memory does not grow with the fleet. One that cannot is asked for each host that another
// one lists, which takes its time. An error means that an inventory failed to list its hosts, or listed
// them out of order; a decision that fails is not an error.
func (h *Hosts) Each(ctx context.Context, yield func(*Decision) bool) error {
	if len(h.Rings) == 0 {
		return errors.New("there are no rings")
	}
	d := decider{h, slices.Clone(h.Inventories), h.inspecting()}
	m := merger{pins: h.Pins.All()}
	for i, inv := range d.inventories {
		if lister, ok := inv.(inventory.Lister); ok {
			l := listHosts(ctx, lister)
			defer l.stop()
			m.listings, d.inventories[i] = append(m.listings, l), l
		}
	}
	if len(m.listings) == 0 {
		return ErrNoLister
	}
	for {
		host, more, err := m.host()
		if err != nil || !more {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(d.decide(ctx, host)) {
			return nil
		}
		m.pass(host)
	}
}

// merger goes through the hosts of several listings and of the pins file at once.
type merger struct {
	listings []*listing
	pins     []Pin
}

// host returns the first host that was not passed, if there is one.
func (m *merger) host() (host string, more bool, err error) {
	if len(m.pins) > 0 {
		host, more = m.pins[0].Host, true
	}
	for _, l := range m.listings {
		if l.err != nil {
			return "", false, l.err
		}
		if l.more && (!more || l.host < host) {
			host, more = l.host, true
		}
	}
	return host, more, nil
}

// pass goes on to the hosts after the one given.
func (m *merger) pass(host string) {
	if len(m.pins) > 0 && m.pins[0].Host == host {
		m.pins = m.pins[1:]
	}
	for _, l := range m.listings {
		l.pass(host)
	}
}

// inspecting is inspect, working out once what there is to say of a path, however many hosts are pinned to it.
func (h *Hosts) inspecting() func(path string) (note string, err error) {
	type prospect struct {
		note string
		err  error
	}
	paths := make(map[string]prospect)
	return func(path string) (string, error) {
		p, found := paths[path]
		if !found {
			p.note, p.err = h.inspect(path)
			paths[path] = p
		}
		return p.note, p.err
	}
}

// listing is the place that the listing of an inventory's hosts has come to. It is itself an inventory that
// knows just the host there.
type listing struct {
	lister inventory.Lister
	host   string
	answer inventory.Answer
	more   bool  // there is a host
	err    error // why there cannot be more

	next func() (string, inventory.Answer, bool)
	stop func()
}

var _ inventory.Inventory = (*listing)(nil)

// listHosts begins with the first host.
func listHosts(ctx context.Context, lister inventory.Lister) *listing {
	l := &listing{lister: lister}
	var failed error
	next, stop := iter.Pull2(func(yield func(string, inventory.Answer) bool) {
		failed = lister.Hosts(ctx, yield)
	})
	l.stop = stop
	l.next = func() (string, inventory.Answer, bool) {
		host, a, more := next()
		if failed != nil {
			l.err = fmt.Errorf("list the hosts of inventory %s: %w", lister.Name(), failed)
		}
		return host, a, more
	}
	l.host, l.answer, l.more = l.next()
	return l
}

// pass goes on to the next host if the listing is at the host given.
func (l *listing) pass(host string) {
	if !l.more || l.host != host {
		return
	}
	l.host, l.answer, l.more = l.next()
	if l.more && l.host <= host {
		l.err = fmt.Errorf("list the hosts of inventory %s: %q comes after %q", l.lister.Name(), l.host, host)
	}
}

// Name implements inventory.Inventory.
func (l *listing) Name() string { return l.lister.Name() }

// Lookup implements inventory.Inventory, for the host that the listing is at or one before it.
func (l *listing) Lookup(_ context.Context, host string) (inventory.Answer, error) {
	if !l.more || l.host != host {
		return inventory.Answer{}, nil
	}
	return l.answer, nil
}
