package tagging

import (
	"fmt"
	"sort"
	"time"

	"github.com/etch/etchtag/tagstate"
)

// marks is what a resolver works out once: what was said of which tags, and what follows for others.
type marks struct {
	entries []mark          // of aligned tags, oldest first, whether the tags exist or not
	aligned []*Tag          // the candidates of all decisions, oldest first
	spoiled map[string]*Tag // by tree, the newest tag with that tree that is itself marked bad or badfwd
	notes   []string
}

// mark is a state of a tag.
type mark struct {
	time time.Time
	tagstate.Entry
}

func (r *Resolver) know() *marks {
	r.once.Do(func() {
		m := &r.marks
		for _, e := range r.States.Entries() {
			if t, err := ParseName(e.Tag); err == nil {
				m.entries = append(m.entries, mark{t, e})
			}
		}
		m.spoiled = make(map[string]*Tag)
		for _, t := range r.Index.Tags {
			if r.Cadence.Aligned(t.Time) {
				m.aligned = append(m.aligned, t)
			}
			if s := r.States.Get(t.Name).State; s == tagstate.Bad || s == tagstate.BadFwd {
				m.spoil(t, s)
			}
		}
	})
	return &r.marks
}

// spoil notes that the tree of t, which is marked, is bad under any name.
func (m *marks) spoil(t *Tag, s tagstate.State) {
	header, ok, err := t.Header()
	if err != nil {
		m.notes = append(m.notes, fmt.Sprintf("%s is %s, but which tags have the same content is not known: %v",
			t.Name, s, err))
	}
	if ok {
		m.spoiled[header.Tree] = t
	}
}

// upTo returns the marks of tags not after t.
func (m *marks) upTo(t time.Time) []mark {
	return m.entries[:sort.Search(len(m.entries), func(i int) bool { return m.entries[i].time.After(t) })]
}

// tagsUpTo returns the aligned tags that exist and are not after t.
func (m *marks) tagsUpTo(t time.Time) []*Tag {
	return m.aligned[:sort.Search(len(m.aligned), func(i int) bool { return m.aligned[i].Time.After(t) })]
}

// tagsBetween returns the aligned tags that exist, are after the first time and not after the second.
func (m *marks) tagsBetween(after, upTo time.Time) []*Tag {
	tags := m.tagsUpTo(upTo)
	return tags[min(len(tags), len(m.tagsUpTo(after))):]
}

// judgement is what is known of a tag's state.
type judgement struct {
	state tagstate.State
	from  string         // where it is written, or the tag that it is inherited from
	own   tagstate.Entry // zero if the state is inherited, or if there is none
	err   error          // why it is not known what the tag inherits
}

// judge finds a tag's own state, or else the one that it inherits: the same content is as bad under another
// name. The manifest is read only if there is something to inherit.
func (r *Resolver) judge(t *Tag) judgement {
	if own := r.States.Get(t.Name); own.State != tagstate.None {
		return judgement{state: own.State, from: own.Position.String(), own: own}
	}
	spoiled := r.know().spoiled
	if len(spoiled) == 0 {
		return judgement{}
	}
	header, ok, err := t.Header()
	if err != nil || !ok {
		return judgement{err: err}
	}
	if like := spoiled[header.Tree]; like != nil {
		return judgement{state: r.States.Get(like.Name).State, from: like.Name}
	}
	return judgement{}
}

// against says why a tag so judged is not acceptable, or nothing if it is.
func (j judgement) against(requireGood bool) string {
	switch {
	case j.err != nil:
		return fmt.Sprintf("its manifest cannot be used, so it may have content that is bad: %v", j.err)
	case j.state == tagstate.Unrecognised && j.own.Word == "":
		return "something is said of it, but no state"
	case j.state == tagstate.Unrecognised:
		return quote(j.own.Word) + " is said of it, which is not a state"
	case j.own.State == tagstate.None && j.state != tagstate.None:
		return fmt.Sprintf("it has the same content as %s, which is %s", j.from, j.state)
	case j.state == tagstate.Bad || j.state == tagstate.BadFwd:
		return "it is marked " + string(j.state) + comment(j.own)
	case requireGood && j.state != tagstate.Good:
		return "it is not marked good, which the ring requires"
	}
	return ""
}

func comment(e tagstate.Entry) string {
	if e.Comment == "" {
		return ""
	}
	return " (" + e.Comment + ")"
}

// try tries one candidate.
func (r *Resolver) try(t *Tag, ring Ring, direction Direction, now time.Time) Step {
	j := r.judge(t)
	s := Step{Tag: t.Name, State: j.state, StateFrom: j.from, Why: j.against(ring.RequireGood)}
	if s.Why == "" && direction == Back {
		s.Why = unsoaked(t, ring, now)
	}
	if s.Accepted = s.Why == ""; s.Accepted {
		s.Why = "acceptable"
	}
	return s
}

// unsoaked says why a tag is too fresh for a ring whatever its name says, or nothing if it is not. A tag
// that was made late, or whose update took long, is not handed on early because of its name.
func unsoaked(t *Tag, ring Ring, now time.Time) string {
	header, ok, err := t.Header()
	switch {
	case err != nil:
		return fmt.Sprintf("its manifest cannot be used, so it may be too fresh: %v", err)
	case ok && header.Published.After(now.Add(-ring.Delay)):
		return fmt.Sprintf("it was published at %s, less than %s ago",
			header.Published.UTC().Format("2006-01-02 15:04:05 UTC"), FormatDuration(ring.Delay))
	}
	return "" // without a manifest the name's own time counts, and that is past
}
