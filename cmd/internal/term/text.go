package term

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/etch/etchtag/tagging/tag"
)

// Count writes a number with its noun.
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return tag.FormatCount(int64(n)) + " " + noun + "s"
}

// Some names the first of many things.
func Some(names []string) string {
	const most = 3
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// OneLine keeps the text of a finding on one line, and free of what would garble a terminal.
func OneLine(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return '?'
		}
		return r
	}, strings.Join(words, " "))
}

// Printable is text from outside as it may be shown on a terminal.
func Printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}

// visible shows what a terminal would obey instead of showing it: messages quote servers and commands.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}
