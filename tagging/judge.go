package tagging

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// marks is what a resolver works out once: what was said of which tags, and what follows for others.
type marks struct {
	entries []mark                // of aligned tags, oldest first, whether the tags exist or not
	aligned []*tag.Tag            // the candidates of all decisions, oldest first
	spoiled map[string][]*tag.Tag // by tree, the tags with that tree that are themselves marked bad or badfwd, oldest first
	notes   []string
}

// mark is a state of a tag.
type mark struct {
	time time.Time
	tagstate.Entry
}

func (r *Resolver) marks() *marks {
	r.once.Do(func() {
		m := &r.memo
		for _, e := range r.States.Entries() {
			if t, err := tag.ParseName(e.Tag); err == nil {
				m.entries = append(m.entries, mark{t, e})
			}
		}
		m.spoiled = make(map[string][]*tag.Tag)
		for _, t := range r.Index.Tags {
			if r.Cadence.Aligned(t.Time) {
				m.aligned = append(m.aligned, t)
			}
			if s := r.States.Get(t.Name).State; s == tagstate.Bad || s == tagstate.BadFwd {
				m.spoil(t, s)
			}
		}
	})
	return &r.memo
}

// spoil notes that the tree of t, which is marked, is bad under other names too.
func (m *marks) spoil(t *tag.Tag, s tagstate.State) {
	header, ok, err := t.Header()
	if err != nil {
		m.notes = append(m.notes, fmt.Sprintf("%s is %s, but which tags have the same content is not known: %v",
			t.Name, s, err))
	}
	if ok {
		m.spoiled[header.Tree] = append(m.spoiled[header.Tree], t)
	}
}

// upTo returns the marks of tags not after t.
func (m *marks) upTo(t time.Time) []mark {
	return m.entries[:sort.Search(len(m.entries), func(i int) bool { return m.entries[i].time.After(t) })]
}

// badfwdUpTo returns the newest mark badfwd of a tag not after t, or nil.
func (m *marks) badfwdUpTo(t time.Time) *mark {
	marks := m.upTo(t)
	for i := len(marks) - 1; i >= 0; i-- {
		if marks[i].State == tagstate.BadFwd {
			return &marks[i]
		}
	}
	return nil
}

// tagsUpTo returns the aligned tags that exist and are not after t.
func (m *marks) tagsUpTo(t time.Time) []*tag.Tag {
	return m.aligned[:sort.Search(len(m.aligned), func(i int) bool { return m.aligned[i].Time.After(t) })]
}

// tagsBetween returns the aligned tags that exist, are after the first time and not after the second.
func (m *marks) tagsBetween(after, upTo time.Time) []*tag.Tag {
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
func (r *Resolver) judge(t *tag.Tag) judgement {
	if own := r.States.Get(t.Name); own.State != tagstate.None {
		return ownJudgement(own)
	}
	if len(r.marks().spoiled) == 0 {
		return judgement{}
	}
	header, ok, err := t.Header()
	if err != nil || !ok {
		return judgement{err: err}
	}
	return r.inherited(header)
}

func ownJudgement(e tagstate.Entry) judgement {
	return judgement{state: e.State, from: e.Position.String(), own: e}
}

// inherited finds what a tag without a state of its own inherits: badfwd if it can, and from the newest tag that hands that
// on. A tag that was marked already when it was published hands its mark on to later ones only: what rings had before
// must not turn bad because somebody reverted to it.
func (r *Resolver) inherited(heir *tag.Header) (j judgement) {
	for _, t := range slices.Backward(r.marks().spoiled[heir.Tree]) {
		header, _, _ := t.Header() // it was read before
		if header.Marked && !heir.Published.After(header.Published) {
			continue
		}
		switch s := r.States.Get(t.Name).State; {
		case s == tagstate.BadFwd:
			return judgement{state: s, from: t.Name}
		case j.state == tagstate.None:
			j = judgement{state: s, from: t.Name}
		}
	}
	return j
}

// explained says why a tag so judged is not acceptable to any ring, and where that is written.
func (j judgement) explained() string {
	why := j.against(false)
	if j.own.State != tagstate.None {
		why += " (" + j.from + ")"
	}
	return why
}

// against says why a tag so judged is not acceptable, or nothing if it is.
func (j judgement) against(requireGood bool) string {
	switch {
	case j.err != nil:
		return fmt.Sprintf("its manifest cannot be used, so it may have content that is bad: %v", j.err)
	case j.state == tagstate.Unrecognised && j.own.Word == "":
		return "something is said of it, but no state"
	case j.state == tagstate.Unrecognised:
		return tag.Quote(j.own.Word) + " is said of it, which is not a state"
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

// try tries one candidate, which was judged before.
func (q *question) try(t *tag.Tag, j judgement, direction Direction) Step {
	s := Step{Tag: t.Name, State: j.state, StateFrom: j.from, Why: j.against(q.ring.RequireGood)}
	if s.Why == "" {
		delay := q.ring.Delay
		if direction == Forward {
			delay = 0
		}
		s.Why = unsoaked(t, delay, q.now)
	}
	if s.Accepted = s.Why == ""; s.Accepted {
		s.Why = "acceptable"
	}
	return s
}

// unsoaked says why a tag is too fresh for a delay whatever its name says, or nothing if it is not. A tag that was made
// late, or whose update took long, is not handed on early because of its name.
func unsoaked(t *tag.Tag, delay time.Duration, now time.Time) string {
	at, err := published(t)
	switch {
	case err != nil:
		return fmt.Sprintf("its manifest cannot be used, so it may be too fresh: %v", err)
	case at.After(now):
		return "it is published only at " + formatTime(at)
	case at.After(now.Add(-delay)):
		return fmt.Sprintf("it was published at %s, less than %s ago", formatTime(at), tag.FormatDuration(delay))
	}
	return ""
}

// published is when a tag was published. Without a manifest the name's own time counts.
func published(t *tag.Tag) (time.Time, error) {
	header, ok, err := t.Header()
	if err != nil || !ok {
		return t.Time, err
	}
	return header.Published, nil
}

func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
