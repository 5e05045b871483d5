package tagging_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/etch/etchtag/tagstate"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// at is a time of 22 November 2026.
func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func name(clock string) string { return tag.Name(at(clock)) }

// hourly is a world of tags written as "0900", "0930=tree" or "0900=tree@09:20", the time of publication, with an
// exclamation mark if they were marked by then, and of marks written as "0900 bad".
func hourly(tags string, files ...string) world {
	w := world{every: time.Hour}
	for word := range strings.FieldsSeq(tags) {
		word, marked := strings.CutSuffix(word, "!")
		word, published, late := strings.Cut(word, "@")
		clock, tree, _ := strings.Cut(word, "=")
		clock = clock[:2] + ":" + clock[2:]
		if !late {
			published = clock
		}
		w.tags = append(w.tags, worldTag{name(clock), tree, at(published), marked})
	}
	for _, file := range files {
		var marks []worldMark
		for line := range strings.SplitSeq(file, ",") {
			if clock, word, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
				marks = append(marks, worldMark{name(clock[:2] + ":" + clock[2:]), word})
			}
		}
		w.files = append(w.files, marks)
	}
	return w
}

// brief is a decision in a line: direction, base tag, the candidates, and in the end the tag.
func brief(d *tagging.Decision) string {
	short := func(tag string) string { return strings.TrimPrefix(tag, "etchautotag-20261122-") }
	words := []string{string(d.Direction), "from", short(d.BaseTag) + ":"}
	for _, s := range d.Steps {
		words = append(words, short(s.Tag))
	}
	if d.Path == "" {
		words = append(words, "none")
	}
	return strings.Join(words, " ")
}

