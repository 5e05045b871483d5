package tagging_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
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
			check(t, w, r, ring, r.At(drawTime(t, "now")).RingTag(ring))
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
		only := tagging.Resolver{Cadence: r.Cadence, States: r.States, Index: r.Index, Rings: tagging.Rings{ring}}
		hosts := tagging.Hosts{Moment: only.At(d.At)}
		if got, want := answerOf(hosts.Decide(context.Background(), "Web1")), answerOf(d); got != want {
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

// But for tags that the ring may have been sent forward to before.
func TestGoingBackOnlySoakedTagsAreServed(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		for _, tag := range w.tags {
			if tag.name == d.Tag() && tag.tree != "" && d.BaseWhy == "" &&
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

func TestALaterRingIsNeverAhead(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, _ world, r *tagging.Resolver, earlier tagging.Ring, first *tagging.Decision) {
		later := earlier
		later.Delay += time.Duration(rapid.IntRange(0, 12).Draw(t, "more")) * 15 * time.Minute
		second := r.At(first.At).RingTag(later)
		if first.Path != "" && second.Tag() > first.Tag() {
			t.Fatalf("delay %s gets %s, delay %s gets %s", earlier.Delay, first.Path, later.Delay, second.Path)
		}
	})
}

// As time passes and nobody marks anything, no ring moves back: whatever was marked, which tags are missing, and whenever
// and in which order they are made. It may lose its tag to none, but gets no older one after that.
func TestAsTimePassesNoRingMovesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		marked := drawTime(t, "last mark")
		w := drawWorld(t).markedBy(marked)
		rings := []tagging.Ring{drawRing(t), drawRing(t), drawRing(t)}
		had := make([]*tagging.Decision, len(rings))
		for _, now := range w.turns(rings) {
			if now.Before(marked) {
				continue
			}
			r := w.asOf(now).resolver(t)
			for i, ring := range rings {
				d := r.At(now).RingTag(ring)
				if d.Path == "" {
					continue
				}
				if had[i] != nil && d.Tag() < had[i].Tag() {
					t.Fatalf("%s goes back to %s:\n%+v\n%+v", had[i].Tag(), d.Tag(), had[i], d)
				}
				had[i] = d
			}
		}
	})
}

// markedBy is the world if all its marks were made by that time: the manifests of tags that are published later say so.
func (w world) markedBy(at time.Time) world {
	n := newNaive(w)
	w.tags = slices.Clone(w.tags)
	for i, tag := range w.tags {
		if word := n.own[tag.name]; tag.published.After(at) {
			w.tags[i].marked = word == "bad" || word == "badfwd"
		}
	}
	return w
}

// asOf is the world as it was then: without the tags that were published later.
func (w world) asOf(then time.Time) world {
	n := naive{world: w}
	w.tags = slices.DeleteFunc(slices.Clone(w.tags), func(tag worldTag) bool { return n.published(tag).After(then) })
	return w
}

// turns are all times at which the tag of one of the rings can become another, in order.
func (w world) turns(rings []tagging.Ring) (turns []time.Time) {
	for at := worldStart; at.Before(worldStart.Add(2 * worldHours * time.Hour)); at = at.Add(w.every) {
		turns = append(turns, at)
	}
	for _, tag := range w.tags {
		turns = append(turns, tag.published)
	}
	for _, at := range turns {
		for _, ring := range rings {
			turns = append(turns, at.Add(ring.Delay))
		}
	}
	slices.SortFunc(turns, time.Time.Compare)
	return slices.CompactFunc(turns, time.Time.Equal)
}

// What is decided depends on nothing that comes later.
func TestATagThatIsPublishedLaterChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now, ring := drawTime(t, "now"), drawRing(t)
		w := drawWorld(t).markedBy(now)
		got, want := w.resolver(t).At(now).RingTag(ring), w.asOf(now).resolver(t).At(now).RingTag(ring)
		if answerOf(got) != answerOf(want) {
			t.Fatalf("with what came later %+v, without %+v", answerOf(got), answerOf(want))
		}
	})
}

func TestADecisionRestsOnNoOtherTags(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		if d.Path == "" {
			return
		}
		less, n := w, newNaive(w)
		less.tags = slices.DeleteFunc(slices.Clone(w.tags), func(tag worldTag) bool {
			return tag.name != d.Tag() && !slices.Contains(d.RestsOn, tag.name) && rapid.Bool().Draw(t, "remove")
		})
		for _, tag := range less.tags {
			if newNaive(less).state(tag.name) != n.state(tag.name) {
				return // it has lost the tag that it inherits from
			}
		}
		if got := less.resolver(t).At(d.At).RingTag(ring); got.Path != d.Path {
			t.Fatalf("with %d of %d tags %q, not %q", len(less.tags), len(w.tags), got.Path, d.Path)
		}
	})
}

func TestAnUnrelatedTagChangesNothing(t *testing.T) {
	checkDecisions(t, func(t *rapid.T, w world, _ *tagging.Resolver, ring tagging.Ring, d *tagging.Decision) {
		at := worldStart.Add(time.Duration(rapid.IntRange(-600, (worldHours+12)*60).Draw(t, "minute")) * time.Minute)
		if rapid.Bool().Draw(t, "on the hour") {
			at = at.Truncate(6 * time.Hour)
		}
		extra := drawTag(t, tag.Name(at))
		extra.tree += "unlike any other"
		n := newNaive(w)
		related := n.aligned(extra.name) && !at.After(d.At) &&
			(d.Path == "" || extra.name >= d.Tag() || extra.name >= d.BaseTag)
		if _, marked := n.own[extra.name]; related || marked || w.has(extra.name) {
			return
		}
		w.tags = append(w.tags, extra)
		got := w.resolver(t).At(d.At).RingTag(ring)
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
