package tagging

import (
	"sync"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// Moment is a resolver at one time, which all that is asked of it shares. What a ring gets then is worked out once, however
// many hosts ask. It may be asked from several goroutines.
type Moment struct {
	*Resolver
	now time.Time

	mu    sync.Mutex
	rings map[ringKey]*Decision
}

// ringKey is all of a ring on which its decision depends.
type ringKey struct {
	name        string
	delay       time.Duration
	requireGood bool
}

// At returns the resolver at now.
func (r *Resolver) At(now time.Time) *Moment {
	return &Moment{Resolver: r, now: now, rings: make(map[ringKey]*Decision, len(r.Rings))}
}

// Now returns the time of the moment.
func (m *Moment) Now() time.Time { return m.now }

// RingTag says what a ring gets, whatever single hosts are pinned to. The decision must not be modified.
func (m *Moment) RingTag(ring Ring) *Decision {
	key := ringKey{ring.Name, ring.Delay, ring.RequireGood}
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.rings[key]
	if d == nil {
		d = &Decision{At: m.now}
		m.enter(d, ring)
		d.Notes = append(d.Notes, m.marks().notes...)
		q := question{m, ring}
		q.answer(d)
		m.rings[key] = d
	}
	return d
}

// enter puts a decision's ring down.
func (m *Moment) enter(d *Decision, ring Ring) {
	d.Ring, d.Delay = ring.Name, ring.Delay
	d.Nominal = tag.Name(m.nominal(ring, m.now))
}
