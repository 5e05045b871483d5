package tagstate_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagstate/lines"
	"github.com/etch/etchtag/tagstate/lines/linestest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etch/etchtag/tagstate"
)

const (
	none         = tagstate.None
	good         = tagstate.Good
	bad          = tagstate.Bad
	badfwd       = tagstate.BadFwd
	unrecognised = tagstate.Unrecognised
)

func TestParse(t *testing.T) {
	at := func(line int) tagstate.Position { return tagstate.Position{File: "tagstate", Line: line} }
	entry := func(hour int, s tagstate.State, word, comment string, line int) tagstate.Entry {
		return tagstate.Entry{Tag: linestest.Tag(hour), State: s, Word: word, Comment: comment, Position: at(line)}
	}
	one := func(s tagstate.State, word, comment string, line int) []tagstate.Entry {
		return []tagstate.Entry{entry(1, s, word, comment, line)}
	}
	noState := func(word string) []string {
		return []string{fmt.Sprintf("tagstate:1: %q is not a state (good, bad or badfwd, in lower case), "+
			"so %s is not acceptable", word, linestest.Tag(1))}
	}
	noTag := func(name string) []string {
		return []string{fmt.Sprintf("tagstate:1: %q is not the name of an hourly tag", name)}
	}
	tests := map[string]struct {
		data     string
		want     []tagstate.Entry
		warnings []string
	}{
		"nothing": {"", nil, nil},
		"the three states": {
			linestest.Tag(1) + " good\n" + linestest.Tag(2) + " bad\n" + linestest.Tag(3) + " badfwd\n",
			append(one(good, "good", "", 1), entry(2, bad, "bad", "", 2), entry(3, badfwd, "badfwd", "", 3)),
			nil,
		},
		"below tags":        {"tags/" + linestest.Tag(1) + " bad", one(bad, "bad", "", 1), nil},
		"comment":           {linestest.Tag(1) + "\tbad  ticket 7,  see log\r\n", one(bad, "bad", "ticket 7,  see log", 1), nil},
		"comment of bytes":  {linestest.Tag(1) + " bad caf\xe9\x1b[2J\tx", one(bad, "bad", "caf\uFFFD [2J x", 1), nil},
		"the last one wins": {linestest.Tag(1) + " bad\n\n" + linestest.Tag(1) + " good why\n", one(good, "good", "why", 3), nil},
		"after a lone CR":   {"# comment\r" + linestest.Tag(1) + " bad\n", one(bad, "bad", "", 2), nil},
		"upper case":        {linestest.Tag(1) + " BAD\n", one(unrecognised, "BAD", "", 1), noState("BAD")},
		"word of ours":      {linestest.Tag(1) + " unrecognised\n", one(unrecognised, "unrecognised", "", 1), noState("unrecognised")},
		"no state": {"\n" + linestest.Tag(1) + "\n", one(unrecognised, "", "", 2), []string{
			"tagstate:2: " + linestest.Tag(1) + " has no state (good, bad or badfwd), so it is not acceptable"}},
		"a word, taken back": {linestest.Tag(1) + " oops\n" + linestest.Tag(1) + " good\n", one(good, "good", "", 2), noState("oops")},
		"not a tag":          {"all bad\n", nil, noTag("all")},
		"not aligned":        {"etchautotag-20261122-0930 bad\n", nil, noTag("etchautotag-20261122-0930")},
		"tags twice":         {"tags/tags/" + linestest.Tag(1) + " bad\n", nil, noTag("tags/" + linestest.Tag(1))},
		"Latin-1 blank":      {linestest.Tag(1) + "\xa0bad\n", nil, noTag(linestest.Tag(1) + "\xa0bad")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := tagstate.Parse("tagstate", []byte(test.data), linestest.Valid)
			want := make(map[string]tagstate.Entry)
			for _, e := range test.want {
				want[e.Tag] = e
			}
			if diff := cmp.Diff(want, f.Entries); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			var warnings []string
			for _, w := range f.Warnings {
				warnings = append(warnings, w.String())
			}
			if diff := cmp.Diff(test.warnings, warnings); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFileInUTF16IsWarnedOfAndNotSilent(t *testing.T) {
	for name, data := range map[string][]byte{
		"little-endian":        linestest.Utf16(linestest.Tag(1) + " bad\r\n"),
		"without mark":         linestest.Utf16(linestest.Tag(1) + " bad\n")[2:],
		"comment, then a mark": linestest.Utf16("# comment\n" + linestest.Tag(1) + " bad\n")[2:],
	} {
		if f := tagstate.Parse("tagstate", data, linestest.Valid); len(f.Warnings) == 0 || len(f.Entries) != 0 {
			t.Errorf("%s: warnings %v, entries %v", name, f.Warnings, f.Entries)
		}
	}
}

func TestATruncatedEntryIsNeverGood(t *testing.T) {
	whole := linestest.Tag(1) + " badfwd"
	for n := range len(whole) {
		f := tagstate.Parse("tagstate", []byte(whole[:n]), linestest.Valid)
		if e := f.Entries[linestest.Tag(1)]; e.State == good || e.State == none && n > 0 && len(f.Warnings) == 0 {
			t.Errorf("%q: state %q, warnings %v", whole[:n], e.State, f.Warnings)
		}
	}
}

func TestTenMegabytes(t *testing.T) {
	for name, line := range map[string]string{
		"comments": "# nothing to see here\n", "junk": "a line of words that is no entry\n", "zeros": "\x00",
	} {
		t.Run(name, func(t *testing.T) {
			data := bytes.Repeat([]byte(line), 10<<20/len(line))
			data = append(data, "\n"+linestest.Tag(1)+" bad the last line counts\n"...)
			f := tagstate.Parse("tagstate", data, linestest.Valid)
			if f.Entries[linestest.Tag(1)].State != bad {
				t.Errorf("the mark at the end is %q", f.Entries[linestest.Tag(1)].State)
			}
			if n := len(f.Warnings); n > 101 {
				t.Errorf("%d warnings", n)
			}
			for _, w := range f.Warnings {
				if len(w.Message) > 1000 {
					t.Errorf("a warning of %d bytes", len(w.Message))
				}
			}
		})
	}
}

func TestTheFirstWarningsAreGivenAndThatThereAreMore(t *testing.T) {
	f := tagstate.Parse("tagstate", []byte(strings.Repeat("x\n", 150)), linestest.Valid)
	if len(f.Warnings) != 101 {
		t.Fatalf("%d warnings", len(f.Warnings))
	}
	if got, want := f.Warnings[100].String(), "tagstate:101: there are more warnings from this line on"; got != want {
		t.Errorf("the last one is %q, want %q", got, want)
	}
}

// checkParse holds what is true of any file: what is said of a tag is the last thing said, in those
// words, and every line is either an entry or a warning.
func checkParse(t interface{ Fatalf(string, ...any) }, data []byte) {
	want, wrong := make(map[string]tagstate.State), 0
	for line := range lines.Lines(data) {
		name, _ := strings.CutPrefix(line.Key, "tags/")
		switch {
		case linestest.Valid(name) != nil:
			wrong++
		case line.Value == "good" || line.Value == "bad" || line.Value == "badfwd":
			want[name] = tagstate.State(line.Value)
		default:
			wrong++
			want[name] = unrecognised
		}
	}
	f := tagstate.Parse("tagstate", data, linestest.Valid)
	if diff := cmp.Diff(want, states(f)); diff != "" {
		t.Fatalf("%q (-want +got):\n%s", data, diff)
	}
	if len(f.Warnings) != min(wrong, 101) {
		t.Fatalf("%q: %d lines are wrong, warnings are %v", data, wrong, f.Warnings)
	}
}

func states(f *tagstate.File) map[string]tagstate.State {
	m := make(map[string]tagstate.State)
	for name, e := range f.Entries {
		m[name] = e.State
	}
	return m
}

func TestEveryLineIsAnEntryOrAWarning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkParse(t, linestest.DrawFile(t, "file")) })
}

func FuzzParse(f *testing.F) {
	for _, seed := range linestest.Seeds() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkParse(t, data) })
}

func TestLongNamesAreShortenedInWarnings(t *testing.T) {
	f := tagstate.Parse("tagstate", []byte(strings.Repeat("é", 200)+" bad"), linestest.Valid)
	want := fmt.Sprintf("tagstate:1: %q... is too long for the name of a tag", strings.Repeat("é", 30))
	if len(f.Warnings) != 1 || f.Warnings[0].String() != want {
		t.Errorf("got %v, want %s", f.Warnings, want)
	}
}
