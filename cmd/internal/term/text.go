package term

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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

// Age writes how old something is, in the two largest units.
func Age(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	days, hours, minutes := int(d.Hours())/24, int(d.Hours())%24, int(d.Minutes())%60
	switch {
	case days > 0:
		return fmt.Sprintf("%s%dd%dh", sign, days, hours)
	case hours > 0:
		return fmt.Sprintf("%s%dh%dm", sign, hours, minutes)
	}
	return fmt.Sprintf("%s%dm", sign, minutes)
}

// ShortID shortens a hash to what people compare.
func ShortID(id string) string {
	if len(id) > 12 {
		return id[:12]
	}
	return id
}
