package tagstate_test

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/etch/etchtag/tagstate/lines/linestest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etch/etchtag/tagstate"
)

func TestApply(t *testing.T) {
	type change = tagstate.Change
	a, b := linestest.Tag(1), linestest.Tag(2)
	tests := map[string]struct {
		old     string
		changes []change
		want    string
	}{
		"new file":           {"", []change{{a, bad, ""}}, a + " bad\n"},
		"new with a comment": {"", []change{{a, bad, " why  not "}}, a + " bad why  not\n"},
		"several, in their order": {
			"# x\n", []change{{b, bad, ""}, {a, good, ""}},
			"# x\n" + b + " bad\n" + a + " good\n",
		},
		"no final newline":          {"# x", []change{{a, bad, ""}}, "# x\n" + a + " bad\n"},
		"no final newline, CRLF":    {"# x\r\n# y", []change{{a, bad, ""}}, "# x\r\n# y\r\n" + a + " bad\r\n"},
		"lone carriage returns":     {"# x\r# y", []change{{a, bad, ""}}, "# x\r# y\r" + a + " bad\r"},
		"ends in a carriage return": {"# x\r", []change{{a, bad, ""}}, "# x\r" + a + " bad\r"},
		"an empty line, CRLF":       {"\r\n", []change{{a, bad, ""}}, "\r\n" + a + " bad\r\n"},
		"a stray carriage return":   {"# x\r# y\n", []change{{a, bad, ""}}, "# x\r# y\n" + a + " bad\n"},
		"ends in white space":       {"# x\n  ", []change{{a, bad, ""}}, "# x\n  \n" + a + " bad\n"},
		"byte-order mark":           {"\uFEFF", []change{{a, bad, ""}}, "\uFEFF" + a + " bad\n"},
		"mark on a cleared line":    {"\uFEFF" + a + " bad\n", []change{{a, none, ""}}, "\uFEFF"},
		"change in place": {
			"#\n\t" + a + "  bad\twhy \n" + b + " bad\n", []change{{a, badfwd, ""}},
			"#\n\t" + a + "  badfwd \n" + b + " bad\n",
		},
		"the same again": {"\t" + a + "  bad\twhy \n", []change{{a, bad, ""}}, "\t" + a + "  bad\twhy \n"},
		"the same for another reason": {
			"\t" + a + "  bad\twhy \n", []change{{a, bad, "because"}},
			"\t" + a + "  bad\tbecause \n",
		},
		"change with a comment": {
			a + "  bad\twhy \r\n" + b + " bad\n", []change{{a, good, "fixed"}},
			a + "  good\tfixed \r\n" + b + " bad\n",
		},
		"a comment where none was": {a + "  bad \n", []change{{a, good, "fixed"}}, a + "  good fixed \n"},
		"below tags":               {"tags/" + a + " bad\n", []change{{a, good, ""}}, "tags/" + a + " good\n"},
		"no state yet":             {a + " \n", []change{{a, bad, ""}}, a + " bad \n"},
		"no state, with a comment": {a, []change{{a, bad, "why"}}, a + " bad why"},
		"unrecognised":             {a + " BAD  why\n", []change{{a, bad, ""}}, a + " bad\n"},
		"the last of several": {
			a + " good\n" + a + " bad\n# end", []change{{a, badfwd, ""}},
			a + " good\n" + a + " badfwd\n# end",
		},
		"clear all of several": {
			a + " good\n#\n" + a + " bad x\ntags/" + a + " oops\n", []change{{a, none, ""}},
			"#\n",
		},
		"clear what is not there": {"# x", []change{{a, none, "why"}}, "# x"},
		"clear the last line":     {"# x\n" + a + " bad", []change{{a, none, ""}}, "# x\n"},
		"twice: the last counts": {
			"", []change{{a, bad, "x"}, {b, bad, ""}, {a, good, ""}},
			a + " good\n" + b + " bad\n",
		},
		"a comment of several lines": {
			"", []change{{a, bad, "one\r\ntwo\x1b\u0085three\xff"}},
			a + " bad one  two  three\uFFFD\n",
		},
		"a comment full of lines": {
			a + " bad x\n", []change{{a, bad, "\n" + b + " good\n"}},
			a + " bad " + b + " good\n",
		},
		"nothing to do": {"x\r\n\xff", nil, "x\r\n\xff"},
		"other bytes stay": {
			"\xff\xfe\x00\n" + a + " bad \xff\n\x00", []change{{a, bad, ""}, {b, bad, ""}},
			"\xff\xfe\x00\n" + a + " bad \xff\n\x00\n" + b + " bad\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			old := []byte(test.old)
			got, err := tagstate.Apply(old, test.changes, linestest.Valid)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != test.want {
				t.Errorf("\n got %q\nwant %q", got, test.want)
			}
			if string(old) != test.old {
				t.Errorf("the old contents were modified: %q", old)
			}
		})
	}
}

