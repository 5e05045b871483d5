package tagging_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// needs says by the rules alone, slowly, why tags of the world are needed at now.
func (w world) needs(rings tagging.Rings, now time.Time) map[string][]string {
	n := newNaive(w)
	by := map[string][]string{}
	add := func(tag, format string, args ...any) {
		if tag != "" {
			by[tag] = append(by[tag], fmt.Sprintf(format, args...))
		}
	}
	for _, ring := range rings {
		gets := n.tag(ring, now)
		add(gets, "ring %s gets it now", ring.Name)
		for tag, until := range w.served(ring, now) {
			if tag != gets {
				add(tag, "ring %s got it until %s", ring.Name, until.UTC().Format("2006-01-02 15:04:05 UTC"))
			}
		}
	}
	newestFirst := slices.SortedFunc(slices.Values(w.tags), func(a, b worldTag) int { return strings.Compare(b.name, a.name) })
	for _, t := range newestFirst {
		if n.own[t.name] == "good" && !n.when(t.name).After(now) {
			add(t.name, "the newest marked good")
			break
		}
	}
	last := func(upTo time.Time, accepts func(t worldTag) bool) (names []string) {
		trees := map[string]bool{}
		for _, t := range newestFirst {
			tree := t.tree
			if tree == "" {
				tree = t.name
			}
			if !n.when(t.name).After(upTo) && accepts(t) && !trees[tree] && len(trees) < 3 {
				trees[tree] = true
				names = append(names, t.name)
			}
		}
		return names
	}
	for _, name := range last(now, func(t worldTag) bool { return n.state(t.name) == "" || n.state(t.name) == "good" }) {
		add(name, "the newest of one of the last 3 different trees that are not bad")
	}
	goBack := map[string][]string{}
	for _, ring := range rings {
		for _, name := range last(n.floor(now.Add(-ring.Delay)), func(t worldTag) bool {
			return n.aligned(t.name) && (n.state(t.name) == "good" || n.state(t.name) == "" && !ring.RequireGood)
		}) {
			goBack[name] = append(goBack[name], ring.Name)
		}
	}
	for name, who := range goBack {
		add(name, "the newest of one of the last 3 different trees for %s", strings.Join(who, ", "))
	}
	return by
}

// served says what a ring got at any moment of the last hour, and until when. In drawn worlds something happens only at full
// minutes and five seconds after them.
func (w world) served(ring tagging.Ring, now time.Time) map[string]time.Time {
	n := newNaive(w)
	until := map[string]time.Time{}
	for at := now.Add(-time.Hour); !at.After(now); {
		end := at.Truncate(time.Minute).Add(5 * time.Second)
		if !end.After(at) {
			end = at.Truncate(time.Minute).Add(time.Minute)
		}
		tag := n.tag(ring, at)
		until[tag] = end
		if end.After(now) {
			until[tag] = now
		}
		at = end
	}
	return until
}

func (n naive) tag(ring tagging.Ring, now time.Time) string {
	return strings.TrimPrefix(n.ask(ring, now).path, "tags/")
}

func TestWhatIsNeededIsWhatTheRulesSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := w.resolver(t)
		for i := range rapid.IntRange(1, 3).Draw(t, "rings") {
			ring := drawRing(t)
			ring.Name = fmt.Sprint("r", i)
			r.Rings = append(r.Rings, ring)
		}
		now := drawTime(t, "now")
		needs := r.At(now).Needs(nil, nil, tagging.Kept{})
		got := map[string][]string{}
		for tag, reasons := range needs.By {
			for _, reason := range reasons {
				heir, _, inherited := strings.Cut(reason, " has the same content and inherits its mark")
				switch {
				case inherited:
					if _, from := r.State(r.Index.Find(heir)); from != tag {
						t.Fatalf("%s inherits from %s, not from %s", heir, from, tag)
					}
				case !strings.HasSuffix(reason, " would get another tag without it"): // that is for the next property
					got[tag] = append(got[tag], reason)
				}
			}
		}
		if diff := cmp.Diff(w.needs(r.Rings, now), got); diff != "" {
			t.Fatalf("at %s, rings %+v (naive -, ours +):\n%s", now.UTC(), r.Rings, diff)
		}
		nothing := 0
		for _, ring := range r.Rings {
			if newNaive(w).tag(ring, now) == "" {
				nothing++
			}
		}
		if len(needs.Unknown) != nothing {
			t.Fatalf("%d rings get nothing, but %q", nothing, needs.Unknown)
		}
	})
}

