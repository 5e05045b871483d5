package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// mixUp makes the working copy one of no single revision, while upstream is gone.
func (f *fixture) mixUp() {
	f.source.updateErr = errors.New("upstream is down")
	f.source.mixed = &source.MixedError{Dir: f.Base.Trunk(), Err: errors.New("an update was interrupted")}
}

// withoutTag fails the test if a snapshot makes a tag, or does not say all of the words.
func (f *fixture) withoutTag(o TakeOptions, words ...string) {
	f.t.Helper()
	r, err := f.Take(f.t.Context(), o)
	if err == nil || r.Created {
		f.t.Fatalf("got %+v, %v", r, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			f.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
	if _, err := os.Lstat(f.Base.Dir(tag.Name(f.Cadence.Floor(f.now)))); !errors.Is(err, os.ErrNotExist) {
		f.t.Errorf("there is a tag: %v", err)
	}
	if left := f.debris(); len(left) > 0 {
		f.t.Errorf("left behind: %q", left)
	}
}

func TestWhenNothingIsWholeTheNewestTagIsPublishedAgain(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]TakeOptions{"snapshot": {}, "without an update": {NoUpdate: true}} {
		t.Run(name, func(t *testing.T) {
			eachKindOfSource(t, func(t *testing.T, f *fixture) {
				first := f.take(TakeOptions{})
				f.now = f.now.Add(time.Hour)
				f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
				f.mixUp()
				again := f.take(o)
				if !again.Created || !again.Stale || again.Again != first.Name || again.Tree != first.Tree ||
					again.Revision != first.Revision || again.Files != first.Files || again.Bytes != first.Bytes {
					t.Errorf("got %+v, after %+v", again, first)
				}
				f.verify(again.Name, first.Revision)
				header, err := tag.ReadHeader(f.Base.Manifest(again.Name))
				if err != nil || !header.Stale || !header.Published.Equal(f.now) || header.Source != f.Source.Kind() {
					t.Errorf("the manifest says %+v, %v", header, err)
				}
				info, err := os.Stat(f.at(again.Name, "source/etc/ntp.conf"))
				if err != nil || !info.ModTime().Equal(CommitTime) {
					t.Errorf("a file has another time than it had: %v, %v", info.ModTime(), err)
				}
				if all := strings.Join(f.warned, "\n"); !strings.Contains(all, "interrupted") ||
					strings.Contains(all, "upstream is down") == o.NoUpdate {
					t.Errorf("warned %q", f.warned)
				}
				for _, r := range f.verifyTags() {
					if r.Status != StatusClean {
						t.Errorf("got %+v", r)
					}
				}
			})
		})
	}
}

func TestWhatHasBegunToChangeIsNotPublishedEither(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Auto)
	first := f.take(TakeOptions{})
	f.now = f.now.Add(time.Hour)
	f.source.exportErr = &source.MixedError{Dir: f.Base.Trunk(), Err: errors.New("a file was edited")}
	f.withoutTag(TakeOptions{}, "edited") // upstream can be reached, so that the next run puts it right
	f.source.updateErr = errors.New("upstream is down")
	if r := f.take(TakeOptions{}); r.Again != first.Name || !r.Stale {
		t.Errorf("got %+v", r)
	}
}

