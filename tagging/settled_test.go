package tagging_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func settled(r *tagging.Resolver, now time.Time) string {
	var labels []string
	for tree := range r.At(now).SettledTrees() {
		labels = append(labels, strings.TrimPrefix(tree.Label, "etchautotag-20261122-"))
	}
	return strings.Join(labels, " ")
}

func TestSettledTrees(t *testing.T) {
	late := tagging.Ring{Name: "last", Delay: 2 * time.Hour}
	strict := tagging.Ring{Name: "last", Delay: 2 * time.Hour, RequireGood: true}
	for _, c := range []struct {
		what  string
		world world
		last  tagging.Ring
		want  string // at 12:30
	}{
		{"what the last ring gets, and older", hourly("0800 0900 1000 1100 1200"), late, "1000 0900 0800"},
		{"not what is bad", hourly("0800 0900 1000 1100 1200", "1000 bad, 0800 BAD"), late, "0900"},
		{"not what has not soaked", hourly("0800=a 0900=b 0930=c 1000=d@10:31"), late, "0900 0800"},
		{"what it is rolled forward to", hourly("0800 0900=b@11:00 1000 1100 1200", "1000 badfwd, 1100 bad"), late, "1200 0800"},
		{"what it requires", hourly("0800 0900 1000", "0800 good, 0900 good"), strict, "0900 0800"},
		{"the newest while it gets none", hourly("1100=a@12:29 1130 1200=b 1300"), late, "1200 1100"},
		{"the newest acceptable while it gets none", hourly("1000 1100 1200", "1000 badfwd, 1100 bad, 1200 BAD"), late, "trunk"},
		{"any while none is good", hourly("1000 1100"), strict, "1100 1000"},
		{"the working copy", hourly(""), late, "trunk"},
		{"the working copy before the first", hourly("1300"), late, "trunk"},
	} {
		r := c.world.resolver(t)
		r.Rings = tagging.Rings{{Name: "dev", Groups: []string{"dev"}}, c.last}
		if got := settled(r, at("12:30")); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
}

func TestTreesSayWhereTheyAre(t *testing.T) {
	r := hourly("0900").resolver(t)
	r.Rings = tagging.DefaultRings()
	r.Base = tag.Base{Path: "/base", WorkingCopy: "wc"}
	for tree := range r.At(at("14:00")).SettledTrees() {
		want := inventory.Tree{Label: name("09:00"), Dir: "/base/tags/" + name("09:00"),
			Table: "/base/tags/.etchtag/tables/" + name("09:00")}
		if diff := cmp.Diff(want, tree); diff != "" {
			t.Errorf("tag (-want +got):\n%s", diff)
		}
	}
	for tree := range r.WorkingTrees() {
		if diff := cmp.Diff(inventory.Tree{Label: "wc", Dir: "/base/wc"}, tree); diff != "" {
			t.Errorf("working copy (-want +got):\n%s", diff)
		}
	}
}

func TestTheSettledTreesBeginWithWhatTheLastRingGetsAndAreNeverBad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		r := w.resolver(t)
		r.Rings = tagging.Rings{drawRing(t)}
		now := drawTime(t, "now")
		var labels []string
		for tree := range r.At(now).SettledTrees() {
			labels = append(labels, tree.Label)
		}
		if d := r.At(now).RingTag(r.Rings[0]); d.Tag() != "" && labels[0] != d.Tag() {
			t.Fatalf("the last ring gets %s, the settled trees are %q", d.Tag(), labels)
		}
		for i, label := range labels {
			if label == "trunk" && len(labels) == 1 {
				continue
			}
			tag := r.Index.Find(label)
			if state := newNaive(w).state(label); tag == nil || tag.Time.After(now) || state != "" && state != "good" ||
				i > 0 && label >= labels[i-1] {
				t.Fatalf("%q is among the settled trees %q, with state %q", label, labels, state)
			}
		}
	})
}

func TestTheSettledTreesEndWhereTheReaderStops(t *testing.T) {
	r := hourly("0800 0900 1000").resolver(t)
	r.Rings = tagging.Rings{{Name: "last"}}
	for stop := 1; stop <= 3; stop++ {
		n := 0
		for range r.At(at("10:30")).SettledTrees() {
			if n++; n == stop {
				break
			}
		}
		if n != stop {
			t.Errorf("%d trees, want %d", n, stop)
		}
	}
}