func TestApplyRefuses(t *testing.T) {
	for name, c := range map[string]tagstate.Change{
		"a name that is no tag":   {Tag: "trunk", State: bad},
		"a name with a prefix":    {Tag: "tags/" + linestest.Tag(1), State: bad},
		"a name with a newline":   {Tag: linestest.Tag(1) + "\n", State: bad},
		"a state of ours":         {Tag: linestest.Tag(1), State: unrecognised},
		"a state that is not one": {Tag: linestest.Tag(1), State: "BAD"},
		"clearing what is no tag": {Tag: "trunk", State: none},
	} {
		got, err := tagstate.Apply(nil, []tagstate.Change{{Tag: linestest.Tag(2), State: bad}, c}, linestest.Valid)
		if err == nil || got != nil {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func drawChanges(t *rapid.T) []tagstate.Change {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tagstate.Change {
		return tagstate.Change{
			Tag:     linestest.Tag(rapid.IntRange(0, 7).Draw(t, "hour")),
			State:   rapid.SampledFrom([]tagstate.State{none, good, bad, badfwd}).Draw(t, "state"),
			Comment: rapid.OneOf(rapid.Just(""), rapid.String(), rapid.Just("a\nb\xff")).Draw(t, "comment"),
		}
	}), 0, 6).Draw(t, "changes")
}

// checkApply holds the promises of Apply for any file and any changes.
func checkApply(t interface{ Fatalf(string, ...any) }, old []byte, changes []tagstate.Change) {
	got, err := tagstate.Apply(old, changes, linestest.Valid)
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}

	was, is := tagstate.Parse("", old, linestest.Valid), tagstate.Parse("", got, linestest.Valid)
	for tag, e := range is.Entries {
		given := slices.ContainsFunc(changes, func(c tagstate.Change) bool { return c.Tag == tag && c.Comment != "" })
		if before := was.Entries[tag]; !given && e.State != before.State && e.Comment != "" {
			t.Fatalf("%q became %q: %s went from %s to %s, because %q", old, got, tag, before.State, e.State, e.Comment)
		}
	}
	want, changed := states(was), make(map[string]bool)
	for _, c := range changes {
		changed[c.Tag] = true
		want[c.Tag] = c.State
		if c.State == none {
			delete(want, c.Tag)
		}
	}
	if diff := cmp.Diff(want, states(is)); diff != "" {
		t.Fatalf("%q became %q: states (-want +got):\n%s", old, got, diff)
	}
	before, after := others(old, changed), others(got, changed)
	if strings.Contains(strings.ReplaceAll(string(old), "\r\n", ""), "\r") {
		// A lone carriage return may come to stand before a newline, and is then one line end with it.
		text := strings.NewReplacer("\r", "", "\n", "")
		before, after = text.Replace(before), text.Replace(after)
	}
	if rest, ok := strings.CutPrefix(after, before); !ok || !slices.Contains(newlines, rest) {
		t.Fatalf("%q became %q: lines of others were\n%q, are\n%q", old, got, before, after)
	}
	again, err := tagstate.Apply(got, changes, linestest.Valid)
	if err != nil || !bytes.Equal(again, got) {
		t.Fatalf("%q became %q, and the same again %q, %v", old, got, again, err)
	}
}

// newlines are what may be added to a file whose last line is cut short.
var newlines = []string{"", "\n", "\r\n", "\r"}

var wholeLine = regexp.MustCompile(`[^\r\n]*(\r\n|\r|\n|$)`)

// others are the lines of a file that say nothing of the tags that are changed, byte for byte but
// for byte-order marks before them, and found as simply as can be.
func others(data []byte, changed map[string]bool) (out string) {
	for _, line := range wholeLine.FindAllString(string(data), -1) {
		words := strings.FieldsFunc(line, func(r rune) bool { return unicode.IsSpace(r) || r == '\uFEFF' })
		if len(words) == 0 || !changed[strings.TrimPrefix(words[0], "tags/")] {
			out += strings.TrimLeft(line, "\uFEFF")
		}
	}
	return out
}

func TestApplyChangesWhatItMeansToAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkApply(t, linestest.DrawFile(t, "file"), drawChanges(t)) })
}

func TestClearAfterSetOfANewTagGivesTheOldBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := linestest.DrawFile(t, "file")
		name := linestest.Tag(rapid.IntRange(8, 12).Draw(t, "hour")) // drawFile has no such tags
		comment := rapid.String().Draw(t, "comment")
		set, err := tagstate.Apply(old, []tagstate.Change{{Tag: name, State: bad, Comment: comment}}, linestest.Valid)
		if err != nil {
			t.Fatal(err)
		}
		cleared, err := tagstate.Apply(set, []tagstate.Change{{Tag: name}}, linestest.Valid)
		if err != nil {
			t.Fatal(err)
		}
		rest, ok := bytes.CutPrefix(cleared, old)
		if !ok || !slices.Contains(newlines, string(rest)) {
			t.Fatalf("%q became %q, then %q", old, set, cleared)
		}
	})
}

func TestACommentIsReadAsItWasSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		comment := rapid.String().Draw(t, "comment")
		data, err := tagstate.Apply(nil, []tagstate.Change{{Tag: linestest.Tag(1), State: bad, Comment: comment}}, linestest.Valid)
		if err != nil {
			t.Fatal(err)
		}
		got := tagstate.Parse("", data, linestest.Valid).Entries[linestest.Tag(1)].Comment
		keep := func(s string) string { // all but white space and control characters
			return strings.Map(func(r rune) rune {
				if unicode.IsSpace(r) || unicode.IsControl(r) || r == '\uFEFF' {
					return -1
				}
				return r
			}, s)
		}
		if keep(got) != keep(comment) || strings.ContainsFunc(got, unicode.IsControl) {
			t.Fatalf("set %q, read %q", comment, got)
		}
	})
}

func FuzzApply(f *testing.F) {
	for _, seed := range linestest.Seeds() {
		f.Add(seed, uint8(9), uint8(1), "why")
	}
	f.Fuzz(func(t *testing.T, data []byte, hour, state uint8, comment string) {
		s := []tagstate.State{none, good, bad, badfwd}[state%4]
		checkApply(t, data, []tagstate.Change{{Tag: linestest.Tag(int(hour % 24)), State: s, Comment: comment}})
	})
}