// Whoever removes tags that are not needed changes neither what rings get nor the state of any tag that stays. (Nor what they
// get later: as time passes, no ring moves back.)
func TestWithoutWhatIsNotNeededNothingIsDifferent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := w.resolver(t)
		r.Rings = tagging.Rings{drawRing(t)}
		now := drawTime(t, "now")
		needs := r.At(now).Needs(nil, nil, tagging.Kept{})
		less := w
		less.tags = slices.DeleteFunc(slices.Clone(w.tags), func(tag worldTag) bool {
			return needs.By[tag.name] == nil && !newNaive(w).when(tag.name).After(now) && rapid.Bool().Draw(t, "remove")
		})
		for _, tag := range less.tags {
			if before, after := newNaive(w).state(tag.name), newNaive(less).state(tag.name); before != after {
				t.Fatalf("%s was %q and is %q now", tag.name, before, after)
			}
		}
		if before, after := newNaive(w).tag(r.Rings[0], now), newNaive(less).tag(r.Rings[0], now); before != after && before != "" {
			t.Fatalf("the ring got %q and gets %q now", before, after)
		}
	})
}

func TestPinnedAndKeptTagsAreNeeded(t *testing.T) {
	t.Parallel()
	const one, two, three = "etchautotag-20261122-0100", "etchautotag-20261122-0200", "etchautotag-20261122-0300"
	b := tagtest.New(t)
	b.Link(two, "tags/release-7")
	b.Write("kept", "tags/"+three+" ticket 4711\n"+one+"\n")
	kept, err := tagging.LoadKept(b.Kept())
	if err != nil {
		t.Fatal(err)
	}
	r := tagging.Resolver{Base: b.Base, Index: tag.NewIndex()}
	pins := pinsOf(b, "a tags/"+one+"\nb trunk-20261122-0900\n")
	listed := map[string][]string{"tags/release-7": {"y", "z"}, "trunk": {"c"}}
	want := tagging.Needs{By: map[string][]string{
		one:   {"1 host is pinned to it: a", "kept: no reason given"},
		two:   {"2 hosts are pinned to it, such as y"},
		three: {"kept: ticket 4711"},
	}}
	if diff := cmp.Diff(want, r.At(worldStart).Needs(listed, pins, kept)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.Write("kept", "etchautotag-1 ticket 4711\n")
	if kept, err = tagging.LoadKept(b.Kept()); err != nil {
		t.Fatal(err)
	}
	if n := r.At(worldStart).Needs(nil, pins, kept); len(n.Unknown) != 1 || !strings.Contains(n.Unknown[0], "kept:1") {
		t.Errorf("with a line that names no tag: %q", n.Unknown)
	}
	if got := slices.Sorted(maps.Keys(listed)); len(got) != 2 || len(listed["trunk"]) != 1 {
		t.Errorf("what was listed is changed: %q", listed)
	}
}

// BenchmarkNeeds is what a look costs that finds something changed, apart from reading files.
func BenchmarkNeeds(b *testing.B) {
	for _, c := range []struct{ tags, rings int }{{73, 4}, {2000, 10}} {
		b.Run(fmt.Sprintf("%d tags, %d rings", c.tags, c.rings), func(b *testing.B) {
			w := world{every: time.Hour}
			for i := range c.tags {
				at := worldStart.Add(time.Duration(i) * time.Hour)
				w.tags = append(w.tags, worldTag{name: tag.Name(at), tree: fmt.Sprint("tree", i/3), published: at.Add(5 * time.Second)})
			}
			r := w.resolver(b)
			for i := range c.rings {
				r.Rings = append(r.Rings, tagging.Ring{Name: fmt.Sprint("r", i), Delay: time.Duration(i) * time.Hour, RequireGood: i == 9})
			}
			now := worldStart.Add(time.Duration(c.tags) * time.Hour)
			for b.Loop() {
				again := tagging.Resolver{Cadence: r.Cadence, Rings: r.Rings, States: r.States, Index: r.Index}
				again.At(now).Needs(nil, nil, tagging.Kept{})
			}
		})
	}
}
