package main

import (
	"cmp"
	"fmt"
	"time"

	"github.com/etch/etchtag/cmd/internal/health"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagstate"
)

// marksToCome tells of marks on hours that are still to come, and how to take them back.
func (s *site) marksToCome(states *tagstate.Set, now time.Time) []health.MarksToCome {
	var by groups
	files := map[string]string{}
	for _, e := range tagging.MarksToCome(states, now) {
		how := fmt.Sprintf("marked %s by %s", term.Printable(cmp.Or(e.Word, "nothing")), e.File)
		by.add(how, e.Tag)
		files[how] = e.File
	}
	var out []health.MarksToCome
	for _, g := range by {
		stretch := term.Some(stretches(g.names, s.Config.Cadence()))
		m := health.MarksToCome{What: fmt.Sprintf("%s to come %s: %s", term.Count(len(g.names), "tag"), g.what, stretch)}
		switch {
		case s.InWorkingCopy(files[g.what]):
			m.Undo = "take it back by a commit"
		case len(g.names) == 1:
			m.Undo = "etchtag mark clear " + g.names[0]
		default:
			m.Undo = fmt.Sprintf("etchtag mark clear --from %s --to %s", g.names[0], g.names[len(g.names)-1])
		}
		out = append(out, m)
	}
	return out
}