func TestOnlyTheNewestTagStandsInForTheWorkingCopy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		harm func(f *fixture, newest string) error
		says string
	}{
		"no tag":      {func(f *fixture, newest string) error { return os.RemoveAll(f.Base.Dir(newest)) }, "there is none"},
		"no manifest": {func(f *fixture, newest string) error { return os.Remove(f.Base.Manifest(newest)) }, "was not made from"},
		"a damaged manifest": {func(f *fixture, newest string) error {
			return os.WriteFile(f.Base.Manifest(newest), []byte("nonsense"), 0o644)
		}, "manifest"},
		"an edited tag": {func(f *fixture, newest string) error {
			return os.WriteFile(f.at(newest, "defaults.yml"), []byte("a: 9\n"), 0o644)
		}, "not what was published"},
		"a file more": {func(f *fixture, newest string) error {
			return os.WriteFile(f.at(newest, "more"), nil, 0o644)
		}, "not what was published"},
		"a link": {func(f *fixture, newest string) error {
			elsewhere := filepath.Join(f.Base.Path, "elsewhere")
			return errors.Join(os.Rename(f.Base.Dir(newest), elsewhere), os.Symlink(elsewhere, f.Base.Dir(newest)))
		}, "was not made from"},
		"of another source": {func(f *fixture, newest string) error {
			f.Source = &plain{m: f.source, dir: f.Base.Trunk()}
			return nil
		}, "was not made from"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			if name != "no tag" {
				f.take(TakeOptions{}) // an older one, which would be a step back
				f.now = f.now.Add(time.Hour)
			}
			newest := f.take(TakeOptions{}).Name
			f.now = f.now.Add(time.Hour)
			f.mixUp()
			if err := test.harm(f, newest); err != nil {
				t.Fatal(err)
			}
			f.withoutTag(TakeOptions{}, test.says)
		})
	}
}

func TestTagsToComeDoNotStandIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.take(TakeOptions{})
	f.now = f.now.Add(3 * time.Hour) // by mistake
	f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
	f.take(TakeOptions{})
	f.now = f.now.Add(-2 * time.Hour)
	f.mixUp()
	if r := f.take(TakeOptions{}); r.Again != first.Name {
		t.Errorf("got %+v", r)
	}
}

func TestAnExistingTagNeedsNothingWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.take(TakeOptions{})
	f.mixUp()
	if r := f.take(TakeOptions{}); r.Created || !r.Stale || r.Tree != first.Tree || len(f.warned) == 0 {
		t.Errorf("got %+v, warned %q", r, f.warned)
	}
}

// What was bad stays bad: nobody gets the newest tag's content by its new name who was kept from it by the old one.
func TestATagThatIsPublishedAgainInheritsItsMark(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	good := f.take(TakeOptions{})
	f.now = f.now.Add(time.Hour)
	f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
	bad := f.take(TakeOptions{})
	f.states = tagstate.Merge(tagstate.Parse("tagstate", []byte(bad.Name+" bad\n"), f.Cadence.Valid))
	f.now = f.now.Add(time.Hour)
	f.mixUp()
	if again := f.take(TakeOptions{}); again.Again != bad.Name {
		t.Fatalf("got %+v", again)
	}
	resolver := f.resolver()
	if d := resolver.At(f.now).RingTag(resolver.Rings[0]); d.Err != nil || d.Path != "tags/"+good.Name {
		t.Errorf("the first ring gets %+v", d)
	}
}

func TestAFaultAtAnyStepOfPublishingAgainLeavesNoTagOrAWholeOne(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Hardlink)
	f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n", "source/run*": "#!/bin/sh\n", "source/link@": "run"}
	f.source.revisions["r1-exported"] = f.source.revisions["r1"]
	f.take(TakeOptions{})
	f.now = f.now.Add(time.Hour)
	f.mixUp()
	name, asked := tag.Name(f.Cadence.Floor(f.now)), map[string]bool{}
	for n := 0; ; n++ {
		f.Step, f.warned = failing(n, false, asked), nil
		r, err := f.Take(t.Context(), TakeOptions{NoPrune: true})
		f.Step = nil
		if _, statErr := os.Lstat(f.Base.Dir(name)); statErr == nil {
			f.verify(name, "r1-exported")
		} else if err == nil {
			t.Errorf("operation %d: Take reports %+v", n, r)
		}
		f.take(TakeOptions{NoPrune: true})
		f.verify(name, "r1-exported")
		if err == nil && len(r.LeftOver) == 0 && !strings.Contains(strings.Join(f.warned, ""), errLuck.Error()) {
			break
		}
		if err := errors.Join(os.RemoveAll(f.Base.Dir(name)), os.Remove(f.Base.Manifest(name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, label := range []string{"export", "settle tree", "replace staged file", "sync stage", "publish tag"} {
		if !asked[label] {
			t.Errorf("no fault was tried at %q", label)
		}
	}
}
