// Package linestest draws files of marks, as people and accidents write them.
package linestest

import (
	"fmt"
	"regexp"

	"pgregory.net/rapid"
)

var hourly = regexp.MustCompile(`^etchautotag-[0-9]{8}-[0-2][0-9]00$`)

// Valid stands for what the caller knows of names and cadence.
func Valid(name string) error {
	if !hourly.MatchString(name) {
		return fmt.Errorf("%q is not the name of an hourly tag", name)
	}
	return nil
}

// Tag is the tag of an hour of one day.
func Tag(hour int) string { return fmt.Sprintf("etchautotag-20261122-%02d00", hour) }

// DrawFile draws the contents of a file: lines that mean something, broken ones, and plain bytes,
// with all kinds of white space and line ends between them.
func DrawFile(t *rapid.T, label string) []byte {
	word := rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 5), Tag),
		rapid.Map(rapid.IntRange(0, 5), func(h int) string { return "tags/" + Tag(h) }),
		rapid.SampledFrom([]string{"good", "bad", "badfwd", "BAD", "#", "#bad", "tags/", "comment", "\xff\xfe", "é"}),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 4), func(b []byte) string { return string(b) }),
	)
	gap := rapid.SampledFrom([]string{" ", "\t", "\u00a0", "\u2003", "\uFEFF", "\u0085", "  ", "\x00", ""})
	end := rapid.SampledFrom([]string{"\n", "\n", "\r\n", "\r", "\n\n", ""})
	line := rapid.Custom(func(t *rapid.T) string {
		s := ""
		for range rapid.IntRange(0, 4).Draw(t, "words") {
			s += gap.Draw(t, "gap") + word.Draw(t, "word") + rapid.SampledFrom([]string{" ", "\t", ""}).Draw(t, "after")
		}
		return s + end.Draw(t, "end")
	})
	data := rapid.SampledFrom([]string{"", "\uFEFF"}).Draw(t, "mark")
	for _, l := range rapid.SliceOfN(line, 0, 12).Draw(t, label) {
		data += l
	}
	return []byte(data)
}

// Seeds are files such as people really have.
func Seeds() [][]byte {
	return [][]byte{
		nil,
		[]byte(Tag(9) + " bad\n"),
		[]byte("# which tags are good\n\n" + Tag(9) + " good  checked by me\r\n" + "tags/" + Tag(10) + "\tbadfwd"),
		[]byte("\uFEFF" + Tag(9) + "\u00a0BAD \xff\r" + Tag(9) + "\r\r\n"),
		Utf16(Tag(9) + " bad\r\n"),
		[]byte("\x00\x00\x00"),
	}
}

// Utf16 is text as some editors on Windows save it.
func Utf16(text string) []byte {
	data := []byte{0xff, 0xfe}
	for _, r := range text {
		data = append(data, byte(r), byte(r>>8))
	}
	return data
}
