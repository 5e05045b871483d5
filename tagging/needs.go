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

// Needs says who needs which of the tags at now: rings, which get them or go back to them, people, who pin and keep
// them, and tags that inherit a mark. Pins of inventories are those that ListPins has found.
func (r *Resolver) Needs(now time.Time, listed map[string][]string, kept Kept) Needs {
	n := Needs{By: map[string][]string{}}
	for _, ring := range r.Rings {
		r.addServed(&n, ring, now)
	}
	r.addMarked(&n, now)
	r.addTrees(&n, now)
	for tag, hosts := range r.pinnedTags(listed) {
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
func (r *Resolver) addServed(n *Needs, ring Ring, now time.Time) {
	d := r.RingTag(ring, now)
	if d.Failure != "" {
		n.Unknown = append(n.Unknown, fmt.Sprintf("ring %s gets no tag now: %s", ring.Name, d.Failure))
	} else {
		n.add(d.Tag(), "ring %s gets it now", ring.Name)
		for _, tag := range d.RestsOn {
			n.add(tag, "ring %s would get another tag without it", ring.Name)
		}
	}
	seen := map[string]bool{d.Tag(): true, "": true}
	until := now
	for _, at := range slices.Backward(r.moments(ring, now.Add(-reading), now)) {
		if tag := r.RingTag(ring, at).Tag(); !seen[tag] {
			seen[tag] = true
			n.add(tag, "ring %s got it until %s", ring.Name, formatTime(until))
		}
		until = at
	}
}

// moments returns in their order all moments at which what a ring gets can change: a tag becomes the nominal one or
// comes out of the future, by its name, or it is published or has soaked. Of the time before the first, from, that one
// itself decides.
func (r *Resolver) moments(ring Ring, from, to time.Time) []time.Time {
	moments := []time.Time{from}
	add := func(t time.Time) {
		if t.After(from) && !t.After(to) {
			moments = append(moments, t)
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
	slices.SortFunc(moments, time.Time.Compare)
	return slices.CompactFunc(moments, time.Time.Equal)
}

// addMarked adds the newest tag that is marked good, and those whose marks others inherit.
func (r *Resolver) addMarked(n *Needs, now time.Time) {
	good := false
	inherited := map[string]bool{}
	for _, t := range slices.Backward(r.Index.Tags) {
		state, from := r.State(t)
		if state == tagstate.Good && !good && !t.Time.After(now) {
			good = true
			n.add(t.Name, "the newest marked good")
		}
		if !inherited[from] && r.Index.Find(from) != nil {
			inherited[from] = true
			n.add(from, "%s has the same content and inherits its mark", t.Name)
		}
	}
}

// addTrees adds the tags to go back to: for anybody, and for each ring.
func (r *Resolver) addTrees(n *Needs, now time.Time) {
	notBad := func(_ *tag.Tag, s tagstate.State) bool { return s == tagstate.Good || s == tagstate.None }
	for _, t := range r.newestOfTrees(now, notBad) {
		n.add(t.Name, "the newest of one of the last %d different trees that are not bad", lastTrees)
	}
	rings := map[string][]string{}
	for _, ring := range r.Rings {
		accepted := func(t *tag.Tag, s tagstate.State) bool {
			return r.Cadence.Aligned(t.Time) && notBad(t, s) && (s == tagstate.Good || !ring.RequireGood)
		}
		for _, t := range r.newestOfTrees(r.nominal(ring, now), accepted) {
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
