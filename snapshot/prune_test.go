package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// prunable is a base whose seven oldest tags are to go, of which the newest has no manifest. It returns them newest
// first, as they go.
func prunable(t *testing.T) (*fixture, []string) {
	f := newFixture(t)
	f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n"}
	f.days(14)
	f.Keep = Keep{Within: 4 * time.Hour, Last: 4}
	plan, err := PreviewPrune(t.Context(), f.Env, fixtureSite{f}, f.Keep)
	if err != nil || len(plan.Remove) != 7 {
		t.Fatalf("%q go, %v", names(plan.Remove), err)
	}
	goes := names(plan.Remove)
	if err := os.Remove(f.Base.Manifest(goes[0])); err != nil {
		t.Fatal(err)
	}
	return f, goes
}

// stays fails the test unless the tag is there with all that it had, and the others of those are gone.
func (f *fixture) stays(goes []string, tag string) {
	f.t.Helper()
	for i, name := range goes {
		for _, path := range []string{f.Base.Dir(name) + "/defaults.yml", f.Base.Manifest(name)} {
			want := name == tag && !(i == 0 && path == f.Base.Manifest(name))
			if _, err := os.Lstat(path); (err == nil) != want {
				f.t.Errorf("%s is there: %v", path, err == nil)
			}
		}
	}
	if left := f.debris(); len(left) > 0 {
		f.t.Errorf("left behind: %q", left)
	}
}

func TestATagThatSomebodyComesToNeedStays(t *testing.T) {
	t.Parallel()
	needs := map[string]func(f *fixture, tag string){
		"kept": func(f *fixture, tag string) { f.kept = map[string]string{tag: "audit"} },
		"good": func(f *fixture, tag string) {
			f.states = tagstate.Merge(tagstate.Parse("tagstate", []byte(tag+" good\n"), f.Cadence.Valid))
		},
		"others bad": func(f *fixture, newest string) {
			var text strings.Builder
			for at := f.now; tag.Name(at) > newest; at = at.Add(-time.Hour) {
				text.WriteString(tag.Name(at) + " bad\n")
			}
			f.states = tagstate.Merge(tagstate.Parse("tagstate", []byte(text.String()), f.Cadence.Valid))
		},
	}
	for what, need := range needs {
		for _, nth := range []int{0, 1, 6} {
			for _, when := range []string{"before", "after"} {
				t.Run(what+" "+when, func(t *testing.T) {
					t.Parallel()
					f, goes := prunable(t)
					looks := 0
					f.changed = func() bool { // it is asked right before and right after each rename
						if looks++; looks == 2*nth+1 && when == "before" || looks == 2*nth+2 && when == "after" {
							need(f, goes[nth])
							return true
						}
						return false
					}
					plan, failed, err := f.Prune(t.Context())
					if err != nil || len(failed) > 0 || len(plan.Blocked) > 0 {
						t.Errorf("%v, %v, blocked by %q", err, failed, plan.Blocked)
					}
					if what == "others bad" { // its trees are different, so there are some more to go back to
						if slices.Contains(names(plan.Remove), goes[nth]) || reasonsFor(plan, goes[nth]) == "" {
							t.Errorf("%s: %q", goes[nth], reasonsFor(plan, goes[nth]))
						}
						return
					}
					f.stays(goes, goes[nth])
					if len(plan.Remove) != 6 || !strings.Contains(reasonsFor(plan, goes[nth]), what) {
						t.Errorf("removed %q; %s stays, because %q", names(plan.Remove), goes[nth], reasonsFor(plan, goes[nth]))
					}
					if len(f.noted) != 1 || !strings.Contains(f.noted[0], goes[nth]+" stays after all: ") {
						t.Errorf("said %q", f.noted)
					}
				})
			}
		}
	}
}

