// Package lines reads and edits small files of lines that people edit as well: a key, a word, and text for people.
//
// Reading forgives line ends, byte-order marks and bytes that are not UTF-8. An edit keeps every byte that it does not
// mean to change, holds a lock, and replaces the file at once, so that readers see the old one or the new one, whole.
// Marks (package tagstate), pins and kept tags (package tagging) are such files.
package lines

import (
	"bytes"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ByteOrderMark is what some editors put at the start of a UTF-8 file. Files joined with cat carry
// it in their middle, so that it counts as white space everywhere.
const ByteOrderMark = '\uFEFF'

// Line is one line that says something: two words, and a rest that is a comment.
type Line struct {
	Number int    // counted from 1, empty lines and comments included
	Key    string // the first word, never empty
	Value  string // the second word, "" if there is none
	Rest   string // what follows, its inner white space as it was written
}

// Lines yields the lines of data that say something. It is the grammar of all our small files:
// words are separated by any Unicode white space, a line whose first character is '#' is a
// comment, and "\n", "\r\n" and a lone "\r" end a line. The words are given byte for byte, whatever
// their encoding.
func Lines(data []byte) iter.Seq[Line] {
	return func(yield func(Line) bool) {
		for l := range Spans(data) {
			if !l.Says() {
				continue
			}
			line := Line{
				Number: l.Number,
				Key:    string(l.Key.Of(data)),
				Value:  string(l.Value.Of(data)),
				Rest:   string(l.Rest.Of(data)),
			}
			if !yield(line) {
				return
			}
		}
	}
}

// Span is a stretch of a file, as offsets.
type Span struct{ Start, End int }

// Of returns the bytes of data in the stretch.
func (s Span) Of(data []byte) []byte { return data[s.Start:s.End] }

// Empty reports whether there is nothing in the stretch.
func (s Span) Empty() bool { return s.Start == s.End }

// LineSpan tells where a line and its words lie in the file. A word that is not there is an empty
// span at the end of the words before it.
type LineSpan struct {
	Number           int
	All              Span // the whole line with its end
	Key, Value, Rest Span
	comment          bool
}

// Says reports whether the line is more than white space or a comment.
func (l LineSpan) Says() bool { return !l.comment && !l.Key.Empty() }

// Spans yields every line of data, those that say nothing included: joined they are data. A
// byte-order mark at the very beginning belongs to no line.
func Spans(data []byte) iter.Seq[LineSpan] {
	return func(yield func(LineSpan) bool) {
		start := 0
		if bytes.HasPrefix(data, []byte(string(ByteOrderMark))) {
			start = utf8.RuneLen(ByteOrderMark)
		}
		for number := 1; start < len(data); number++ {
			text := Span{start, len(data)}
			if i := bytes.IndexAny(data[start:], "\r\n"); i >= 0 {
				text.End = start + i
			}
			next := text.End + lineEnd(data[text.End:])
			if !yield(split(data, number, text, next)) {
				return
			}
			start = next
		}
	}
}

// lineEnd is the length of the line end with which b begins.
func lineEnd(b []byte) int {
	switch {
	case len(b) == 0:
		return 0
	case bytes.HasPrefix(b, []byte("\r\n")):
		return 2
	}
	return 1
}

// split finds the words of the line whose text, without its end, is given.
func split(data []byte, number int, text Span, next int) LineSpan {
	l := LineSpan{Number: number, All: Span{text.Start, next}}
	l.Key = word(data, text)
	l.Value = word(data, Span{l.Key.End, text.End})
	l.Rest = trim(data, Span{l.Value.End, text.End})
	if l.Value.Empty() {
		l.Value = Span{l.Key.End, l.Key.End}
	}
	if l.Rest.Empty() {
		l.Rest = Span{l.Value.End, l.Value.End}
	}
	l.comment = bytes.HasPrefix(l.Key.Of(data), []byte("#"))
	return l
}

// word is the first word within s, or an empty span.
func word(data []byte, s Span) Span {
	s = trim(data, s)
	if i := bytes.IndexFunc(s.Of(data), blank); i >= 0 {
		s.End = s.Start + i
	}
	return s
}

// trim takes the white space off both ends of s.
func trim(data []byte, s Span) Span {
	s.Start = s.End - len(bytes.TrimLeftFunc(s.Of(data), blank))
	s.End = s.Start + len(bytes.TrimRightFunc(s.Of(data), blank))
	return s
}

func blank(r rune) bool {
	return unicode.IsSpace(r) || r == ByteOrderMark
}

// Clean makes text fit to stand in one line of a file and to be shown on a terminal: white space and
// control characters become blanks, what is not UTF-8 becomes the replacement character.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune { // Map sees bytes that are not UTF-8 as that character
		if unicode.IsControl(r) || blank(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Trim(text, " ")
}
