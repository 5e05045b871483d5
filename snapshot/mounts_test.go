package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/staged"
	"golang.org/x/sys/unix"
)

// foreignFile is where the tests mount something: a file of the sample tree's, below two directories.
const foreignFile = "source/etc/ntp.conf"

// tree lists what stands in a directory.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	if err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		found = append(found, strings.TrimPrefix(path, dir))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// staysFor fails the test unless an error names a tree and what is mounted in it.
func staysFor(t *testing.T, err error, tree, at string) {
	t.Helper()
	mounted, ok := errors.AsType[*disk.MountError](err)
	if !ok || !slices.Equal(mounted.Points, []string{at}) || !strings.Contains(err.Error(), tree) {
		t.Errorf("got %v, want that %s stays for what is mounted at %s", err, tree, at)
	}
}

// placeFor empties a place of a tree for what the test mounts, which may be a directory.
func placeFor(t *testing.T, at string) string {
	t.Helper()
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestATagWithAMountInItIsNotPruned(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		f := newFixture(t)
		f.days(12)
		f.Keep = Keep{Within: 6 * time.Hour, Last: 6}
		plan, err := PreviewPrune(t.Context(), f.Env, fixtureSite{f}, f.Keep)
		if err != nil || len(plan.Remove) < 3 {
			t.Fatal(plan.Remove, err)
		}
		tag := plan.Remove[1].Name
		at := placeFor(t, f.at(tag, foreignFile))
		mount(at)
		before := tree(t, f.Base.Dir(tag))
		for _, others := range []int{len(plan.Remove) - 1, 0} { // it is tried again
			done, failed, err := f.Prune(t.Context())
			if err != nil || len(failed) != 1 || len(done.Remove) != others {
				t.Fatal(done.Remove, failed, err)
			}
			staysFor(t, failed[0], f.Base.Dir(tag), at)
		}
		if after := tree(t, f.Base.Dir(tag)); !slices.Equal(before, after) {
			t.Errorf("there was %q, left is %q", before, after)
		}
		if _, err := os.Stat(f.Base.Manifest(tag)); err != nil {
			t.Error(err)
		}
		must(t, unix.Unmount(at, unix.MNT_DETACH))
		if done, failed, err := f.Prune(t.Context()); err != nil || len(failed) > 0 || len(done.Remove) != 1 {
			t.Error(done.Remove, failed, err)
		}
	})
}

// Between the look and the rename something can be mounted, too, and goes into the trash with the tag.
func TestATagThatTookAMountIntoTheTrashStaysThere(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		f := newFixture(t)
		f.days(12)
		f.Keep = Keep{Within: 6 * time.Hour, Last: 6}
		var tag string
		f.Step = func(label string) error {
			if label == "retire tag" && tag == "" {
				plan, err := PreviewPrune(t.Context(), f.Env, fixtureSite{f}, f.Keep)
				must(t, err)
				tag = plan.Remove[0].Name
				mount(placeFor(t, f.at(tag, foreignFile)))
			}
			return nil
		}
		_, failed, err := f.Prune(t.Context())
		trash := filepath.Join(f.Base.Trash(), tag)
		at := filepath.Join(trash, foreignFile)
		for range 2 {
			if err != nil || len(failed) != 1 {
				t.Fatal(failed, err)
			}
			staysFor(t, failed[0], trash, at)
			if got := tree(t, trash); len(got) < len(sampleTree) {
				t.Errorf("of the tag only %q is left", got)
			}
			f.now = f.now.Add(time.Minute)
			failed = f.take(TakeOptions{NoUpdate: true}).LeftOver // which sweeps
		}
		if _, failed, err := f.Prune(t.Context()); err != nil || len(failed) != 1 {
			t.Errorf("it is not said once, but %q, %v", failed, err)
		}
		debris, err := FindDebris(f.Base)
		if err != nil || len(debris) != 1 || debris[0].Path != trash || !slices.Equal(debris[0].Mounted, []string{at}) {
			t.Errorf("debris is %+v, %v", debris, err)
		}
		must(t, unix.Unmount(at, unix.MNT_DETACH))
		if failed := f.sweep(); len(failed) > 0 || len(f.debris()) > 0 {
			t.Error(failed, f.debris())
		}
	})
}

func TestAWorkingCopyWithAMountInItIsNotReplaced(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		f := newPlainFixture(t, staged.Auto)
		f.Source = &plain{m: f.source, dir: f.Base.Trunk(), foreign: "it is another one"}
		at := filepath.Join(f.Base.Trunk(), "sub/mounted")
		mount(at)
		before := tree(t, f.Base.Path)
		f.Step = func(label string) error {
			if label == "make stage" {
				t.Error("a fresh one was made for nothing")
			}
			return nil
		}
		_, err := f.Update(t.Context())
		staysFor(t, err, f.Base.Trunk(), at)

		must(t, unix.Unmount(at, unix.MNT_DETACH))
		f.Step = func(label string) error { // in the last moment
			if label == "exchange working copies" {
				must(t, os.RemoveAll(at))
				mount(at)
			}
			return nil
		}
		_, err = f.Update(t.Context())
		staysFor(t, err, f.Base.Trunk(), at)
		if after := tree(t, f.Base.Trunk()); !slices.Equal(after, []string{"", "/old", "/sub", "/sub/mounted", "/sub/mounted/gold"}) &&
			!slices.Equal(after, []string{"", "/old", "/sub", "/sub/mounted"}) {
			t.Errorf("there was %q, left is %q", before, after)
		}
		if left := f.debris(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	})
}

// One that is a mount of its own, of the very same file system, cannot be renamed.
func TestAWorkingCopyInAnotherMountIsNotReplaced(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Auto)
	f.Source = &plain{m: f.source, dir: f.Base.Trunk(), foreign: "it is another one"}
	mounttest.Directory(t, f.Base.Trunk())
	f.Step = func(label string) error {
		if label == "make stage" {
			t.Error("a fresh one was made for nothing")
		}
		return nil
	}
	if _, err := f.Update(t.Context()); err == nil || !strings.Contains(err.Error(), "in another mount") {
		t.Errorf("got %v", err)
	}
}

func TestATagWithAMountInItIsNotRepaired(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		f := newFixture(t)
		tag := f.take(TakeOptions{}).Name
		at := placeFor(t, f.at(tag, foreignFile))
		mount(at)
		r := f.repairTags()[0]
		staysFor(t, r.Failure, "", at)

		must(t, unix.Unmount(at, unix.MNT_DETACH))
		f.Step = func(label string) error { // in the last moment
			if label == "exchange tags" {
				must(t, os.RemoveAll(at))
				mount(at)
			}
			return nil
		}
		r = f.repairTags()[0]
		staysFor(t, r.Failure, f.Base.Dir(tag), at)
		if left := f.debris(); len(left) > 0 || r.Status == StatusRepaired {
			t.Errorf("%+v; left behind: %q", r, left)
		}
	})
}

func TestAStageWithAMountInItStays(t *testing.T) {
	t.Parallel()
	mounttest.Each(t, func(t *testing.T, mount func(string)) {
		f := newFixture(t)
		must(t, f.Prepare())
		stage := filepath.Join(f.Base.Stage(), "dead")
		mount(filepath.Join(stage, "tree/mounted"))
		r := f.take(TakeOptions{})
		if len(r.LeftOver) != 1 {
			t.Fatal(r.LeftOver)
		}
		staysFor(t, r.LeftOver[0], stage, filepath.Join(stage, "tree/mounted"))
		f.verify(r.Name, "r1")
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
