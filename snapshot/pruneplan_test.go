package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"pgregory.net/rapid"
)

var pruneNow = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

// hourly gives n tags of the hours before pruneNow, oldest first.
func hourly(n int) []PruneTag {
	var tags []PruneTag
	for i := n - 1; i >= 0; i-- {
		at := pruneNow.Truncate(time.Hour).Add(-time.Duration(i) * time.Hour)
		tags = append(tags, PruneTag{Name: tag.Name(at), Time: at})
	}
	return tags
}

func names(verdicts []Verdict) []string {
	var out []string
	for _, v := range verdicts {
		out = append(out, v.Name)
	}
	return out
}

func reasonsFor(p Plan, name string) string {
	for _, v := range append(p.Keep, p.Remove...) {
		if v.Name == name {
			return strings.Join(v.Reasons, "; ")
		}
	}
	return ""
}

func TestATagGoesOnlyIfEveryReasonLetsItGo(t *testing.T) {
	t.Parallel()
	keep := Keep{Within: 72 * time.Hour, Last: 72}
	old := "etchautotag-20261118-1000" // the oldest of 96 hourly tags
	for _, c := range []struct {
		name   string
		tags   int
		change func(in *PruneInput)
		why    string // empty if the oldest goes
	}{
		{"old and many newer", 96, func(*PruneInput) {}, ""},
		{"within keep.within", 96, func(in *PruneInput) { in.Keep.Within = 96 * time.Hour }, "within 96h"},
		{"few newer", 96, func(in *PruneInput) { in.Keep.Last = 95 }, "no more than 95 newer"},
		{"one more than keep.last newer", 96, func(in *PruneInput) { in.Keep.Last = 94 }, ""},
		{"a ring gets it", 96, func(in *PruneInput) { in.Tags[0].Needed = []string{"ring production gets it now"} }, "production"},
		{"a link", 96, func(in *PruneInput) { in.Tags[0].Link = true }, "symbolic link"},
		{"the only one", 1, func(in *PruneInput) {
			in.Tags, in.Keep = []PruneTag{{Name: old, Time: pruneNow.Add(-95 * time.Hour)}}, Keep{time.Hour, 0}
		}, "the newest"},
		{"a ring's answer is not known", 96, func(in *PruneInput) { in.Unknown = []string{"ring qa gets no tag"} }, "ring qa"},
		{"the clock jumped", 96, func(in *PruneInput) { in.Now = in.Now.Add(365 * 24 * time.Hour) }, "the clock jumped"},
		{"the clock jumped, and this run made a tag", 96, func(in *PruneInput) {
			in.Now = in.Now.Add(365 * 24 * time.Hour)
			in.Created = tag.Name(in.Now.Truncate(time.Hour))
			in.Tags = append(in.Tags, PruneTag{Name: in.Created, Time: in.Now.Truncate(time.Hour)})
		}, "the clock jumped"},
		{"the clock was set back", 96, func(in *PruneInput) { in.Now = in.Now.Add(-97 * time.Hour) }, "in the future"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := PruneInput{Now: pruneNow, Keep: keep, Tags: hourly(c.tags)}
			c.change(&in)
			plan := PlanPrune(in)
			removed := slices.Contains(names(plan.Remove), old)
			if removed != (c.why == "") || !strings.Contains(reasonsFor(plan, old), c.why) {
				t.Errorf("removed: %v, because %q; want a reason with %q", removed, reasonsFor(plan, old), c.why)
			}
		})
	}
}

func TestNothingOldEnoughNeedsNoAnswers(t *testing.T) {
	t.Parallel()
	in := PruneInput{Now: pruneNow, Keep: Keep{Within: 72 * time.Hour, Last: 72}, Tags: hourly(3),
		Unknown: []string{"ring production gets no tag yet"}}
	if plan := PlanPrune(in); len(plan.Blocked) > 0 || len(plan.Keep) != 3 {
		t.Errorf("got %+v, want all kept and nothing blocked: a new base is no failure", plan)
	}
}

