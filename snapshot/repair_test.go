package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
)

// repairTags returns what Repair says of the tags.
func (f *fixture) repairTags(names ...string) []TagReport {
	f.t.Helper()
	reports, leftOver, err := Repair(f.t.Context(), f.Env, f.Source, VerifyOptions{Tags: names})
	if err != nil || len(leftOver) > 0 {
		f.t.Fatal(err, leftOver)
	}
	return reports
}

// spoil makes a tag drift in every way that a repair could trip over.
func (f *fixture) spoil(tag string) {
	f.t.Helper()
	f.edit(tag, "source/etc/motd/motd", "wELCOME\n")
	if err := errors.Join(
		os.Remove(f.at(tag, "source/link")), os.Symlink("/etc/passwd", f.at(tag, "source/link")),
		os.RemoveAll(f.at(tag, "a")), os.Symlink("/", f.at(tag, "a")),
		os.MkdirAll(f.at(tag, "new/directory"), 0o700),
		os.Chmod(f.at(tag, "source/etc"), 0o700),
	); err != nil {
		f.t.Fatal(err)
	}
}

// eachKindOfSource makes fixtures whose source is a store or an exporter, for both layouts.
func eachKindOfSource(t *testing.T, test func(t *testing.T, f *fixture)) {
	for _, files := range []staged.Layout{staged.Auto, staged.Hardlink} {
		t.Run("store/"+string(files), func(t *testing.T) {
			f := newFixture(t)
			f.Layout = files
			test(t, f)
		})
		t.Run("exporter/"+string(files), func(t *testing.T) {
			f := newPlainFixture(t, files)
			f.source.revisions["r1-exported"] = sampleTree
			test(t, f)
		})
	}
}

func TestADriftedTagIsRebuiltFromItsOwnRevision(t *testing.T) {
	t.Parallel()
	eachKindOfSource(t, func(t *testing.T, f *fixture) {
		tag := f.take(TakeOptions{}).Name
		f.now = f.now.Add(time.Hour)
		f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
		f.source.revisions["r2-exported"] = f.source.revisions["r2"]
		other := f.take(TakeOptions{}).Name
		before, err := os.ReadFile(f.Base.Manifest(tag))
		if err != nil {
			t.Fatal(err)
		}
		f.spoil(tag)
		drift := f.drift(tag)
		f.Layout = map[staged.Layout]staged.Layout{staged.Auto: staged.Hardlink, staged.Hardlink: staged.Auto}[f.Layout] // the setting of today does not matter
		reports := f.repairTags()
		r := reports[1]
		if r.Name != tag || r.Status != StatusRepaired || r.Failure != nil || len(r.LeftOver) > 0 ||
			len(r.Findings) != len(drift) {
			t.Errorf("got %+v", r)
		}
		if found := f.drift(tag); len(found) > 0 {
			t.Errorf("the repaired tag has drifted: %q", found)
		}
		after, err := os.ReadFile(f.Base.Manifest(tag))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("the manifest is another one (%v)", err)
		}
		motd, err := os.ReadFile(filepath.Join(r.SetAside, "source/etc/motd/motd"))
		if err != nil || string(motd) != "wELCOME\n" {
			t.Errorf("%q was set aside (%v)", motd, err)
		}
		names, err := aside.Names(f.Base.Discarded())
		if want := filepath.Base(r.SetAside); err != nil || !slices.Contains(names, want) || !strings.HasSuffix(want, "-"+tag) {
			t.Errorf("set aside is %q, not %q (%v)", names, want, err)
		}
		// With shared files, what was written to in place was written to in the other tag as well.
		shared := strings.HasSuffix(t.Name(), "hardlink")
		want := map[bool]Status{false: StatusClean, true: StatusRepaired}[shared]
		if reports[0].Name != other || reports[0].Status != want {
			t.Errorf("the other tag: got %+v, want %s", reports[0], want)
		}
		if found := f.drift(other); len(found) > 0 {
			t.Errorf("the other tag has drifted: %q", found)
		}
		if left := f.debris(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
		if len(f.warned) == 0 || !strings.Contains(f.warned[0], "look there") {
			t.Errorf("warned %q", f.warned)
		}
	})
}

func TestWhatIsInOrderIsNotRebuilt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tag := f.take(TakeOptions{}).Name
	f.Step = func(label string) error {
		if label != "take lock" {
			return fmt.Errorf("the operation %q", label)
		}
		return nil
	}
	if r := f.repairTags(); len(r) != 1 || r[0].Name != tag || r[0].Status != StatusClean {
		t.Errorf("got %+v", r)
	}
}

