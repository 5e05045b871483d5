package snapshot

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// victim is a tree that somebody who can write to the tags' directory tries to have changed by us. It is made to look
// like the tags' directory, so that whatever leads there by a link finds what it wants to find.
type victim struct {
	dir    string
	before map[string]string
}

func newVictim(t *testing.T, f *fixture) *victim {
	t.Helper()
	v := &victim{dir: t.TempDir()}
	write := func(name, content string) {
		path := filepath.Join(v.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o710); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	write(".etchtag/.precious", "hidden")
	write(".etchtag/last-update", "precious")
	write("trunk/precious", "precious")
	for _, dir := range []string{"stage", "trash", "manifests", "tables", "discarded"} {
		write(".etchtag/"+dir+"/precious/file", "precious")
		write(".etchtag/"+dir+"/passwd", "precious")
		for n := range aside.Max + 2 {
			write(fmt.Sprintf(".etchtag/%s/20260101-0000%02d/file", dir, n), "precious")
		}
	}
	for _, hour := range []time.Time{f.now, f.now.Add(-100 * time.Hour)} {
		name := tag.Name(f.Cadence.Floor(hour))
		write(name+"/file", "precious")
		write(".etchtag/manifests/"+name, "precious")
		write(".etchtag/tables/"+name, "precious")
	}
	v.before = v.record(t)
	return v
}

// record describes all that could be changed, times of change included.
func (v *victim) record(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(v.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		found[path] = fmt.Sprintf("mode %o links %d size %d changed %v", st.Mode, st.Nlink, st.Size, st.Ctim)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (v *victim) check(t *testing.T, where string) {
	t.Helper()
	after := v.record(t)
	if maps.Equal(v.before, after) {
		return
	}
	for path, was := range v.before {
		if after[path] != was {
			t.Errorf("%s: %s was %q and is %q", where, path, was, after[path])
		}
	}
	for path := range after {
		if v.before[path] == "" {
			t.Errorf("%s: %s was made", where, path)
		}
	}
}

// swapFor puts a link to target in the place of the directory at path.
func swapFor(path, target string) error {
	if err := os.Rename(path, path+"-away"); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

// hostileWork is a kind of run that is led astray.
type hostileWork struct {
	name string
	must string // an operation without which the run would prove little
	make func(t *testing.T) *fixture
	run  func(f *fixture)
}

// rebase makes the fixture one of a copy of the base that is at template.
func (f *fixture) rebase(template string) {
	f.t.Helper()
	f.Base.Path = f.t.TempDir()
	if err := os.CopyFS(f.Base.Path, os.DirFS(template)); err != nil {
		f.t.Fatal(err)
	}
	if p, ok := f.Source.(*plain); ok {
		p.dir = f.Base.Trunk()
	}
}

func hostileWorks() []hostileWork {
	// prepared is a base with an old tag, which the next run prunes, and debris.
	prepared := func(f *fixture) *fixture {
		now := f.now
		f.Keep = Keep{Within: 24 * time.Hour}
		f.table = writeSomeTable
		f.source.revisions["r1"] = map[string]string{"defaults.yml": "a: 1\n", "source/run*": "#!/bin/sh\n", "source/link@": "run"}
		f.now = now.Add(-100 * time.Hour)
		f.take(TakeOptions{NoPrune: true})
		for n := range 6 { // newer ones of other trees
			f.commit(fmt.Sprint("s", n), map[string]string{"defaults.yml": fmt.Sprintf("n: %d\n", n)})
			f.now = now.Add(time.Duration(n-7) * time.Hour)
			f.take(TakeOptions{NoPrune: true})
		}
		f.now = now
		f.commit("last", map[string]string{"defaults.yml": "last\n"})
		for _, dir := range []string{f.Base.Stage(), f.Base.Trash()} {
			if err := os.MkdirAll(filepath.Join(dir, "dead", "run"), 0o700); err != nil {
				f.t.Fatal(err)
			}
		}
		return f
	}
	take := func(f *fixture) { f.Take(f.t.Context(), TakeOptions{}) }
	return []hostileWork{
		{"take", "retire tag", func(t *testing.T) *fixture { return prepared(newFixture(t)) }, take},
		{"export", "retire tag", func(t *testing.T) *fixture { return prepared(newPlainFixture(t, staged.Auto)) }, take},
		{"prune", "retire tag", func(t *testing.T) *fixture { return prepared(newFixture(t)) },
			func(f *fixture) { f.Prune(f.t.Context()) }},
		{"repair", "exchange tags", func(t *testing.T) *fixture {
			f := prepared(newFixture(t))
			f.edit(tag.Name(f.now.Truncate(time.Hour).Add(-2*time.Hour)), "defaults.yml", "edited\n")
			return f
		}, func(f *fixture) { Repair(f.t.Context(), f.Env, f.Source, VerifyOptions{}) }},
		{"adopt tag", "publish manifest", func(t *testing.T) *fixture {
			f := prepared(newFixture(t))
			if err := os.Remove(f.Base.Manifest(tag.Name(f.now.Truncate(time.Hour).Add(-2 * time.Hour)))); err != nil {
				t.Fatal(err)
			}
			return f
		}, func(f *fixture) { f.adopt() }},
		{"adopt working copy", "exchange working copies", func(t *testing.T) *fixture {
			f := prepared(newPlainFixture(t, staged.Auto))
			f.Source = &plain{m: f.source, dir: f.Base.Trunk(), foreign: "it is another one's"}
			if err := os.WriteFile(filepath.Join(f.Base.Trunk(), "old"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return f
		}, func(f *fixture) { f.Update(f.t.Context()) }},
	}
}

// TestLinksAmongTheTagsLeadNowhere swaps each directory of ours for a link, right before each operation that a run makes
// in turn, and makes sure that nothing is changed where the link leads to.
func TestLinksAmongTheTagsLeadNowhere(t *testing.T) {
	t.Parallel()
	for _, work := range hostileWorks() {
		t.Run(work.name, func(t *testing.T) {
			t.Parallel()
			var labels []string
			f := work.make(t)
			template := f.Base.Path
			f.rebase(template)
			f.Step = oneByOne(func(label string) error { labels = append(labels, label); return nil })
			work.run(f)
			if !slices.Contains(labels, work.must) {
				t.Fatalf("the run makes no operation %q, only %q", work.must, labels)
			}
			places := []string{"tags/.etchtag", "tags/.etchtag/stage", "tags/.etchtag/trash", "tags/.etchtag/manifests",
				"tags/.etchtag/tables", "tags/.etchtag/discarded", "tags/" + tag.Name(f.now.Add(-100*time.Hour).Truncate(time.Hour))}
			places = runtest.Pick(places, len(places), 2)
			for at, label := range labels {
				if slices.Contains(labels[:at], label) && label != "sweep" {
					continue // of all files one will do
				}
				for _, place := range places {
					f.rebase(template)
					f.lead(work.run, at, place, label)
				}
			}
		})
	}
}

// lead makes one run, and swaps the place before its operation number at.
func (f *fixture) lead(run func(*fixture), at int, place, label string) {
	f.t.Helper()
	where := fmt.Sprintf("%s swapped before operation %d, %s", place, at, label)
	v := newVictim(f.t, f)
	n := 0
	f.Step = oneByOne(func(string) error {
		if n++; n != at+1 {
			return nil
		}
		// A tag that is pruned may have gone by now.
		if err := swapFor(filepath.Join(f.Base.Path, place), filepath.Join(v.dir, strings.TrimPrefix(place, "tags"))); err != nil &&
			!strings.Contains(place, "etchautotag-") {
			f.t.Errorf("%s: %v", where, err)
		}
		return nil
	})
	run(f)
	v.check(f.t, where)
}

func TestOurOwnDirectoriesMayBeNoLinks(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "stage", "trash", "manifests", "tables", "discarded"} {
		f := newFixture(t)
		f.take(TakeOptions{})
		v := newVictim(t, f)
		path := filepath.Join(f.Base.Work(), name)
		if err := swapFor(path, filepath.Join(v.dir, ".etchtag", name)); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(time.Hour)
		_, err := f.Take(t.Context(), TakeOptions{})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s is a link: got %v, want an error that says so", path, err)
		}
		v.check(t, path)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if r := f.take(TakeOptions{}); !r.Created {
			t.Errorf("%s: got %+v once the link is gone", path, r)
		}
	}
}

func TestALinkedLockIsNotFollowed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.take(TakeOptions{})
	target := filepath.Join(t.TempDir(), "made")
	if err := os.Remove(f.Base.SnapshotLock()); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, f.Base.SnapshotLock()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Take(t.Context(), TakeOptions{}); err == nil {
		t.Error("the lock was taken")
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("a file was made where the link leads to")
	}
}

func TestALinkedTagsDirectoryIsTheAdministrators(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	elsewhere := t.TempDir()
	if err := os.Symlink(elsewhere, f.Base.Tags()); err != nil {
		t.Fatal(err)
	}
	r := f.take(TakeOptions{})
	f.verify(r.Name, "r1")
	entries, err := os.ReadDir(elsewhere)
	if names := entryNames(entries); err != nil || !slices.Contains(names, r.Name) {
		t.Errorf("%s has %q, %v", elsewhere, names, err)
	}
}

func entryNames(entries []fs.DirEntry) (names []string) {
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestAnExportStaysInItsStage swaps our own directory for a link while the source is writing: what it writes by its path
// goes on going to the stage.
func TestAnExportStaysInItsStage(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Auto)
	f.take(TakeOptions{})
	f.now = f.now.Add(time.Hour)
	f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
	elsewhere := t.TempDir()
	f.Source = &swappingPlain{plain: f.Source.(*plain), swap: func() {
		stages, err := filepath.Glob(filepath.Join(f.Base.Stage(), "*"))
		if err != nil || len(stages) != 1 {
			t.Fatalf("the stages are %q, %v", stages, err)
		}
		like := filepath.Join(elsewhere, "stage", filepath.Base(stages[0]), "tree")
		if err := os.MkdirAll(like, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := swapFor(f.Base.Work(), elsewhere); err != nil {
			t.Fatal(err)
		}
	}}
	_, err := f.Take(t.Context(), TakeOptions{})
	if err == nil {
		t.Error("the run succeeded although its directory was swapped")
	}
	written, globErr := filepath.Glob(filepath.Join(elsewhere, "stage", "*", "tree", "*"))
	if len(written) > 0 || globErr != nil {
		t.Errorf("the export wrote %q", written)
	}
	away, globErr := filepath.Glob(filepath.Join(f.Base.Work()+"-away", "stage", "*", "tree", "defaults.yml"))
	if len(away) != 1 || globErr != nil {
		t.Errorf("the stage has %q, %v", away, globErr)
	}
}

// swappingPlain has its way swapped when it begins to write.
type swappingPlain struct {
	*plain
	swap func()
}

func (p *swappingPlain) Export(ctx context.Context, r source.Revision, dir string, o source.ExportOptions) (source.Export, error) {
	p.swap()
	return p.plain.Export(ctx, r, dir, o)
}

func TestWhatStandsInPlaceOfOurDirectoriesIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.take(TakeOptions{})
	if found := FindReplaced(f.Base); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	v := newVictim(t, f)
	for _, path := range []string{f.Base.Trash(), f.Base.Work()} {
		if err := swapFor(path, v.dir); err != nil {
			t.Fatal(err)
		}
		if found := FindReplaced(f.Base); !slices.Equal(found, []string{path}) {
			t.Errorf("found %q, want %s", found, path)
		}
		if debris, err := FindDebris(f.Base); len(debris) > 0 || err != nil {
			t.Errorf("%s is a link: the debris is said to be %v, %v", path, debris, err)
		}
	}
}