// naivePlan says by the rules alone which tags go.
func naivePlan(in PruneInput) (gone []string, blocked bool) {
	newestBefore := time.Time{}
	for _, t := range in.Tags {
		if t.Time.After(in.Now) {
			continue
		}
		newer := 0
		for _, other := range in.Tags {
			if other.Time.After(t.Time) && !other.Time.After(in.Now) {
				newer++
			}
		}
		old := in.Now.Sub(t.Time) > in.Keep.Within
		if old && newer > in.Keep.Last && newer > 0 && !t.Link && len(t.Needed) == 0 {
			gone = append(gone, t.Name)
		}
		if t.Name != in.Created && t.Time.After(newestBefore) {
			newestBefore = t.Time
		}
	}
	if len(gone) > 0 && (len(in.Unknown) > 0 || !newestBefore.IsZero() && in.Now.Sub(newestBefore) > in.Keep.Within) {
		return nil, true
	}
	return gone, false
}

func TestThePlanIsTheNaiveOne(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := PruneInput{Now: pruneNow.Add(time.Duration(rapid.IntRange(-5, 100).Draw(t, "now")) * time.Hour / 2),
			Keep: Keep{Within: time.Duration(rapid.IntRange(0, 100).Draw(t, "within")) * time.Hour / 2,
				Last: rapid.IntRange(0, 60).Draw(t, "last")},
			Unknown: rapid.SampledFrom([][]string{nil, nil, nil, {"the pins are not known"}}).Draw(t, "unknown")}
		for _, tag := range hourly(80) {
			if rapid.IntRange(0, 3).Draw(t, "gap") == 0 {
				continue
			}
			tag.Link = rapid.IntRange(0, 9).Draw(t, "link") == 0
			if rapid.IntRange(0, 5).Draw(t, "needed") == 0 {
				tag.Needed = []string{"somebody needs it"}
			}
			in.Tags = append(in.Tags, tag)
			if rapid.IntRange(0, 20).Draw(t, "created") == 0 {
				in.Created = tag.Name
			}
		}
		plan := PlanPrune(in)
		want, blocked := naivePlan(in)
		slices.Reverse(want)
		if got := names(plan.Remove); !slices.Equal(got, want) || blocked != (len(plan.Blocked) > 0) {
			t.Fatalf("%q go, and not %q; blocked by %q", got, want, plan.Blocked)
		}
		if n := len(plan.Keep) + len(plan.Remove); n != len(in.Tags) {
			t.Fatalf("%d verdicts for %d tags", n, len(in.Tags))
		}
		for _, v := range append(plan.Keep, plan.Remove...) {
			if len(v.Reasons) == 0 {
				t.Fatalf("%s has no reason", v.Name)
			}
		}
	})
}

// days lives through hours, making a tag in each.
func (f *fixture) days(hours int) []string {
	var pruned []string
	for i := range hours {
		f.now = f.now.Add(time.Hour)
		f.commit(fmt.Sprint("hour", i), map[string]string{"defaults.yml": fmt.Sprintf("a: %d\n", i)})
		r := f.take(TakeOptions{})
		if len(r.LeftOver) > 0 {
			f.t.Fatalf("hour %d: %v", i, r.LeftOver)
		}
		pruned = append(pruned, r.Pruned...)
	}
	return pruned
}

func TestOldTagsArePrunedHourByHour(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n"}
	f.Keep = Keep{Within: 6 * time.Hour, Last: 6}
	pruned := f.days(20)
	if want := 20 - 7; len(pruned) != want || !slices.IsSorted(pruned) {
		t.Errorf("pruned %q, want the %d oldest", pruned, want)
	}
	for _, name := range pruned {
		for _, path := range []string{f.Base.Dir(name), f.Base.Manifest(name)} {
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("%s is still there", path)
			}
		}
	}
}

func TestPruneNeverTouchesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n"}
	f.Keep = Keep{Within: 6 * time.Hour, Last: 6}
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	foreign := []string{"release-7", "etchautotag-20260230-0000", "etchautotag-20260101-0000x"}
	for _, name := range foreign {
		if err := os.Mkdir(f.Base.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link, pointed := "etchautotag-20260101-0000", "etchautotag-20260102-0000"
	if err := os.Symlink(outside, f.Base.Dir(link)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(f.Base.Dir(pointed), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(pointed, f.Base.Dir("current")); err != nil {
		t.Fatal(err)
	}
	unverified := "etchautotag-20260103-0000" // of repo_update
	if err := os.MkdirAll(filepath.Join(f.Base.Dir(unverified), "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	kept := "etchautotag-20260104-0000"
	if err := os.Mkdir(f.Base.Dir(kept), 0o755); err != nil {
		t.Fatal(err)
	}
	f.kept = map[string]string{kept: "audit"}
	f.take(TakeOptions{NoPrune: true}) // so that the newest tag before the next run is not old
	f.days(12)
	for _, name := range append(foreign, link, pointed, "current", kept) {
		if _, err := os.Lstat(f.Base.Dir(name)); err != nil {
			t.Errorf("%s is gone: %v", name, err)
		}
	}
	if _, err := os.Lstat(f.Base.Dir(unverified)); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", unverified, err)
	}
}

func TestAMarkThatOthersInheritIsNotPruned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n"}
	f.Keep = Keep{Within: 2 * time.Hour, Last: 2}
	first := f.take(TakeOptions{})
	data := []byte(first.Name + " bad\n")
	f.states = tagstate.Merge(tagstate.Parse("tagstate", data, f.Cadence.Valid))
	for range 12 { // the same content, hour after hour
		f.now = f.now.Add(time.Hour)
		f.take(TakeOptions{})
	}
	plan, err := PreviewPrune(t.Context(), f.Env, fixtureSite{f}, f.Keep)
	if err != nil {
		t.Fatal(err)
	}
	if why := reasonsFor(plan, first.Name); !strings.Contains(why, "inherits its mark") {
		t.Errorf("%s: %q", first.Name, why)
	}
}

// The third tag has the content of the first, which is badfwd, and sends production forward past all that is bad. Without
// it production would go back to the second.
func TestATagThatSendsARingForwardIsNotPruned(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Keep = Keep{Within: 2 * time.Hour, Last: 2}
	marks, sends := "", ""
	for hour, content := range []string{"wrong", "fine", "wrong", "bad", "bad", "bad", "bad", "bad", "bad", "mended"} {
		f.commit(fmt.Sprint("hour", hour), map[string]string{"defaults.yml": content})
		r := f.take(TakeOptions{NoPrune: true})
		switch {
		case hour == 0:
			marks += r.Name + " badfwd\n"
		case hour == 2:
			sends = r.Name
		case content == "bad":
			marks += r.Name + " bad\n"
		}
		f.now = f.now.Add(time.Hour)
	}
	f.states = tagstate.Merge(tagstate.Parse("tagstate", []byte(marks), f.Cadence.Valid))
	plan, err := PreviewPrune(t.Context(), f.Env, fixtureSite{f}, f.Keep)
	if err != nil {
		t.Fatal(err)
	}
	if why := reasonsFor(plan, sends); !strings.Contains(why, "ring production would get another tag without it") {
		t.Errorf("%s: %q", sends, why)
	}
}

func TestOneTagThatCannotBeRemovedDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n"}
	f.days(12)
	f.Keep = Keep{Within: 6 * time.Hour, Last: 6}
	calls := 0
	f.Step = func(label string) error {
		if label == "retire tag" {
			if calls++; calls == 2 {
				return os.ErrPermission
			}
		}
		return nil
	}
	plan, failed, err := f.Prune(t.Context())
	if err != nil || len(failed) != 1 || len(plan.Remove) != calls-1 {
		t.Errorf("removed %d of %d, with %v, %v", len(plan.Remove), calls, failed, err)
	}
}
