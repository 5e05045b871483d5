package tagging_test

import (
	"context"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagstate"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// moments is how many times each drawn world is asked about.
const moments = 20

// checkDecisions draws worlds, and in each rings and times, and checks every decision.
func checkDecisions(t *testing.T,
	check func(t *rapid.T, w world, r *tagging.Resolver, ring tagging.Ring, d *tagging.Decision)) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := w.resolver(t)
		for range moments {
			ring := drawRing(t)
			check(t, w, r, ring, r.RingTag(ring, drawTime(t, "now")))
		}
	})
}

func TestDecisionsAreThoseOfTheNaiveResolver(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		if diff := cmp.Diff(newNaive(w).ask(ring, d.At), answerOf(d), cmp.AllowUnexported(answer{})); diff != "" {
			t.Fatalf("at %s, ring %+v (naive -, ours +):\n%s\n%+v", d.At.UTC(), ring, diff, d.Steps)
		}
	})
}

func TestAHostGetsTheTagOfItsRing(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, _ world, r *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		host := tagging.Resolver{Cadence: r.Cadence, States: r.States, Index: r.Index, Rings: tagging.Rings{ring}}
		if got, want := answerOf(host.Decide(context.Background(), "Web1", d.At)), answerOf(d); got != want {
			t.Fatalf("a host gets %+v, its ring %+v", got, want)
		}
	})
}

func TestNoTagOfTheFutureIsServed(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, _ world, r *tagging.Resolver, _ tagging.Ring, d *tagging.Decision) {
		if tag := r.Index.Find(d.Tag()); tag != nil && tag.Time.After(d.At) {
			t.Fatalf("%s is served at %s", tag.Name, d.At.UTC())
		}
	})
}

func TestOnlyAlignedTagsThatExistAreServed(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, _ world, r *tagging.Resolver, _ tagging.Ring, d *tagging.Decision) {
		if d.Path != "" && (r.Index.Find(d.Tag()) == nil || r.Cadence.Valid(d.Tag()) != nil) {
			t.Fatalf("%q is served", d.Path)
		}
	})
}

func TestNoBadTagIsServed(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		if d.Path == "" {
			return
		}
		state := newNaive(w).state(d.Tag())
		if state != "good" && (state != "" || ring.RequireGood) {
			t.Fatalf("%s is served, whose state is %q", d.Tag(), state)
		}
	})
}

func TestGoingBackOnlySoakedTagsAreServed(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		for _, tag := range w.tags {
			if tag.name == d.Tag() && tag.tree != "" && d.Direction == tagging.Back &&
				tag.published.After(d.At.Add(-ring.Delay)) {
				t.Fatalf("%s, published at %s, is served at %s with delay %s", tag.name, tag.published, d.At.UTC(), ring.Delay)
			}
		}
	})
}

func TestTheStepsTellOfTheDecision(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, _ world, r *tagging.Resolver, _ tagging.Ring, d *tagging.Decision) {
		for i, s := range d.Steps {
			if last := i == len(d.Steps)-1; s.Accepted != (last && d.Path == "tags/"+s.Tag) || s.Why == "" {
				t.Fatalf("step %d is %+v, and the answer %q", i, s, d.Path)
			}
			state, from := r.State(r.Index.Find(s.Tag))
			if s.State != state || s.StateFrom != from || (state == tagstate.None) != (from == "") {
				t.Fatalf("step %+v, but the state is %q from %q", s, state, from)
			}
		}
		if (d.Err == nil) != (d.Path != "") || (d.Err == nil) != (d.Failure == "") {
			t.Fatalf("path %q, failure %q, error %v", d.Path, d.Failure, d.Err)
		}
	})
}

// Of two rings with the same requirement, the later is never ahead of the earlier, unless the later one goes
// forward and the earlier does not.
func TestALaterRingIsNeverAheadUnlessItGoesForward(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, _ world, r *tagging.Resolver, earlier tagging.Ring, first *tagging.Decision) {
		later := earlier
		later.Delay += time.Duration(rapid.IntRange(0, 12).Draw(t, "more")) * 15 * time.Minute
		second := r.RingTag(later, first.At)
		excused := second.Direction == tagging.Forward && first.Direction == tagging.Back
		if first.Path != "" && second.Tag() > first.Tag() && !excused {
			t.Fatalf("delay %s gets %s, delay %s gets %s", earlier.Delay, first.Path, later.Delay, second.Path)
		}
	})
}

