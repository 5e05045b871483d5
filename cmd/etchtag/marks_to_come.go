package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagstate"
)

// marksToCome is what one file says of hours to come.
type marksToCome struct {
	what string
	undo string // how to take it back
}

// marksToCome tells of marks on hours that are still to come, and how to take them back.
func (s *site) marksToCome(states *tagstate.Set, now time.Time) []marksToCome {
	var by groups
	files := map[string]string{}
	for _, e := range tagging.MarksToCome(states, now) {
		how := fmt.Sprintf("marked %s by %s", term.Printable(cmp.Or(e.Word, "nothing")), e.File)
		by.add(how, e.Tag)
		files[how] = e.File
	}
	var out []marksToCome
	for _, g := range by {
		stretch := term.Some(stretches(g.names, s.Config.Cadence()))
		m := marksToCome{what: fmt.Sprintf("%s to come %s: %s", term.Count(len(g.names), "tag"), g.what, stretch)}
		switch {
		case s.InWorkingCopy(files[g.what]):
			m.undo = "take it back by a commit"
		case len(g.names) == 1:
			m.undo = "etchtag mark clear " + g.names[0]
		default:
			m.undo = fmt.Sprintf("etchtag mark clear --from %s --to %s", g.names[0], g.names[len(g.names)-1])
		}
		out = append(out, m)
	}
	return out
}
