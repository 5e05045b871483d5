package tagstate

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/etch/etchtag/tagstate/lines"
)

// Change is what to say of a tag.
type Change struct {
	Tag     string
	State   State  // Good, Bad or BadFwd; None takes away whatever the file says
	Comment string // "" leaves the comment of a state that stays, and none at one that changes
}

// Apply returns the contents of a tagstate file with changes made, data itself being left alone.
// Every byte that a change does not concern stays as it is, line ends and comments among them.
//
// A tag that has entries is changed in the last of them, the one that counts, so that a change of
// mind stays where it was written; another tag is added at the end, in the file's own style of line
// ends. To clear a tag removes every line of it. Of several changes to one tag the last counts.
// Comments are made harmless: one line, no control characters, UTF-8. It is an error if valid
// refuses a tag, or a state is not one that can be written, and then nothing is changed.
func Apply(data []byte, changes []Change, valid func(name string) error) ([]byte, error) {
	todo := make(map[string]Change)
	var order []string
	for _, c := range changes {
		if err := c.check(valid); err != nil {
			return nil, err
		}
		if _, again := todo[c.Tag]; !again {
			order = append(order, c.Tag)
		}
		todo[c.Tag] = c
	}

	last := make(map[string]int) // the line that counts, by tag
	for l := range lines.Spans(data) {
		if c, concerned := todo[tagOf(l, data)]; concerned {
			last[c.Tag] = l.Number
		}
	}
	out := rewrite(data, todo, last)
	for _, tag := range order {
		if c := todo[tag]; c.State != None && last[tag] == 0 {
			out = appendLine(out, c, newline(data))
		}
	}
	return out, nil
}

func (c Change) check(valid func(name string) error) error {
	if err := check(c.Tag, valid); err != nil {
		return fmt.Errorf("mark a tag: %w", err)
	}
	switch c.State {
	case None, Good, Bad, BadFwd:
		return nil
	}
	return fmt.Errorf("mark %s: %q is not a state that can be set", c.Tag, c.State)
}

// tag is the tag that a line says something about, if it is one. Whether the name is valid does not
// matter here, because only valid ones are ever looked for.
func tagOf(l lines.LineSpan, data []byte) string {
	if !l.Says() {
		return ""
	}
	return tagName(string(l.Key.Of(data)))
}

// rewrite makes those changes that concern lines of data.
func rewrite(data []byte, todo map[string]Change, last map[string]int) []byte {
	out := make([]byte, 0, len(data)+len(data)/8)
	kept := 0 // data up to here is in out, or meant not to be
	for l := range lines.Spans(data) {
		c, concerned := todo[tagOf(l, data)]
		switch {
		case !concerned:
		case c.State == None:
			out = append(out, data[kept:l.All.Start]...)
			kept = l.All.End
		case last[c.Tag] == l.Number:
			out = append(out, data[kept:l.All.Start]...)
			out = appendChanged(out, data, l, c)
			kept = l.All.End
		}
	}
	return append(out, data[kept:]...)
}

// appendChanged adds line l to out with another state, another comment, or both. The old comment says why the old
// state was set, so it does not outlive that.
func appendChanged(out, data []byte, l lines.LineSpan, c Change) []byte {
	between := func(blank lines.Span, word string) {
		if blank.Empty() {
			out = append(out, ' ')
		}
		out = append(append(out, blank.Of(data)...), word...)
	}
	comment, end := lines.Clean(c.Comment), l.Rest.End
	if comment == "" && state(string(l.Value.Of(data))) == c.State {
		comment = string(l.Rest.Of(data))
	}
	out = append(out, data[l.All.Start:l.Key.End]...)
	between(lines.Span{Start: l.Key.End, End: l.Value.Start}, string(c.State))
	if comment != "" {
		between(lines.Span{Start: l.Value.End, End: l.Rest.Start}, comment)
	}
	return append(out, data[end:l.All.End]...)
}

// appendLine adds an entry for a tag that has none, after finishing a last line that is cut short.
func appendLine(out []byte, c Change, newline string) []byte {
	text := bytes.TrimPrefix(out, []byte(string(lines.ByteOrderMark)))
	if n := len(text); n > 0 && text[n-1] != '\n' && text[n-1] != '\r' {
		out = append(out, newline...)
	}
	out = fmt.Appendf(out, "%s %s", c.Tag, c.State)
	if text := lines.Clean(c.Comment); text != "" {
		out = append(append(out, ' '), text...)
	}
	return append(out, newline...)
}

// newline is the style of line ends of a file: that of its first one, but a lone carriage return
// only if there is nothing else.
func newline(data []byte) string {
	i := slices.Index(data, '\n')
	switch {
	case i > 0 && data[i-1] == '\r':
		return "\r\n"
	case i < 0 && slices.Contains(data, '\r'):
		return "\r"
	}
	return "\n"
}
