package tagstate

import (
	"bytes"
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"
)

// byteOrderMark is what some editors put at the start of a UTF-8 file. Files joined with cat carry
// it in their middle, so that it counts as white space everywhere.
const byteOrderMark = '\uFEFF'

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
		for l := range spans(data) {
			if !l.says() {
				continue
			}
			line := Line{
				Number: l.number,
				Key:    string(l.key.of(data)),
				Value:  string(l.value.of(data)),
				Rest:   string(l.rest.of(data)),
			}
			if !yield(line) {
				return
			}
		}
	}
}

// span is a stretch of a file, as offsets.
type span struct{ start, end int }

func (s span) of(data []byte) []byte { return data[s.start:s.end] }
func (s span) empty() bool           { return s.start == s.end }

// lineSpan tells where a line and its words lie in the file. A word that is not there is an empty
// span at the end of the words before it.
type lineSpan struct {
	number           int
	all              span // the whole line with its end
	key, value, rest span
	comment          bool
}

// says reports whether the line is more than white space or a comment.
func (l lineSpan) says() bool { return !l.comment && !l.key.empty() }

// spans yields every line of data, those that say nothing included: joined they are data. A
// byte-order mark at the very beginning belongs to no line.
func spans(data []byte) iter.Seq[lineSpan] {
	return func(yield func(lineSpan) bool) {
		start := 0
		if bytes.HasPrefix(data, []byte(string(byteOrderMark))) {
			start = utf8.RuneLen(byteOrderMark)
		}
		for number := 1; start < len(data); number++ {
			text := span{start, len(data)}
			if i := bytes.IndexAny(data[start:], "\r\n"); i >= 0 {
				text.end = start + i
			}
			next := text.end + lineEnd(data[text.end:])
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
func split(data []byte, number int, text span, next int) lineSpan {
	l := lineSpan{number: number, all: span{text.start, next}}
	l.key = word(data, text)
	l.value = word(data, span{l.key.end, text.end})
	l.rest = trim(data, span{l.value.end, text.end})
	if l.value.empty() {
		l.value = span{l.key.end, l.key.end}
	}
	if l.rest.empty() {
		l.rest = span{l.value.end, l.value.end}
	}
	l.comment = bytes.HasPrefix(l.key.of(data), []byte("#"))
	return l
}

// word is the first word within s, or an empty span.
func word(data []byte, s span) span {
	s = trim(data, s)
	if i := bytes.IndexFunc(s.of(data), blank); i >= 0 {
		s.end = s.start + i
	}
	return s
}

// trim takes the white space off both ends of s.
func trim(data []byte, s span) span {
	s.start = s.end - len(bytes.TrimLeftFunc(s.of(data), blank))
	s.end = s.start + len(bytes.TrimRightFunc(s.of(data), blank))
	return s
}

func blank(r rune) bool {
	return unicode.IsSpace(r) || r == byteOrderMark
}

// clean makes text fit to stand in one line of a file and to be shown on a terminal: white space and
// control characters become blanks, what is not UTF-8 becomes the replacement character.
func clean(text string) string {
	text = strings.Map(func(r rune) rune { // Map sees bytes that are not UTF-8 as that character
		if unicode.IsControl(r) || blank(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Trim(text, " ")
}