func TestWhatCannotBeRepairedStaysAsItIsAndTheReasonIsGiven(t *testing.T) {
	t.Parallel()
	rewrite := func(f *fixture, name string, change func(*tag.Manifest)) error {
		m, err := tag.ReadManifest(f.Base.Manifest(name))
		if err != nil {
			return err
		}
		change(m)
		var text bytes.Buffer
		return errors.Join(tag.WriteManifest(&text, m), os.WriteFile(f.Base.Manifest(name), text.Bytes(), 0o644))
	}
	for _, test := range []struct {
		name    string
		prepare func(f *fixture, name string) error
		want    string
	}{
		{"revision gone", func(f *fixture, _ string) error {
			f.commit("r2", nil)
			delete(f.source.revisions, "r1")
			return nil
		}, `the revision that it was made from, r1, cannot be had: no revision "r1"`},
		{"another tree", func(f *fixture, _ string) error {
			f.commit("r1", map[string]string{"defaults.yml": "a: 2\n"})
			return nil
		}, "changed: defaults.yml"},
		{"damaged source", func(f *fixture, _ string) error {
			f.source.damaged = true
			return nil
		}, "object is corrupt"},
		{"another kind of source", func(f *fixture, name string) error {
			return rewrite(f, name, func(m *tag.Manifest) { m.Source = "svn" })
		}, "it was made from svn, and the working copy is git now"},
		{"damaged manifest", func(f *fixture, name string) error { return os.Truncate(f.Base.Manifest(name), 100) },
			"its manifest is damaged"},
		{"adopted", func(f *fixture, name string) error {
			return rewrite(f, name, func(m *tag.Manifest) { m.Source, m.Layout = tag.Adopted, tag.Adopted })
		}, "it was adopted"},
		{"a link", func(f *fixture, name string) error {
			elsewhere := filepath.Join(f.Base.Path, "elsewhere")
			return errors.Join(os.Rename(f.Base.Dir(name), elsewhere), os.Symlink(elsewhere, f.Base.Dir(name)))
		}, "is a symbolic link"},
		{"another user's", func(f *fixture, name string) error { return os.Chown(f.Base.Manifest(name), 65534, 65534) },
			"user 65534 has published it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			tag := f.take(TakeOptions{}).Name
			if err := test.prepare(f, tag); errors.Is(err, os.ErrPermission) && test.name == "another user's" {
				t.Skip("only root can give files away")
			} else if err != nil {
				t.Fatal(err)
			}
			f.edit(tag, "source/etc/motd/motd", "edited\n")
			before := f.drift(tag)
			r := f.repairTags(tag)[0]
			if r.Status != StatusDrifted || r.SetAside != "" || r.Failure == nil ||
				!strings.Contains(r.Failure.Error(), test.want) {
				t.Errorf("got %+v, want the reason %q", r, test.want)
			}
			if diff := cmp.Diff(before, f.drift(tag)); diff != "" {
				t.Errorf("the tag has changed: %s", diff)
			}
			if names, err := aside.Names(f.Base.Discarded()); err != nil || len(names) > 0 || len(f.debris()) > 0 {
				t.Errorf("left behind: %q, %q, %v", f.debris(), names, err)
			}
		})
	}
}

func TestOneTagThatCannotBeRepairedDoesNotKeepTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.take(TakeOptions{}).Name
	f.now = f.now.Add(time.Hour)
	f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
	second := f.take(TakeOptions{}).Name
	f.spoil(first)
	f.spoil(second)
	delete(f.source.revisions, "r2")
	if r := f.repairTags(); r[0].Failure == nil || r[1].Status != StatusRepaired {
		t.Errorf("got %+v", r)
	}
	f.verify(first, "r1")
}

func TestRepairAndAdoptAreBusyWhileAnotherRunIsAtWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	release, err := f.lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, _, err := Repair(t.Context(), f.Env, f.Source, VerifyOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("repair: got %v", err)
	}
	if _, err := Record(t.Context(), f.Env, fixtureSite{f}, VerifyOptions{LockWait: time.Millisecond}); !errors.Is(err, ErrBusy) {
		t.Errorf("adopt: got %v", err)
	}
}

var errLuck = errors.New("no luck")

// failing is a step that fails the nth operation and, if all is true, everything after it: then nothing is cleaned up,
// as if the process had died. It records the labels that it was asked for.
func failing(n int, all bool, asked map[string]bool) disk.Step {
	return oneByOne(func(label string) error {
		asked[label] = true
		if n--; n == -1 || all && n < 0 {
			return fmt.Errorf("%w at %q", errLuck, label)
		}
		return nil
	})
}

