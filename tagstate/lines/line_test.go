package lines_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/etch/etchtag/tagstate/lines"
	"github.com/etch/etchtag/tagstate/lines/linestest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestLines(t *testing.T) {
	type line = lines.Line
	tests := map[string]struct {
		data string
		want []line
	}{
		"nothing":                  {"", nil},
		"blank lines only":         {"\n \t\n\r\n\r", nil},
		"one word":                 {"a", []line{{1, "a", "", ""}}},
		"two words":                {"a b\n", []line{{1, "a", "b", ""}}},
		"comment keeps its blanks": {"a b  c \t d  \n", []line{{1, "a", "b", "c \t d"}}},
		"comment lines":            {"#a b\n  # c d\n#\na b", []line{{4, "a", "b", ""}}},
		"a comment needs a line":   {"a b#c #d", []line{{1, "a", "b#c", "#d"}}},
		"line ends": {"a b\r\nc d\re f\n\r\ng h", []line{
			{1, "a", "b", ""}, {2, "c", "d", ""}, {3, "e", "f", ""}, {5, "g", "h", ""},
		}},
		"carriage returns twice":    {"a b\r\r\nc d", []line{{1, "a", "b", ""}, {3, "c", "d", ""}}},
		"byte-order mark":           {"\uFEFFa b\n", []line{{1, "a", "b", ""}}},
		"mark before a comment":     {"\uFEFF# a b\nc d", []line{{2, "c", "d", ""}}},
		"marks of joined files":     {"a b\n\uFEFFc d\n", []line{{1, "a", "b", ""}, {2, "c", "d", ""}}},
		"only a mark":               {"\uFEFF", nil},
		"Unicode white space":       {"\u2003a\u00a0b\u3000c\u2028d\n", []line{{1, "a", "b", "c\u2028d"}}},
		"vertical tab, form feed":   {"\va\fb\v", []line{{1, "a", "b", ""}}},
		"not UTF-8":                 {"a \xff\xa0 \xfe\n", []line{{1, "a", "\xff\xa0", "\xfe"}}},
		"no white space in Latin-1": {"a\xa0b", []line{{1, "a\xa0b", "", ""}}},
		"NUL":                       {"a\x00b c", []line{{1, "a\x00b", "c", ""}}},
		"no final newline":          {"a b\nc d", []line{{1, "a", "b", ""}, {2, "c", "d", ""}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := slices.Collect(lines.Lines([]byte(test.data)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("Lines(%q) (-want +got):\n%s", test.data, diff)
			}
		})
	}
}

func TestLinesStopsWhenItsReaderDoes(t *testing.T) {
	for line := range lines.Lines([]byte("a\nb\nc\n")) {
		if line.Number > 1 {
			t.Fatalf("went on to %v", line)
		}
		break
	}
}

// naiveLines is the grammar as a regular expression has it.
func naiveLines(data string) (all []lines.Line) {
	for i, text := range regexp.MustCompile("\r\n|\r|\n").Split(data, -1) {
		isBlank := func(r rune) bool { return unicode.Is(unicode.White_Space, r) || r == '\uFEFF' }
		words := strings.FieldsFunc(text, isBlank)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		line := lines.Line{Number: i + 1, Key: words[0]}
		rest := strings.TrimLeftFunc(text, isBlank)[len(words[0]):]
		if len(words) > 1 {
			line.Value = words[1]
			rest = strings.TrimLeftFunc(rest, isBlank)[len(words[1]):]
		}
		line.Rest = strings.TrimFunc(rest, isBlank)
		all = append(all, line)
	}
	return all
}

func checkLines(t interface{ Fatalf(string, ...any) }, data []byte) {
	got := slices.Collect(lines.Lines(data))
	if diff := cmp.Diff(naiveLines(string(data)), got); diff != "" {
		t.Fatalf("Lines(%q) (-naive +got):\n%s", data, diff)
	}
}

func TestLinesAgreesWithANaiveReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkLines(t, linestest.DrawFile(t, "file")) })
}

func FuzzLines(f *testing.F) {
	for _, seed := range linestest.Seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkLines(t, data) })
}
