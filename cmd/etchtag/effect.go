package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/urfave/cli/v2"
)

// forceFlag is for what is refused because of what it does.
func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: "force", Usage: "do it even if that is refused for what it does"}
}

// refusal is the error of what is not done because of what it would do.
func refusal(why string) error {
	return fmt.Errorf("refused, and nothing is changed: %s; if that is meant, say --force", why)
}

// groups are names by what is to be said of them, in the order in which that came up.
type groups []group

type group struct {
	what  string
	names []string
}

func (g *groups) add(what, name string) {
	for i := range *g {
		if (*g)[i].what == what {
			(*g)[i].names = append((*g)[i].names, name)
			return
		}
	}
	*g = append(*g, group{what, []string{name}})
}

// stretches writes sorted names shorter: those between which no hour is missing as the first and the last.
func stretches(names []string, cadence tag.Cadence) []string {
	var out []string
	for first := 0; first < len(names); {
		last := first
		for last+1 < len(names) && follows(names[last], names[last+1], cadence) {
			last++
		}
		text := names[first]
		if last > first {
			text += " to " + names[last]
		}
		out, first = append(out, text), last+1
	}
	return out
}

// follows reports whether the second name is the next one after the first.
func follows(first, second string, cadence tag.Cadence) bool {
	t, err := tag.ParseName(first)
	return err == nil && tag.Name(t.Add(cadence.Every())) == second
}

// describeTags says what holds of sorted names, some of which may be missing: one in a line, several by their number, and
// their stretches below.
func describeTags(what string, names []string, missing int, cadence tag.Cadence) string {
	if len(names) == 1 {
		return what + ": " + names[0] + map[int]string{0: "", 1: ", which does not exist"}[missing] + "\n"
	}
	text := fmt.Sprintf("%s: %s", what, term.Count(len(names), "tag"))
	switch missing {
	case 0:
	case len(names):
		text += ", none of which exists"
	case 1:
		text += ", of which 1 does not exist"
	default:
		text += fmt.Sprintf(", of which %s do not exist", tag.FormatCount(int64(missing)))
	}
	const most = 4
	lines := stretches(names, cadence)
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more stretches", more))
	}
	return text + "\n  " + strings.Join(lines, "\n  ") + "\n"
}

// describeEffect says which tags have another state because of what others are, and what each ring gets before and after.
func (a *app) describeEffect(e tagging.Effect, cadence tag.Cadence) string {
	var by groups
	for _, s := range e.States {
		if s.After == tagstate.None {
			by.add("no longer "+string(s.Before), s.Tag)
		} else {
			by.add(string(s.After)+", having the same content", s.Tag)
		}
	}
	var text strings.Builder
	for _, g := range by {
		text.WriteString(describeTags(g.what, g.names, 0, cadence))
	}
	table := term.Columns{W: &text}
	rows := []term.Row{{Cells: []string{"RING", "BEFORE", "AFTER"}, Colour: a.onTerminal(term.Dim)}}
	for _, r := range e.Rings {
		was, is := cmp.Or(r.Before.Tag(), "nothing"), cmp.Or(r.After.Tag(), "nothing")
		cells := term.Row{Cells: []string{term.Printable(r.After.Ring), was, is, describeMove(r.Before, r.After)}}
		switch {
		case was == is:
			cells.Cells[2] = "the same"
		case r.After.Path == "":
			cells.Colour = a.onTerminal(term.Red)
		}
		rows = append(rows, cells)
	}
	for _, r := range rows {
		_ = table.Add(r) // to a text that takes everything
	}
	_ = table.End()
	return text.String()
}

// describeMove says how far a ring goes, if it goes from one tag to another.
func describeMove(before, after *tagging.Decision) string {
	was, err := tag.ParseName(before.Tag())
	is, err2 := tag.ParseName(after.Tag())
	switch {
	case err != nil || err2 != nil || is.Equal(was):
		return ""
	case is.Before(was):
		return tag.FormatDuration(was.Sub(is)) + " back"
	}
	return tag.FormatDuration(is.Sub(was)) + " forward"
}

// describeLosers says which rings would get nothing, and why the first would.
func describeLosers(losers []tagging.RingEffect) string {
	var names []string
	for _, r := range losers {
		names = append(names, term.Printable(r.After.Ring))
	}
	if len(names) == 1 {
		return "ring " + names[0] + " would get nothing"
	}
	return "the rings " + term.Some(names) + " would get nothing"
}