func TestRingTag(t *testing.T) {
	dev, after1, after2 := tagging.Ring{}, tagging.Ring{Delay: time.Hour}, tagging.Ring{Delay: 2 * time.Hour}
	after90m := tagging.Ring{Delay: 90 * time.Minute}
	after3, after4 := tagging.Ring{Delay: 3 * time.Hour}, tagging.Ring{Delay: 4 * time.Hour}
	strict, strict2 := tagging.Ring{RequireGood: true}, tagging.Ring{RequireGood: true, Delay: 2 * time.Hour}
	for _, c := range []struct {
		what  string
		world world
		ring  tagging.Ring
		now   string
		want  string
	}{
		{"this hour", hourly("0800 0900 1000"), dev, "10:59", "back from 1000: 1000"},
		{"an hour ago", hourly("0800 0900 1000"), after1, "10:00", "back from 0900: 0900"},
		{"just before the hour", hourly("0800 0900 1000"), after1, "09:59", "back from 0800: 0800"},
		{"a delay that is no whole hour", hourly("0800 0900 1000"), after90m, "10:29", "back from 0800: 0800"},
		{"a gap", hourly("0700 1000"), after1, "10:30", "back from 0700: 0700"},
		{"tagging has stopped", hourly("0100"), dev, "23:59", "back from 0100: 0100"},
		{"no tags", hourly(""), dev, "10:00", "back from : none"},
		{"only later ones", hourly("1100"), dev, "10:59", "back from : none"},
		{"unaligned ones", hourly("0900 0930"), dev, "10:00", "back from 0900: 0900"},

		{"bad", hourly("0800 0900 1000", "1000 bad, 0900 bad"), dev, "10:30", "back from 0800: 1000 0900 0800"},
		{"all bad", hourly("0900 1000", "1000 bad, 0900 bad"), dev, "10:30", "back from : 1000 0900 none"},
		{"good", hourly("0900 1000", "1000 good"), dev, "10:30", "back from 1000: 1000"},
		{"unrecognised", hourly("0900 1000", "1000 BAD"), dev, "10:30", "back from 0900: 1000 0900"},
		{"the later of two files", hourly("0900 1000 1100", "1000 bad", "1000 badfwd"),
			after1, "11:30", "forward from 1000: 1100"},
		{"bad beats good", hourly("0900 1000", "1000 bad", "1000 good"),
			dev, "10:30", "back from 0900: 1000 0900"},

		{"badfwd", hourly("0900 1000 1100 1200", "1000 badfwd"), after2, "12:30", "forward from 1000: 1100"},
		{"badfwd, then bad", hourly("0900 1000 1100 1200", "1000 badfwd, 1100 bad"),
			after2, "12:30", "forward from 1000: 1100 1200"},
		{"badfwd is the newest", hourly("0900 1000", "1000 badfwd"), dev, "10:30", "forward from 1000: none"},
		{"badfwd, the next is of the future", hourly("0900 1000 1100", "1000 badfwd"),
			dev, "10:30", "forward from 1000: none"},
		{"badfwd that does not exist", hourly("0900 1100", "1000 badfwd"),
			after1, "11:30", "forward from 1000: 1100"},
		{"a mark of the future", hourly("0900 1000", "1100 badfwd"), dev, "10:30", "back from 1000: 1000"},
		{"forward, a tag need not soak", hourly("1000=a 1100=b@12:20", "1000 badfwd"),
			after2, "12:30", "forward from 1000: 1100"},
		{"forward, a tag must be published", hourly("1000=a 1100=b@12:40", "1000 badfwd"),
			after2, "12:30", "forward from 1000: 1100 none"},

		{"a gap hides no badfwd", hourly("0800 0900 1200", "0900 badfwd"), after1, "12:30", "forward from 0900: 1200"},
		{"a state without a tag hides no badfwd", hourly("0900 1100", "0900 badfwd, 1000 good"),
			after1, "11:30", "forward from 0900: 1100"},
		{"a late tag hides no badfwd", hourly("0900=a 1000=b 1100=c@11:40", "1000 badfwd"),
			after1, "12:30", "forward from 1000: 1100"},
		{"a bad tag hides no badfwd", hourly("0800 0900 1000 1100 1200", "0900 badfwd, 1000 bad, 1100 bad"),
			after1, "12:30", "forward from 0900: 1000 1100 1200"},
		{"a soaked tag hides badfwd", hourly("0900=a 1000=b 1100=c@11:40", "1000 badfwd"),
			after1, "12:40", "back from 1100: 1100"},
		{"good hides badfwd", hourly("0900 1000 1100", "0900 badfwd, 1000 good"), after1, "11:30", "back from 1000: 1000"},

		{"forward, out of order", hourly("0900=a 1000=b@11:30 1100=c 1200=d", "0900 badfwd"),
			after2, "11:45", "forward from 0900: 1000 1100"},
		{"forward, twice out of order", hourly("0800=a 0900=b@11:40 1000=c@11:30 1100=d", "0800 badfwd"),
			after2, "11:45", "forward from 0800: 0900 1000 1100"},
		{"forward, published at once", hourly("0900=a 1000=b@11:30 1100=c@11:30", "0900 badfwd"),
			after2, "11:45", "forward from 0900: 1100 1000"},
		{"forward, the later name has a manifest", hourly("0900=a 1000 1100=c@11:01", "0900 badfwd"),
			after2, "11:45", "forward from 0900: 1000"},
		{"forward, the earlier name has a manifest", hourly("0900=a 1000=b@11:30 1100", "0900 badfwd"),
			after2, "11:45", "forward from 0900: 1000 1100"},
		{"forward, published by a clock that was wrong", hourly("0900=a 1000=b@10:20 1100=c@09:00", "0900 badfwd"),
			after2, "11:45", "forward from 0900: 1000"},

		{"bad after badfwd and nothing newer", hourly("0900 1000 1100", "1000 badfwd, 1100 bad"),
			dev, "11:30", "back from 1000: 1100 1000 0900"},
		{"bad after badfwd, neither exists", hourly("0900", "1000 badfwd, 1100 bad"),
			dev, "11:30", "back from 1000: 0900"},
		{"inherited bad after badfwd", hourly("0800=x 0900=a 1000=b 1100=x", "0800 bad, 1000 badfwd"),
			dev, "11:30", "back from 1000: 1100 1000 0900"},
		{"bad after badfwd, one not yet published", hourly("0800 0900 1000 1100=a@11:40", "0900 badfwd, 1000 bad"),
			dev, "11:30", "back from 0900: 1000 1100 0900 0800"},
		{"bad after badfwd and nothing older", hourly("0900 1000", "0900 badfwd, 1000 bad"),
			dev, "10:30", "back from 0900: 1000 0900 none"},
		{"bad after badfwd, another badfwd before", hourly("0700 0800 0900 1000 1100",
			"0800 badfwd, 0900 bad, 1000 badfwd, 1100 bad"),
			dev, "11:30", "back from 1000: 1100 1000 0900 0800 0700"},
		{"bad after badfwd, a late tag before", hourly("0600 0700 0800=a@11:30 0900 1000", "0900 badfwd, 1000 bad"),
			after4, "14:10", "back from 0900: 1000 0900 0800 0700"},
		{"bad after badfwd, a late tag that the ring has", hourly("0600 0700 0800=a@11:30 0900 1000",
			"0700 badfwd, 0900 badfwd, 1000 bad"), after4, "14:10", "back from 0900: 1000 0900 0800"},
		{"unrecognised after badfwd", hourly("0900 1000 1100", "1000 badfwd, 1100 BAD"),
			dev, "11:30", "forward from 1000: 1100 none"},

		{"published late", hourly("0900=a 1000=b@10:20"), after1, "11:19", "back from 0900: 1000 0900"},
		{"published late, and soaked", hourly("0900=a 1000=b@10:20"), after1, "11:20", "back from 1000: 1000"},
		{"not yet published", hourly("0900=a 1000=b@10:20"), dev, "10:19", "back from 0900: 1000 0900"},

		{"inherits bad", hourly("0800=a 0900=b 1000=b", "0900 bad"),
			dev, "10:30", "back from 0800: 1000 0900 0800"},
		{"inherits from a newer tag", hourly("0800=a 0900=b 1000=b", "1000 bad"),
			after1, "10:30", "back from 0800: 0900 0800"},
		{"inherits badfwd", hourly("0800=b 0900=b 1000=c", "0800 badfwd"),
			after1, "10:30", "forward from 0900: 1000"},
		{"inherits badfwd, but has not soaked", hourly("0800=b 0900=b@10:20 1000=c", "0800 badfwd"),
			after1, "10:30", "forward from 0800: 0900 1000"},
		{"its own state comes first", hourly("0800=a 0900=b 1000=b", "0900 bad, 1000 good"),
			dev, "10:30", "back from 1000: 1000"},
		{"good is not inherited", hourly("0900=b 1000=b", "0900 good"),
			strict, "10:30", "back from 0900: 1000 0900"},
		{"badfwd is inherited before bad", hourly("0700=b 0800=b 0900=b 1000=c", "0700 badfwd, 0800 bad"),
			after1, "10:30", "forward from 0900: 1000"},
		{"nothing is inherited without manifests", hourly("0900 1000", "0900 bad"),
			dev, "10:30", "back from 1000: 1000"},
		{"marked before it was published: not older ones", hourly("0800=a 0900=b 1000=a! 1100=a", "1000 bad"),
			after3, "11:30", "back from 0800: 0800"},
		{"marked before it was published: newer ones", hourly("0800=a 0900=b 1000=a! 1100=a", "1000 bad"),
			dev, "11:30", "back from 0900: 1100 1000 0900"},
		{"marked before it was published: not at once", hourly("0900=b 1000=a@10:05 1100=a@10:05!", "1100 bad"),
			dev, "11:30", "back from 1000: 1100 1000"},
		{"marked before it was published, one of two", hourly("0800=a 0900=a! 1000=c 1100=a", "0800 bad, 0900 badfwd"),
			dev, "11:30", "forward from 1100: none"},
		{"marked before, and since cleared", hourly("0900=a! 1000=a", ""), dev, "10:30", "back from 1000: 1000"},

		{"good required", hourly("0800 0900 1000", "0800 good, 1000 BAD"),
			strict, "10:30", "back from 0800: 1000 0900 0800"},
		{"good required, none good", hourly("0900 1000"), strict, "10:30", "back from : 1000 0900 none"},
		{"good required, forward", hourly("0900 1000 1100", "0900 badfwd, 1100 good"),
			strict2, "11:30", "forward from 0900: 1000 1100"},
		{"good required, what is not good hides no badfwd", hourly("0800 0900 1000", "0800 badfwd"),
			strict, "10:30", "forward from 0800: 0900 1000 none"},
	} {
		d := c.world.resolver(t).At(at(c.now)).RingTag(c.ring)
		if got := brief(d); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
		if naive := newNaive(c.world).ask(c.ring, at(c.now)); naive != answerOf(d) {
			t.Errorf("%s: the naive resolver says %+v", c.what, naive)
		}
	}
}

