package tagging

import (
	"slices"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// MarksToCome returns the marks on hours that are still to come, in the order of the hours. Whatever is published then is
// marked already.
func MarksToCome(states *tagstate.Set, now time.Time) []tagstate.Entry {
	present := tag.Name(now)
	return slices.DeleteFunc(states.Entries(), func(e tagstate.Entry) bool { return e.Tag <= present })
}

// BeyondNext returns those of the names that are of hours to come beyond the next one. Who marks them may mean others.
func BeyondNext(names []string, cadence tag.Cadence, now time.Time) []string {
	next := tag.Name(cadence.Floor(now).Add(cadence.Every()))
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name <= next })
}

// Contrary is a tag that has another state than the one that somebody has just written for it.
type Contrary struct {
	Tag   string
	State tagstate.State
	From  string         // the tag that the state is inherited from, if Own is zero
	Own   tagstate.Entry // what another file says, which beats what was written
}

// Contraries returns those of the tags that are in another state than want, in their order. Another file goes on marking such
// a tag; where it was to have no state, it may also inherit one.
func (r *Resolver) Contraries(names []string, want tagstate.State) []Contrary {
	var others []Contrary
	for _, name := range names {
		if e := r.States.Get(name); e.State != want && e.State != tagstate.None {
			others = append(others, Contrary{Tag: name, State: e.State, Own: e})
		} else if t := r.Index.Find(name); t != nil && want == tagstate.None {
			if state, from := r.State(t); state != tagstate.None {
				others = append(others, Contrary{Tag: name, State: state, From: from})
			}
		}
	}
	return others
}