func TestAFaultAtAnyStepOfARepairLeavesTheOldTagOrTheNewOne(t *testing.T) {
	t.Parallel()
	eachKindOfSource(t, func(t *testing.T, f *fixture) {
		f.commit("r1", map[string]string{"source/etc/big": ""})
		f.source.revisions["r1-exported"] = f.source.revisions["r1"]
		tag := f.take(TakeOptions{}).Name
		asked := map[string]bool{}
		for _, all := range []bool{false, true} {
			for n := 0; ; n++ {
				f.spoil(tag)
				drift := f.drift(tag)
				f.Step = failing(n, all, asked)
				reports, leftOver, err := Repair(t.Context(), f.Env, f.Source, VerifyOptions{})
				f.Step = nil
				what := fmt.Sprintf("operation %d, all after it %v", n, all)
				found := f.drift(tag)
				if len(found) > 0 && !slices.Equal(found, drift) {
					t.Errorf("%s: neither the old tag nor the new one: %q", what, found)
				}
				whole := err == nil && len(leftOver) == 0 && reports[0].Failure == nil && len(reports[0].LeftOver) == 0
				repaired := err == nil && reports[0].Status == StatusRepaired
				if repaired != (len(found) == 0) || !whole && err == nil && !mentionsLuck(leftOver, reports[0]) {
					t.Errorf("%s: told %+v, %v, %v, and found %q", what, reports, leftOver, err, found)
				}
				if repaired {
					edited, _ := os.ReadFile(filepath.Join(reports[0].SetAside, "source/etc/motd/motd"))
					if string(edited) != "wELCOME\n" {
						t.Errorf("%s: the drifted tag is not in %q", what, reports[0].SetAside)
					}
				}
				if r := f.repairTags(); r[0].Status != StatusClean && r[0].Status != StatusRepaired {
					t.Errorf("%s: the next run: %+v", what, r)
				}
				if left, err := FindDebris(f.Base); len(left) > 0 || err != nil {
					t.Errorf("%s: left behind: %v, %v", what, left, err)
				}
				if err := os.RemoveAll(f.Base.Discarded()); err != nil {
					t.Fatal(err)
				}
				if whole {
					break
				}
			}
		}
		for _, label := range []string{"take lock", "make stage", "sync stage", "set repaired tag up", "exchange tags",
			"remove repaired tag", "sync tags", "sync discarded", "remove stage"} {
			if !asked[label] {
				t.Errorf("no fault was tried at %q", label)
			}
		}
	})
}

func mentionsLuck(leftOver []error, r TagReport) bool {
	return errors.Is(errors.Join(append(append(leftOver, r.LeftOver...), r.Failure)...), errLuck)
}

func TestATagIsDurableBeforeItIsExchanged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tag := f.take(TakeOptions{}).Name
	f.spoil(tag)
	var steps []string
	f.Step = oneByOne(func(label string) error { steps = append(steps, label); return nil })
	f.repairTags()
	want := []string{"finish staged directory", "sync stage", "set repaired tag up", "exchange tags", "sync tags",
		"sync discarded", "remove stage"}
	if diff := cmp.Diff(want, steps[max(0, len(steps)-len(want)):]); diff != "" {
		t.Error(diff)
	}
}

func TestReadersSeeOneOfTheTwoTreesDuringARepair(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.commit("r1", map[string]string{"source/etc/big": ""})
	made := f.take(TakeOptions{}).Name
	manifest, err := tag.ReadManifest(f.Base.Manifest(made))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex // held while the made is made to drift, which is no part of the repair
	spoilAll := func() {
		mu.Lock()
		defer mu.Unlock()
		f.spoil(made)
	}
	spoilAll()
	drift := f.drift(made)
	done := make(chan struct{})
	walks, drifted, whole := 0, 0, 0
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			mu.Lock()
			motd, err := os.ReadFile(f.at(made, "source/etc/motd/motd"))
			if err != nil || string(motd) != "welcome\n" && string(motd) != "wELCOME\n" {
				t.Errorf("by its path the file is %q (%v)", motd, err)
			}
			findings, err := staged.Compare(t.Context(), f.Base.Dir(made), manifest, staged.CompareOptions{})
			mu.Unlock()
			var found []string
			for _, finding := range findings {
				found = append(found, finding.String())
			}
			switch {
			case err != nil:
				t.Errorf("a reader met %v", err)
			case len(found) == 0:
				whole++
			case slices.Equal(found, drift):
				drifted++
			default:
				t.Errorf("a reader saw neither the old tree nor the new one: %q", found)
			}
			walks++
		}
	})
	for range 25 {
		if r := f.repairTags(made)[0]; r.Status != StatusRepaired {
			t.Errorf("got %+v", r)
		}
		spoilAll()
	}
	close(done)
	reader.Wait()
	t.Logf("%d walks: %d saw the old tree, %d the new one", walks, drifted, whole)
	if names, err := aside.Names(f.Base.Discarded()); err != nil || len(names) != aside.Max {
		t.Errorf("%d trees are set aside (%v)", len(names), err)
	}
}