// As time passes without new marks a ring never moves back, nor loses the tag that it has to no tag, with
// these exceptions. It may lose it while the base tag is badfwd and nothing newer is there. And after it went
// forward from a badfwd tag it may move back once its base tag is another, if that is not badfwd too, and the
// tag that it went forward to is either not its nominal one yet (what lies between is bad, or a mark without a
// tag), or was published too late to have soaked.
func TestAsTimePassesNoRingMovesBackUnlessItWentForward(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, r *tagging.Resolver, ring tagging.Ring, before *tagging.Decision) {
		if before.Path == "" {
			return
		}
		later := before.At.Add(time.Duration(rapid.IntRange(0, 10*60).Draw(t, "minutes")) * time.Minute)
		after := r.RingTag(ring, later)
		switch {
		case after.Tag() >= before.Tag():
			return
		case after.Path == "" && after.Direction == tagging.Forward:
			return
		case before.Direction == tagging.Back, after.BaseTag == before.BaseTag, after.Direction == tagging.Forward:
		case before.Tag() > after.Nominal, !soaked(w, before.Tag(), later.Add(-ring.Delay)):
			return
		}
		t.Fatalf("%s at %s (%s from %s), but %q at %s (%s from %s)", before.Path, before.At.UTC(), before.Direction,
			before.BaseTag, after.Path, later.UTC(), after.Direction, after.BaseTag)
	})
}

func soaked(w world, name string, by time.Time) bool {
	for _, tag := range w.tags {
		if tag.name == name && tag.tree != "" {
			return !tag.published.After(by)
		}
	}
	return true
}

// Where tags are published at the very time of their names, and only tags that exist are marked, the rule is
// the one that people know: a ring moves back only if a bad follows a badfwd.
func TestAsTimePassesNoRingMovesBackUnlessABadFollowsABadfwd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawWorld(t).withoutBadAfterBadfwd().resolver(t)
		ring := drawRing(t)
		ring.RequireGood = false
		last := ""
		for now := worldStart; now.Before(worldStart.Add(2 * worldHours * time.Hour)); now = now.Add(10 * time.Minute) {
			d := r.RingTag(ring, now)
			if d.Path != "" && d.Tag() < last {
				t.Fatalf("from %s to %s at %s", last, d.Tag(), now)
			}
			last = max(last, d.Tag())
		}
	})
}

// withoutBadAfterBadfwd makes every bad tag badfwd that comes after a badfwd one with nothing acceptable
// between them. It takes away manifests, and the marks of tags that do not exist.
func (w world) withoutBadAfterBadfwd() world {
	n := newNaive(w)
	tame := world{every: w.every, files: [][]worldMark{nil}}
	forward := false
	for _, tag := range w.tags {
		tame.tags = append(tame.tags, worldTag{name: tag.name})
		word := n.own[tag.name]
		if !n.aligned(tag.name) || word == "" || word == "good" {
			forward = forward && !n.aligned(tag.name)
			continue
		}
		if forward = forward || word == "badfwd"; forward {
			word = "badfwd"
		}
		tame.files[0] = append(tame.files[0], worldMark{tag.name, word})
	}
	return tame
}

func TestAnUnrelatedTagChangesNothing(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		at := worldStart.Add(time.Duration(rapid.IntRange(-600, (worldHours+12)*60).Draw(t, "minute")) * time.Minute)
		if rapid.Bool().Draw(t, "on the hour") {
			at = at.Truncate(6 * time.Hour)
		}
		extra := drawTag(t, tagging.Name(at))
		extra.tree += "unlike any other"
		n := newNaive(w)
		related := n.aligned(extra.name) && !at.After(d.At) &&
			(d.Path == "" || extra.name >= d.Tag() || extra.name >= d.BaseTag)
		if _, marked := n.own[extra.name]; related || marked || w.has(extra.name) {
			return
		}
		w.tags = append(w.tags, extra)
		got := w.resolver(t).RingTag(ring, d.At)
		if diff := cmp.Diff(d, got, cmpopts.IgnoreFields(*d, "Err")); diff != "" {
			t.Fatalf("with %s besides:\n%s", extra.name, diff)
		}
	})
}

func (w world) has(name string) bool {
	for _, tag := range w.tags {
		if tag.name == name {
			return true
		}
	}
	return false
}
