package aside

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/testbed"
)

// FuzzParseDiscard holds that the names of what is set aside are told from all others, and sort by their times.
func FuzzParseDiscard(f *testing.F) {
	for _, seed := range []string{"20261122-090000", "20261122-090000-2", "20261122-090000-working-copy", "20261122-0900", "20260230-000000",
		"20261122-090000x", "", "2026112२-090000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		at, ours := ParseName(name)
		if !ours {
			return
		}
		stamp := Name(at)
		if rest, ok := strings.CutPrefix(name, stamp); !ok || rest != "" && rest[0] != '-' {
			t.Fatalf("%q is from %v, which is written %q", name, at, stamp)
		}
		if again, ours := ParseName(stamp + "-x"); !ours || !again.Equal(at) || at.Location() != time.UTC {
			t.Fatalf("%q: %v", stamp, again)
		}
	})
}

// What was set aside stays if something is mounted in it, and newer ones go for it.
func TestRoomIsMadeAroundAMount(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		base := filepath.Join(t.TempDir(), "work/discarded")
		name := func(n int) string { return fmt.Sprintf("20260101-0000%02d", n) }
		for n := range Max + 1 {
			testbed.Must(t, os.MkdirAll(filepath.Join(base, name(n), "sub"), 0o700))
		}
		at := filepath.Join(base, name(0), "sub/mounted")
		mount(at)
		room, err := MakeRoom(base, nil)
		if err != nil || !slices.Equal(room.Gone, []string{name(1), name(2)}) || len(room.Stay) != 1 {
			t.Errorf("got %+v, %v", room, err)
		}
		if text := Describe(room, "look there"); !strings.Contains(text, name(0)+" stays") || !strings.Contains(text, at) || !strings.HasPrefix(text, "; look there") {
			t.Errorf("it says %q", text)
		}
		if entries, err := os.ReadDir(base); len(entries) != Max-1 || err != nil {
			t.Errorf("left is %v, %v", entries, err)
		}
	})
}

func TestADirectoryWithAMountInItIsNotSetAside(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		dir := t.TempDir()
		at := filepath.Join(dir, "copy/extra/sub/mounted")
		mount(at)
		d := Discarder{Edits: Edits{Discard: filepath.Join(dir, "work/discarded"), Now: time.Now}}
		defer d.Close()
		from, err := os.Open(filepath.Join(dir, "copy"))
		testbed.Must(t, err)
		defer from.Close()
		err = d.SetAside(int(from.Fd()), "extra", false)
		if mounted, ok := errors.AsType[*disk.MountError](err); !ok || !slices.Equal(mounted.Points, []string{at}) || disk.Exists(d.Discard) {
			t.Errorf("got %v", err)
		}
	})
}

// TestDiscardsGoNowhereElse makes what edits are set aside in a link, and then the directory that it stands in.
func TestDiscardsGoNowhereElse(t *testing.T) {
	t.Parallel()
	for _, link := range []string{"work", "work/discarded"} {
		top := t.TempDir()
		outside := filepath.Join(top, "outside")
		for n := range Max + 3 { // so many that room would have to be made
			for _, dir := range []string{outside, filepath.Join(outside, "discarded")} {
				if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("20260101-0000%02d", n)), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(top, link)), 0o755), os.Symlink(outside, filepath.Join(top, link))); err != nil {
			t.Fatal(err)
		}
		base := filepath.Join(top, "work", "discarded")
		if room, err := MakeRoom(base, nil); !errors.Is(err, disk.ErrReplaced) || len(room.Gone) > 0 {
			t.Errorf("%s is a link: %v, %v", link, room, err)
		}
		d := Discarder{Edits: Edits{Discard: base, Now: time.Now}}
		if err := d.begin(); !errors.Is(err, disk.ErrReplaced) {
			t.Errorf("%s is a link: %v", link, err)
		}
		d.Close()
		for _, dir := range []string{outside, filepath.Join(outside, "discarded")} {
			left, err := filepath.Glob(filepath.Join(dir, "2*"))
			if err != nil || len(left) != Max+3 {
				t.Errorf("%s is a link: of %s %q is left, %v", link, dir, left, err)
			}
		}
	}
}

// TestTheOldDirectoryIsNeverWhereDebrisIsSwept fails each step of an exchange, the one after which the old directory has
// left its place included, and once lets all pass.
func TestTheOldDirectoryIsNeverWhereDebrisIsSwept(t *testing.T) {
	t.Parallel()
	failure := errors.New("failed")
	for _, elsewhere := range []bool{false, true} {
		for failing, done := 0, false; !done; failing++ {
			base := t.TempDir()
			old, fresh, kept := filepath.Join(base, "trunk"), filepath.Join(base, ".trunk.clone-1/trunk"), filepath.Join(base, "work/discarded")
			testbed.EditTree(t, old, []testbed.Edit{testbed.Write("d/edited", "mine"), testbed.Symlink("link", "d")})
			testbed.EditTree(t, fresh, []testbed.Edit{testbed.Write("d/edited", "upstream's")})
			testbed.Must(t, os.MkdirAll(kept, 0o700))
			if elsewhere {
				mounttest.Until(t, "none", kept, "tmpfs", 0)
			}
			left := failing
			d := Discarder{Edits: Edits{Discard: kept, Now: time.Now, Step: func(string) error {
				if left--; left == -1 {
					return failure
				}
				return nil
			}}}
			err := d.Exchange(fresh, old)
			dir := d.Dir
			d.Close()
			if done = err == nil; !done && !errors.Is(err, failure) {
				t.Fatal(err)
			}
			if done && len(testbed.ListDir(t, old)) != 2 {
				t.Errorf("in the old one's place is %v", testbed.ListDir(t, old))
			}
			places := testbed.ListDir(t, base)
			mine := testbed.Describe(source.Regular, "mine")
			rel, _ := filepath.Rel(base, dir)
			if places["trunk/d/edited"] != mine && places[filepath.Join(rel, "trunk/d/edited")] != mine {
				t.Errorf("after step %d (elsewhere: %t) the edit is neither in place nor set aside: %v", failing, elsewhere, places)
			}
		}
	}
}