func TestATagThatSomebodyLinksStays(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"retire tag", "remove table"} { // right before its own rename, and before that of the next
		f, goes := prunable(t)
		f.Step = func(l string) error {
			if l != label {
				return nil
			}
			if err := os.Symlink(goes[1], f.Base.Dir("current")); !errors.Is(err, os.ErrExist) {
				return err
			}
			return nil
		}
		plan, failed, err := f.Prune(t.Context())
		if err != nil || len(failed) > 0 || !strings.Contains(reasonsFor(plan, goes[1]), "the link current") {
			t.Errorf("%s: %v, %v, %q", label, err, failed, reasonsFor(plan, goes[1]))
		}
		f.stays(goes, goes[1])
	}
}

func TestNothingMoreIsRemovedOnceItIsNotKnownWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for _, looks := range []int{3, 4} {
		f, goes := prunable(t)
		f.changed = func() bool {
			if looks--; looks == 0 {
				f.unreadable = errors.New("tagstate is a directory")
			}
			return looks <= 0
		}
		plan, failed, err := f.Prune(t.Context())
		if err != nil || len(failed) > 0 || len(plan.Blocked) != 1 || !strings.Contains(plan.Blocked[0], "tagstate is a directory") {
			t.Errorf("%v, %v, blocked by %q", err, failed, plan.Blocked)
		}
		if got := names(plan.Remove); !slices.Equal(got, goes[:1]) || len(plan.Keep) != 13 {
			t.Errorf("removed %q, kept %q", got, names(plan.Keep))
		}
		f.stays(slices.Concat(goes[:1], goes[1:2]), goes[1])
	}
}

func TestATagWhoseRemovalWasNotDecidedIsGivenBack(t *testing.T) {
	t.Parallel()
	for _, nth := range []int{0, 1} {
		for _, needed := range []bool{false, true} {
			f, goes := prunable(t)
			failAt := map[int]string{0: "condemn tag", 1: "remove manifest"}[nth]
			f.Step = func(label string) error {
				if label == failAt {
					return errors.New("the process dies here")
				}
				return nil
			}
			if _, failed, err := f.Prune(t.Context()); err != nil || len(failed) == 0 {
				t.Fatalf("%v, %v", err, failed)
			}
			if _, err := os.Lstat(f.Base.Dir(goes[nth])); !errors.Is(err, os.ErrNotExist) {
				t.Fatalf("%s is not in the trash: %v", goes[nth], err)
			}
			f.Step = nil
			if needed {
				f.kept = map[string]string{goes[nth]: "audit"}
			}
			if _, failed, err := f.Prune(t.Context()); err != nil || len(failed) > 0 {
				t.Fatalf("%v, %v", err, failed)
			}
			if needed {
				f.stays(goes, goes[nth])
			} else {
				f.stays(goes, "")
			}
		}
	}
}

// TestOnlyWholeTagsAreGivenBack has in the trash what may be half deleted: what has no manifest, or one that cannot be
// used, or whose manifest is that of a tag that was made anew.
func TestOnlyWholeTagsAreGivenBack(t *testing.T) {
	t.Parallel()
	f, goes := prunable(t)
	damaged := "etchautotag-20261101-0200"
	if err := os.WriteFile(f.Base.Manifest(damaged), []byte("debris\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etchautotag-20261101-0000", damaged, goes[1], goes[0] + unrecorded, "etchautotag-20261101-0100.old"} {
		if err := os.MkdirAll(filepath.Join(f.Base.Trash(), name, "half"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if failed := f.sweep(); len(failed) > 0 {
		t.Error(failed)
	}
	if left := f.debris(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	index, err := tag.ReadIndex(f.Base)
	if err != nil || len(index.Tags) != 14 || len(index.Foreign) > 0 {
		t.Errorf("%d tags, %q, %v", len(index.Tags), index.Foreign, err)
	}
	for _, tag := range index.Tags {
		if _, err := os.Lstat(f.Base.Dir(tag.Name) + "/half"); err == nil {
			t.Errorf("%s is a tag from the trash", tag.Name)
		}
	}
}
