package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// writtenNames are what people have written.
type writtenNames struct{ text string }

func (w *writtenNames) Renaming(_ context.Context, from, to string) error {
	w.text = strings.ReplaceAll(w.text, from, to)
	return nil
}

func legacyName(hour int) string { return tag.Name(time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC)) }

// legacy makes a tag that says that it was made at an hour.
func (f *fixture) legacy(name string, made time.Time) {
	f.t.Helper()
	dir := f.Base.Dir(name)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "name"), []byte(name), 0o644),
		os.Chtimes(dir, made, made)); err != nil {
		f.t.Fatal(err)
	}
}

// wasCalled says how each tag was called that can be seen.
func (f *fixture) wasCalled() map[string]string {
	f.t.Helper()
	index, err := tag.ReadIndex(f.Base)
	if err != nil {
		f.t.Fatal(err)
	}
	names := map[string]string{}
	for _, t := range index.Tags {
		data, _ := os.ReadFile(filepath.Join(f.Base.Dir(t.Name), "name"))
		names[t.Name] = string(data)
	}
	return names
}

func TestTagsThatWereNamedInLocalTimeAreRenamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		ahead int // of UTC, in hours
		taken []int
		other int // hours by which the zone given differs
		fails string
	}{
		"west":         {ahead: -2},
		"east":         {ahead: 2},
		"another zone": {ahead: -2, other: 3, fails: "that is not the zone of its name"},
		"taken":        {ahead: -2, taken: []int{11}, fails: "cannot rename etchautotag-20261122-0900 to etchautotag-20261122-1100: that tag is there already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			want := map[string]string{}
			for _, h := range []int{5, 7, 9} { // whatever the way, one's new name is another's old one
				f.legacy(legacyName(h), time.Date(2026, 11, 22, h-c.ahead, 0, 3, 0, time.UTC))
				want[legacyName(h-c.ahead)] = legacyName(h)
			}
			for _, h := range c.taken {
				f.legacy(legacyName(h), time.Date(2026, 11, 22, h, 0, 3, 0, time.UTC))
			}
			written := &writtenNames{legacyName(5) + " bad\n" + legacyName(7) + " good\n"}
			before, text := f.wasCalled(), written.text
			zone := time.FixedZone("here", (c.ahead+c.other)*3600)
			renamed, err := RenameLegacy(t.Context(), f.Env, written, LegacyOptions{Zone: zone, Every: time.Hour})
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || written.text != text {
					t.Errorf("got %v with %q written, want %q", err, written.text, c.fails)
				}
				want = before
			} else if err != nil || len(renamed) != 3 || written.text != legacyName(5-c.ahead)+" bad\n"+legacyName(7-c.ahead)+" good\n" {
				t.Errorf("got %v, %v with %q written", renamed, err, written.text)
			}
			if diff := cmp.Diff(want, f.wasCalled()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestARenamedTagIsNotTakenForOneOfLocalTimeAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC) // a copy keeps the time of what it was made of
	var st unix.Stat_t
	for name := ""; st.Ctim.Nano() == 0 || name != tag.Name(time.Unix(st.Ctim.Unix()).UTC().Truncate(time.Hour).Add(-2*time.Hour)); {
		os.RemoveAll(f.Base.Tags())
		name = tag.Name(time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour))
		f.legacy(name, old)
		if err := unix.Lstat(f.Base.Dir(name), &st); err != nil {
			t.Fatal(err)
		}
	}
	o := LegacyOptions{Zone: time.FixedZone("here", -2*3600), Every: time.Hour}
	if renamed, err := RenameLegacy(t.Context(), f.Env, &writtenNames{}, o); err != nil || len(renamed) != 1 {
		t.Fatalf("got %v, %v", renamed, err)
	}
	if again, err := FindLegacy(f.Base); err != nil || len(again) > 0 {
		t.Errorf("got %v, %v", again, err)
	}
}

func TestOldTagsAreNotRenamedWhileAnotherRunIsAtWork(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.legacy(legacyName(5), time.Date(2026, 11, 22, 7, 0, 3, 0, time.UTC))
	release, err := f.lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	o := LegacyOptions{Zone: time.FixedZone("here", -2*3600), Every: time.Hour}
	if _, err := RenameLegacy(t.Context(), f.Env, &writtenNames{}, o); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v", err)
	}
}
