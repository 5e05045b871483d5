package tagging_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// compare says in words what changes at a time for rings with the delays 0, 1h and 2h: their tags before and after, and
// the states that are not what they were.
func compare(t *testing.T, now string, before, after world) string {
	t.Helper()
	rings := tagging.Rings{{Name: "0h"}, {Name: "1h", Delay: time.Hour}, {Name: "2h", Delay: 2 * time.Hour}}
	was, is := before.resolver(t), after.resolver(t)
	was.Rings, is.Rings = rings, rings
	e := tagging.Compare(was.At(at(now)), is.At(at(now)))
	short := func(d *tagging.Decision) string {
		_, clock, _ := strings.Cut(strings.TrimPrefix(d.Tag(), tag.Prefix), "-")
		if clock == "" {
			return "none"
		}
		return clock
	}
	var words []string
	for _, r := range e.Rings {
		words = append(words, short(r.Before)+">"+short(r.After))
	}
	for _, s := range e.States {
		words = append(words, s.Tag[len(s.Tag)-4:]+":"+string(s.Before)+">"+string(s.After))
	}
	if losers := e.Losers(); len(losers) > 0 {
		words = append(words, "loses")
		for _, r := range losers {
			words = append(words, r.After.Ring)
		}
	}
	return strings.Join(words, " ")
}

func TestCompare(t *testing.T) {
	const three, alike, plain = "0800=a 0900=b 1000=c", "0800=a 0900=a 1000=a", "0800 0900 1000"
	for _, c := range []struct {
		what, tags string
		before     []string // the files
		after      []string
		want       string
	}{
		{"nothing", three, nil, nil, "1000>1000 0900>0900 0800>0800"},
		{"bad", three, nil, []string{"1000 bad"}, "1000>0900 0900>0900 0800>0800 1000:>bad"},
		{"a range, of which one does not exist", three, nil, []string{"0900 bad, 1000 bad, 1100 bad"},
			"1000>0800 0900>0800 0800>0800 0900:>bad 1000:>bad"},
		{"the newest of a quiet weekend", alike, nil, []string{"1000 bad"},
			"1000>none 0900>none 0800>none 0800:>bad 0900:>bad 1000:>bad loses 0h 1h 2h"},
		{"without manifests nothing is known to be alike", plain, nil, []string{"1000 bad"},
			"1000>0900 0900>0900 0800>0800 1000:>bad"},
		{"all", three, nil, []string{"0800 bad, 0900 bad, 1000 bad"},
			"1000>none 0900>none 0800>none 0800:>bad 0900:>bad 1000:>bad loses 0h 1h 2h"},
		{"forward", three, nil, []string{"0800 badfwd"}, "1000>1000 0900>0900 0800>0900 0800:>badfwd"},
		{"forward to nothing", three, nil, []string{"1000 badfwd"},
			"1000>none 0900>0900 0800>0800 1000:>badfwd loses 0h"},
		{"good where another is bad", alike, []string{"1000 bad"}, []string{"1000 good"},
			"none>1000 none>0900 none>0800 0800:bad> 0900:bad> 1000:bad>good"},
		{"clear", alike, []string{"1000 bad"}, []string{""}, "none>1000 none>0900 none>0800 0800:bad> 0900:bad> 1000:bad>"},
		{"clear in one file of two", three, []string{"1000 bad", "1000 bad"}, []string{"1000 bad", ""},
			"0900>0900 0900>0900 0800>0800"},
		{"a ring that gets nothing loses nothing", three, []string{"0800 bad"}, []string{"0800 bad, 0900 bad"},
			"1000>1000 0900>none none>none 0900:>bad loses 1h"},
	} {
		if got := compare(t, "10:30", hourly(c.tags, c.before...), hourly(c.tags, c.after...)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.what, got, c.want)
		}
	}
}

func TestCompareTagsThatAreFoundToBeAlike(t *testing.T) {
	got := compare(t, "10:30", hourly("0800 0900=b 1000", "1000 bad"), hourly("0800=c 0900=b 1000=c", "1000 bad"))
	if want := "0900>0900 0900>0900 0800>none 0800:>bad loses 2h"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestAnEffectIsWhatDecisionsAreBeforeAndAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		before, other := drawWorld(t), drawWorld(t)
		after := before
		after.files = [][]worldMark{before.files[0], other.files[1]}
		was, is := before.resolver(t), after.resolver(t)
		rings := tagging.Rings{drawRing(t), drawRing(t), drawRing(t)}
		was.Rings, is.Rings = rings, rings
		now := drawTime(t, "now")
		e := tagging.Compare(was.At(now), is.At(now))
		losers := 0
		for i, ring := range rings {
			want := [2]answer{newNaive(before).ask(ring, now), newNaive(after).ask(ring, now)}
			got := [2]answer{answerOf(e.Rings[i].Before), answerOf(e.Rings[i].After)}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
				t.Fatalf("ring %+v at %s (-want +got):\n%s", ring, now, diff)
			}
			if want[0].path != "" && want[1].path == "" {
				losers++
			}
		}
		if got := len(e.Losers()); got != losers {
			t.Fatalf("%d rings lose their tag, not %d", got, losers)
		}
		got := map[string]tagging.StateEffect{}
		for _, s := range e.States {
			got[s.Tag] = s
		}
		for _, tag := range before.tags {
			want := [2]string{newNaive(before).word(tag.name), newNaive(after).word(tag.name)}
			s, changed := got[tag.name]
			if changed != (want[0] != want[1]) || changed && (string(s.Before) != want[0] || string(s.After) != want[1]) {
				t.Fatalf("%s changes from %q to %q: %+v", tag.name, want[0], want[1], s)
			}
		}
	})
}

// word is the state of a tag in the words of the real thing. Nobody can mark a name that is not aligned.
func (n naive) word(name string) string {
	switch state := n.state(name); state {
	case "", "good", "bad", "badfwd":
		return state
	}
	return "unrecognised"
}
