package tagstate_test

import (
	"fmt"
	"testing"

	"github.com/etch/etchtag/tagstate/lines/linestest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etch/etchtag/tagstate"
)

func TestLost(t *testing.T) {
	t.Parallel()
	one, two := linestest.Tag(1), linestest.Tag(2)
	for _, c := range []struct {
		what, before, edited, after string // %[1]s and %[2]s are the tags
		want                        []tagstate.Change
	}{
		{"a mark that nobody else has", "", "%[1]s bad broken", "", []tagstate.Change{{Tag: one, State: bad, Comment: "broken"}}},
		{"one that upstream has by now", "", "%[1]s bad broken", "%[1]s bad", nil},
		{"one that upstream has taken back", "%[1]s bad", "%[1]s bad", "", nil},
		{"one that was changed here and there", "%[1]s good", "%[1]s badfwd", "%[1]s bad", []tagstate.Change{{Tag: one, State: badfwd}}},
		{"one that was taken back here", "%[1]s bad", "", "", nil},
		{"in the order of the tags", "", "%[2]s bad\n%[1]s good", "", []tagstate.Change{{Tag: one, State: good}, {Tag: two, State: bad}}},
		{"a word that is not a state", "", "%[1]s BAD at night\n%[2]s", "",
			[]tagstate.Change{{Tag: one, State: bad, Comment: `was "BAD" at night`}, {Tag: two, State: bad, Comment: `was ""`}}},
	} {
		parse := func(text string) *tagstate.File {
			if text != "" {
				text = fmt.Sprintf(text+"%.0[1]s%.0[2]s", one, two)
			}
			return tagstate.Parse("f", []byte(text), linestest.Valid)
		}
		if diff := cmp.Diff(c.want, tagstate.Lost(parse(c.before), parse(c.edited), parse(c.after))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

func TestWhatWouldBeLostCanBeWrittenAndIsNotLostAgain(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string) *tagstate.File { return file(name, rapid.SampledFrom(words).Draw(t, name)) }
		before, edited, after := draw("before"), draw("edited"), draw("after")
		data, err := tagstate.Apply(nil, tagstate.Lost(before, edited, after), linestest.Valid)
		if err != nil {
			t.Fatal(err)
		}
		if again := tagstate.Lost(before, tagstate.Parse("own", data, linestest.Valid), tagstate.Parse("own", data, linestest.Valid)); again != nil {
			t.Fatalf("lost again: %+v", again)
		}
	})
}