// Three bad tags, and the fix made late: a ring that was sent forward to it keeps it.
func TestAFixThatIsMadeLateIsKept(t *testing.T) {
	r := hourly("0700=a 0800=b 0900=b 1000=b 1100=c@11:40 1200=c@12:01 1300=d@13:01", "0800 badfwd, 0900 badfwd, 1000 badfwd").
		resolver(t)
	ring := tagging.Ring{Delay: time.Hour}
	for _, c := range [][2]string{{"11:39", ""}, {"11:40", "11:00"}, {"12:00", "11:00"}, {"12:39", "11:00"}, {"13:00", "11:00"},
		{"13:01", "12:00"}, {"14:00", "12:00"}, {"14:01", "13:00"}} {
		d := r.At(at(c[0])).RingTag(ring)
		if c[1] == "" && d.Path != "" || c[1] != "" && d.Tag() != name(c[1]) {
			t.Errorf("at %s: %s, want %s", c[0], brief(d), c[1])
		}
	}
}

func TestStepsSayWhy(t *testing.T) {
	w := hourly("0500=e 0600=a@08:30 0700=b 0800=c 0900=b 1000=d 1100 1200=f",
		"0700 bad, 1000 BAD", "0800 badfwd", "1100 good")
	w.files[0][0].word = "bad breaks ntp"
	d := w.resolver(t).At(at("14:00")).RingTag(tagging.Ring{Name: "qa", Delay: 2 * time.Hour, RequireGood: true})
	type step struct {
		tag      string
		state    tagstate.State
		from     string
		why      string
		accepted bool
	}
	var got []step
	for _, s := range d.Steps {
		got = append(got, step{s.Tag, s.State, s.StateFrom, s.Why, s.Accepted})
	}
	want := []step{
		{name("12:00"), "", "", "it is not marked good, which the ring requires", false},
		{name("11:00"), "good", "file2:1", "acceptable", true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}

	d = w.resolver(t).At(at("10:20")).RingTag(tagging.Ring{Name: "qa", Delay: 2 * time.Hour})
	if d.BaseTag != name("08:00") || d.Direction != tagging.Forward {
		t.Errorf("%s", brief(d))
	}
	w.files[1] = nil
	w.files[0] = append(w.files[0], worldMark{name("08:00"), ""})
	d = w.resolver(t).At(at("12:00")).RingTag(tagging.Ring{Name: "qa", Delay: 2 * time.Hour})
	got = nil
	for _, s := range d.Steps {
		got = append(got, step{s.Tag, s.State, s.StateFrom, s.Why, s.Accepted})
	}
	want = []step{
		{name("10:00"), "unrecognised", "file0:2", `"BAD" is said of it, which is not a state`, false},
		{name("09:00"), "bad", name("07:00"), "it has the same content as " + name("07:00") + ", which is bad", false},
		{name("08:00"), "unrecognised", "file0:3", "something is said of it, but no state", false},
		{name("07:00"), "bad", "file0:1", "it is marked bad (breaks ntp)", false},
		{name("06:00"), "", "", "acceptable", true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("steps (-want +got):\n%s", diff)
	}

	for clock, want := range map[string]string{
		"08:40": "it was published at 2026-11-22 08:30:00 UTC, less than 2h ago",
		"08:10": "it is published only at 2026-11-22 08:30:00 UTC",
	} {
		d = w.resolver(t).At(at(clock)).RingTag(tagging.Ring{Name: "qa", Delay: 2 * time.Hour})
		if why := d.Steps[0].Why; why != want {
			t.Errorf("at %s 0600 is passed over because %q", clock, why)
		}
	}
}

func TestADecisionSaysWhyItGoesForward(t *testing.T) {
	w := hourly("0800=b 0900=b 1000=c@11:30 1100=d@11:02", "0800 badfwd breaks ntp")
	d := w.resolver(t).At(at("11:45")).RingTag(tagging.Ring{Delay: 3 * time.Hour})
	if want := "it is marked badfwd (breaks ntp) (file0:1)"; d.BaseTag != name("08:00") || d.BaseWhy != want {
		t.Errorf("the base tag is %s, for %q", d.BaseTag, d.BaseWhy)
	}
	d = w.resolver(t).At(at("11:45")).RingTag(tagging.Ring{Delay: 2 * time.Hour})
	if want := "it has the same content as " + name("08:00") + ", which is badfwd"; d.BaseTag != name("09:00") || d.BaseWhy != want {
		t.Errorf("the base tag is %s, for %q", d.BaseTag, d.BaseWhy)
	}
	if want := "it was published at 2026-11-22 11:30:00 UTC; " + name("11:00") + " came first"; d.Steps[0].Why != want {
		t.Errorf("%s, and 1000 is passed over because %q", brief(d), d.Steps[0].Why)
	}
	if d = w.resolver(t).At(at("11:45")).RingTag(tagging.Ring{}); d.BaseTag != d.Tag() || d.BaseWhy != "" {
		t.Errorf("%s, for %q", brief(d), d.BaseWhy)
	}
	d = hourly("0700 0800 0900", "0800 badfwd, 0900 bad").resolver(t).At(at("09:30")).RingTag(tagging.Ring{})
	want := "no acceptable tag is after the base tag, and " + name("09:00") + " is bad: so back after all"
	if got := strings.Join(d.Notes, "\n"); got != want {
		t.Errorf("notes are %q", got)
	}
}

func TestADecisionRestsOnTagsThatInheritWhatItFollowsFrom(t *testing.T) {
	const tags = "0400=f 0500=a 0600=b 0700=b 0800=a"
	for _, c := range []struct{ marks, now, want, restsOn string }{
		{"", "08:30", "back from 0700: 0700", ""},
		{"0500 badfwd", "06:30", "forward from 0500: 0600", ""},
		{"0600 badfwd", "08:30", "forward from 0700: 0800", "07:00"},
		{"0500 bad, 0600 badfwd", "09:30", "back from 0700: 0800 0700 0600 0500 0400", "07:00 08:00"},
		{"0500 bad, 0600 badfwd, 0800 bad", "09:30", "back from 0700: 0800 0700 0600 0500 0400", "07:00"},
	} {
		d := hourly(tags, c.marks).resolver(t).At(at(c.now)).RingTag(tagging.Ring{Delay: time.Hour})
		var want []string
		for clock := range strings.FieldsSeq(c.restsOn) {
			want = append(want, name(clock))
		}
		if diff := cmp.Diff(want, d.RestsOn); brief(d) != c.want || diff != "" {
			t.Errorf("%s: %s, resting on (-want +got):\n%s", c.marks, brief(d), diff)
		}
	}
}

func TestFailuresSayWhatWasLookedFor(t *testing.T) {
	for _, c := range []struct {
		world world
		parts []string
	}{
		{hourly(""), []string{"ring qa", "there is none up to the nominal one, " + name("10:00")}},
		{hourly("1000", "1000 bad"), []string{"ring qa", "the only one", name("10:00"), "it is marked bad"}},
		{hourly("0900 1000", "0900 bad, 1000 bad"), []string{"there are 2", name("10:00"), "it is marked bad"}},
		{hourly("1000", "1000 badfwd"), []string{"there is none after the base tag, " + name("10:00") + ", which is badfwd"}},
		{hourly("0900 1000", "0900 badfwd, 1000 bad"), []string{"there are 2 after the base tag, " + name("09:00") +
			", which is badfwd, or before it, and the first to be tried is " + name("10:00") + ": it is marked bad"}},
	} {
		d := c.world.resolver(t).At(at("10:30")).RingTag(tagging.Ring{Name: "qa"})
		if !errors.Is(d.Err, tagging.ErrNoTag) || d.Failure != d.Err.Error() {
			t.Errorf("error %v, failure %q", d.Err, d.Failure)
		}
		for _, part := range c.parts {
			if !strings.Contains(d.Failure, part) {
				t.Errorf("%q does not say %q", d.Failure, part)
			}
		}
	}
}

// withHeaders is an index whose tags' headers cannot be read, for those that broken names, and count how often
// they are asked for.
func withHeaders(t *testing.T, w world, reads map[string]int, broken ...string) *tagging.Resolver {
	r := w.resolver(t)
	var tags []*tag.Tag
	for _, wt := range w.tags {
		tag, err := tag.New(wt.name, false, func() (*tag.Header, bool, error) {
			reads[wt.name]++
			for _, clock := range broken {
				if name(clock) == wt.name {
					return nil, false, errors.New("no manifest but rubbish")
				}
			}
			return wt.header(), true, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tags = append(tags, tag)
	}
	r.Index = tag.NewIndex(tags...)
	return r
}

func TestATagWhoseManifestCannotBeReadIsPassedOver(t *testing.T) {
	w := hourly("0800=a 0900=b 1000=c 1100=d", "0900 bad, 0800 badfwd")
	for _, c := range []struct {
		now, broken, want, why string
	}{
		{"11:00", "11:00", "back from 1000: 1100 1000", "may have content that is bad"},
		{"08:30", "10:00", "forward from 0800: none", ""},
		{"08:30", "08:00", "forward from 0800: none", ""}, // its own state needs no manifest
		{"09:30", "10:00", "back from 0800: 0900 0800 none", ""},
	} {
		d := withHeaders(t, w, map[string]int{}, c.broken).At(at(c.now)).RingTag(tagging.Ring{})
		if got := brief(d); got != c.want || c.why != "" && !strings.Contains(d.Steps[0].Why, c.why) {
			t.Errorf("at %s, %s broken: %s, want %s (%+v)", c.now, c.broken, got, c.want, d.Steps)
		}
	}
	w.files = nil
	d := withHeaders(t, w, map[string]int{}, "11:00").At(at("11:00")).RingTag(tagging.Ring{})
	if got := brief(d); got != "back from 1000: 1100 1000" ||
		!strings.Contains(d.Steps[0].Why, "may be too fresh: no manifest but rubbish") {
		t.Errorf("without marks: %s, %+v", got, d.Steps)
	}
}

func TestGoingForwardATagWhoseManifestCannotBeReadIsPassedOver(t *testing.T) {
	w := hourly("0800=a 0900=b 1000=c", "0800 badfwd")
	d := withHeaders(t, w, map[string]int{}, "09:00").At(at("10:00")).RingTag(tagging.Ring{Delay: 2 * time.Hour})
	if got := brief(d); got != "forward from 0800: 0900 1000" {
		t.Error(got)
	}
}

func TestNotesSayWhatInheritanceIsNotKnown(t *testing.T) {
	w := hourly("0800=a 0900=b 1000=c", "0800 bad")
	d := withHeaders(t, w, map[string]int{}, "08:00", "10:00").At(at("10:30")).RingTag(tagging.Ring{})
	if got := strings.Join(d.Notes, "\n"); !strings.Contains(got, name("08:00")+" is bad, but") {
		t.Errorf("notes are %q", got)
	}
}

func TestManifestsAreReadOnlyWhenNeeded(t *testing.T) {
	reads := map[string]int{}
	withHeaders(t, hourly("0800=a 0900=b 1000=c 1100=d"), reads).At(at("11:30")).RingTag(tagging.Ring{Delay: time.Hour})
	if diff := cmp.Diff(map[string]int{name("10:00"): 1}, reads); diff != "" {
		t.Errorf("without marks (-want +got):\n%s", diff)
	}
	reads = map[string]int{}
	r := withHeaders(t, hourly("0700=a 0800=a 0900=b 1000=c 1100=d", "0800 bad"), reads)
	for range 3 {
		r.At(at("11:30")).RingTag(tagging.Ring{Delay: time.Hour})
	}
	if diff := cmp.Diff(map[string]int{name("08:00"): 1, name("10:00"): 1}, reads); diff != "" {
		t.Errorf("with a mark (-want +got):\n%s", diff)
	}
	reads = map[string]int{}
	r = withHeaders(t, hourly("0500=x 0600=y 0700=a 0800=b@08:01 0900=c@09:01 1000=d 1100=e", "0700 badfwd"), reads)
	r.At(at("11:30")).RingTag(tagging.Ring{Delay: 4 * time.Hour})
	if diff := cmp.Diff(map[string]int{name("07:00"): 1, name("08:00"): 1}, reads); diff != "" {
		t.Errorf("forward (-want +got):\n%s", diff)
	}
}

func TestDecide(t *testing.T) {
	r := hourly("0600 0700 0800 0900 1000").resolver(t)
	r.Rings = tagging.DefaultRings()
	hosts := tagging.Hosts{Moment: r.At(at("10:30")), Inventories: []inventory.Inventory{
		&fakeInventory{answers: map[string]inventory.Answer{
			"web1": {Known: true, Groups: []string{"web"}, Notes: []string{"a note"}}}},
		&fakeInventory{answers: map[string]inventory.Answer{"web1": {Known: true, Groups: []string{"qa", "web"}}}},
	}}
	got := hosts.Decide(context.Background(), "WEB1")
	want := &tagging.Decision{Host: "web1", Ring: "qa", RingWhy: "group qa", Groups: []string{"qa", "web"},
		Delay: time.Hour, At: at("10:30"), Nominal: name("09:00"), BaseTag: name("09:00"), Direction: tagging.Back,
		Path:  "tags/" + name("09:00"),
		Steps: []tagging.Step{{Tag: name("09:00"), Accepted: true, Why: "acceptable"}}, Notes: []string{"fake: a note"}}
	if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); diff != "" {
		t.Errorf("decision (-want +got):\n%s", diff)
	}
	got = hosts.Decide(context.Background(), "db1")
	if got.Ring != "production" || got.Tag() != name("06:00") ||
		!strings.Contains(fmt.Sprint(got.Notes), "no inventory knows") {
		t.Errorf("unknown host: %+v", got)
	}
}

func TestDecideFails(t *testing.T) {
	down := &fakeInventory{err: errors.New("down")}
	up := &fakeInventory{}
	world := hourly("0600")
	for what, c := range map[string]struct {
		host        string
		rings       tagging.Rings
		inventories []inventory.Inventory
		part        string
	}{
		"host":      {"a;b", tagging.DefaultRings(), []inventory.Inventory{up}, "not the name of a host"},
		"rings":     {"a", nil, []inventory.Inventory{up}, "no rings"},
		"inventory": {"a", tagging.DefaultRings(), []inventory.Inventory{up, down}, "down"},
		"no tag":    {"a", tagging.Rings{{Name: "r", RequireGood: true}}, []inventory.Inventory{up}, "no acceptable tag"},
	} {
		r := world.resolver(t)
		r.Rings = c.rings
		hosts := tagging.Hosts{Moment: r.At(at("10:30")), Inventories: c.inventories}
		up.asked = nil
		d := hosts.Decide(context.Background(), c.host)
		if d.Err == nil || d.Path != "" || d.Failure != d.Err.Error() || !strings.Contains(d.Failure, c.part) {
			t.Errorf("%s: %q, %v", what, d.Path, d.Err)
		}
		if what == "host" && up.asked != nil {
			t.Errorf("the inventory was asked for %q", up.asked)
		}
	}
}

func TestDecisionTag(t *testing.T) {
	for path, want := range map[string]string{
		"tags/etchautotag-20261122-0900":   "etchautotag-20261122-0900",
		"tags/etchautotag-20261122-0900/":  "etchautotag-20261122-0900",
		"./tags/etchautotag-20261122-0900": "etchautotag-20261122-0900",
		"tags/release-7":                   "",
		"trunk":                            "",
		"":                                 "",
		"etchautotag-20261122-0900":        "",
	} {
		if got := (&tagging.Decision{Path: path}).Tag(); got != want {
			t.Errorf("the tag of %q is %q, want %q", path, got, want)
		}
	}
}

func TestDecidingNeedsNoPrivileges(t *testing.T) {
	b := tagtest.New(t)
	b.Tag("etchautotag-20261122-0900", at("09:00"), "a")
	b.Tag("etchautotag-20261122-1000", at("10:00"), "b")
	b.Write("pins", "pinned trunk\n")
	b.Mkdir("tags/.etchtag/stage")
	b.Close("tags/.etchtag/stage")
	states := tagstate.Merge(tagstate.Parse("f", []byte("etchautotag-20261122-1000 bad"), tag.Cadence{}.Valid))
	b.AsNobody(func() {
		pins, err := tagging.LoadPins(b.Pins())
		b.Must(err)
		r := tagging.Resolver{Base: b.Base, Rings: tagging.DefaultRings(), Index: b.Index(), States: states}
		hosts := tagging.Hosts{Moment: r.At(at("14:00")), Pins: pins}
		for host, want := range map[string]string{"pinned": "trunk", "other": "tags/etchautotag-20261122-0900"} {
			if d := hosts.Decide(context.Background(), host); d.Path != want {
				t.Errorf("%s gets %q: %s", host, d.Path, d.Failure)
			}
		}
	})
}
