package tagging

import "github.com/etch/etchtag/tagstate"

// Effect is what changes when other things are known of the same tags: when people mark them, or when manifests show which
// of them have the same content.
type Effect struct {
	Rings  []RingEffect  // every ring, in their order
	States []StateEffect // the tags with another state than before, oldest first
}

// RingEffect is what a ring gets before and after.
type RingEffect struct{ Before, After *Decision }

// StateEffect is what a tag's state becomes.
type StateEffect struct {
	Tag           string
	Before, After tagstate.State // own or inherited
}

// Compare says what changes from one resolver to another with the same rings, at the same time.
func Compare(before, after *Moment) Effect {
	var e Effect
	for _, ring := range after.Rings {
		e.Rings = append(e.Rings, RingEffect{before.RingTag(ring), after.RingTag(ring)})
	}
	for _, t := range after.Index.Tags {
		change := StateEffect{Tag: t.Name}
		if old := before.Index.Find(t.Name); old != nil {
			change.Before, _ = before.State(old)
		}
		if change.After, _ = after.State(t); change.Before != change.After {
			e.States = append(e.States, change)
		}
	}
	return e
}

// Losers returns the rings that are served before, and not after.
func (e Effect) Losers() []RingEffect {
	var losers []RingEffect
	for _, r := range e.Rings {
		if r.Before.Path != "" && r.After.Path == "" {
			losers = append(losers, r)
		}
	}
	return losers
}
