package tagging

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

const (
	// reading is how long a client may go on reading a tag that it was told of.
	reading = time.Hour
	// lastTrees is how many distinct trees always keep a tag to go back to.
	lastTrees = 3
)

// Needs is who needs which tags.
type Needs struct {
	By      map[string][]string // why a tag is needed, by its name
	Unknown []string            // what could not be found out, so that any tag may be needed
}

// Needs says who needs which of the tags: rings, which get them or go back to them, people, who pin and keep them, and tags
// that inherit a mark. Pins of inventories, listed, are those that ListPins has found.
func (m *Moment) Needs(listed map[string][]string, pins *Pins, kept Kept) Needs {
	n := Needs{By: map[string][]string{}}
	for _, ring := range m.Rings {
		m.addServed(&n, ring)
	}
	m.addMarked(&n)
	m.addTrees(&n)
	for tag, hosts := range m.pinnedTags(listed, pins) {
		if len(hosts) == 1 {
			n.add(tag, "1 host is pinned to it: %s", hosts[0])
		} else {
			n.add(tag, "%d hosts are pinned to it, such as %s", len(hosts), hosts[0])
		}
	}
	for tag, reason := range kept.Reasons {
		n.add(tag, "kept: %s", reason)
	}
	if len(kept.Warnings) > 0 {
		n.Unknown = append(n.Unknown, "what is kept is not known: "+kept.Warnings[0].String())
	}
	return n
}

func (n *Needs) add(tag, format string, args ...any) {
	n.By[tag] = append(n.By[tag], fmt.Sprintf(format, args...))
}

// addServed adds what a ring gets, and what it got while those may still be reading who were told so. It goes by the marks
// of now: nobody knows which there were before.
func (m *Moment) addServed(n *Needs, ring Ring) {
	d := m.RingTag(ring)
	if d.Failure != "" {
		n.Unknown = append(n.Unknown, fmt.Sprintf("ring %s gets no tag now: %s", ring.Name, d.Failure))
	} else {
		n.add(d.Tag(), "ring %s gets it now", ring.Name)
		for _, tag := range d.RestsOn {
			n.add(tag, "ring %s would get another tag without it", ring.Name)
		}
	}
	seen := map[string]bool{d.Tag(): true, "": true}
	until := m.now
	for _, at := range slices.Backward(m.turns(ring, m.now.Add(-reading), m.now)) {
		if tag := m.At(at).RingTag(ring).Tag(); !seen[tag] {
			seen[tag] = true
			n.add(tag, "ring %s got it until %s", ring.Name, formatTime(until))
		}
		until = at
	}
}

// turns returns in their order all times at which what a ring gets can change: a tag becomes the nominal one or
// comes out of the future, by its name, or it is published or has soaked. Of the time before the first, from, that one
// itself decides.
func (r *Resolver) turns(ring Ring, from, to time.Time) []time.Time {
	turns := []time.Time{from}
	add := func(t time.Time) {
		if t.After(from) && !t.After(to) {
			turns = append(turns, t)
		}
	}
	for _, delay := range []time.Duration{0, ring.Delay} {
		for t := r.Cadence.Floor(to.Add(-delay)); t.Add(delay).After(from); t = t.Add(-r.Cadence.Every()) {
			add(t.Add(delay))
		}
		for _, t := range r.Index.Tags {
			if header, ok, err := t.Header(); ok && err == nil {
				add(header.Published.Add(delay))
			}
		}
	}
	slices.SortFunc(turns, time.Time.Compare)
	return slices.CompactFunc(turns, time.Time.Equal)
}

// addMarked adds the newest tag that is marked good, and those whose marks others inherit.
func (m *Moment) addMarked(n *Needs) {
	good := false
	inherited := map[string]bool{}
	for _, t := range slices.Backward(m.Index.Tags) {
		state, from := m.State(t)
		if state == tagstate.Good && !good && !t.Time.After(m.now) {
			good = true
			n.add(t.Name, "the newest marked good")
		}
		if !inherited[from] && m.Index.Find(from) != nil {
			inherited[from] = true
			n.add(from, "%s has the same content and inherits its mark", t.Name)
		}
	}
}

// addTrees adds the tags to go back to: for anybody, and for each ring.
func (m *Moment) addTrees(n *Needs) {
	notBad := func(_ *tag.Tag, s tagstate.State) bool { return s == tagstate.Good || s == tagstate.None }
	for _, t := range m.newestOfTrees(m.now, notBad) {
		n.add(t.Name, "the newest of one of the last %d different trees that are not bad", lastTrees)
	}
	rings := map[string][]string{}
	for _, ring := range m.Rings {
		accepted := func(t *tag.Tag, s tagstate.State) bool {
			return m.Cadence.Aligned(t.Time) && notBad(t, s) && (s == tagstate.Good || !ring.RequireGood)
		}
		for _, t := range m.newestOfTrees(m.nominal(ring, m.now), accepted) {
			rings[t.Name] = append(rings[t.Name], ring.Name)
		}
	}
	for tag, who := range rings {
		n.add(tag, "the newest of one of the last %d different trees for %s", lastTrees, strings.Join(who, ", "))
	}
}

// newestOfTrees returns the newest tags, up to a time, of the last distinct trees that are acceptable. A tag without a
// manifest is unlike any other; of one whose manifest cannot be used it is not known whether it is acceptable.
func (r *Resolver) newestOfTrees(upTo time.Time, acceptable func(*tag.Tag, tagstate.State) bool) (newest []*tag.Tag) {
	seen := map[string]bool{}
	for _, t := range slices.Backward(r.Index.Tags) {
		header, ok, err := t.Header()
		tree := t.Name
		if ok {
			tree = header.Tree
		}
		if state, _ := r.State(t); err != nil || t.Time.After(upTo) || seen[tree] || !acceptable(t, state) {
			continue
		}
		seen[tree] = true
		if newest = append(newest, t); len(newest) == lastTrees {
			break
		}
	}
	return newest
}
