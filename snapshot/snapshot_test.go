package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"golang.org/x/sys/unix"
)

// memory is a source whose revisions are maps from paths to contents. A path that ends in "*" is executable,
// in "@" a link, in "/" an empty directory.
type memory struct {
	revisions map[string]map[string]string
	newest    string
	updateErr error
	mixed     error // what Current fails with
	exportErr error
	damaged   bool // contents cannot be read
	healed    []error
}

var CommitTime = time.Date(2026, 11, 20, 12, 34, 56, 0, time.UTC)

func (m *memory) Kind() string { return "git" }

func (m *memory) At(string) source.Source { return m }

func (m *memory) Foreign() (string, error) { return "", nil }

func (m *memory) Update(context.Context) (source.Outcome, error) {
	if m.updateErr != nil {
		return source.Outcome{}, m.updateErr
	}
	return source.Outcome{Revision: source.Revision{ID: m.newest, Time: CommitTime}}, nil
}

func (m *memory) Clone(ctx context.Context) (source.Outcome, error) { return m.Update(ctx) }

func (m *memory) Heal(ctx context.Context, cause error) (source.Outcome, error) {
	m.healed = append(m.healed, cause)
	if m.updateErr != nil {
		return source.Outcome{}, errors.Join(cause, m.updateErr)
	}
	m.damaged = false
	return m.Update(ctx)
}

func (m *memory) Damaged(err error) bool { return errors.Is(err, errDamaged) }

var errDamaged = errors.New("object is corrupt")

func (m *memory) Current(context.Context) (source.Revision, error) {
	if m.mixed != nil {
		return source.Revision{}, m.mixed
	}
	if m.newest == "" {
		return source.Revision{}, source.ErrNoRevision
	}
	return source.Revision{ID: m.newest, Time: CommitTime}, nil
}

func (m *memory) Resolve(_ context.Context, name string) (source.Revision, error) {
	if _, ok := m.revisions[name]; !ok {
		return source.Revision{}, fmt.Errorf("no revision %q", name)
	}
	return source.Revision{ID: name, Time: CommitTime}, nil
}

func (m *memory) Tree(_ context.Context, r source.Revision) (source.Tree, error) {
	files, ok := m.revisions[r.ID]
	if !ok {
		return nil, fmt.Errorf("no revision %q", r.ID)
	}
	return memoryTree{m, r, files}, nil
}

type memoryTree struct {
	source   *memory
	revision source.Revision
	files    map[string]string
}

func (t memoryTree) Revision() source.Revision         { return t.revision }
func (t memoryTree) Warnings() []string                { return nil }
func (t memoryTree) NewReader() (source.Reader, error) { return t, nil }
func (t memoryTree) Close() error                      { return nil }
func (t memoryTree) key(e source.Entry) string         { return e.Path + modeSuffix[e.Mode] }
func (t memoryTree) WriteTo(w io.Writer, e source.Entry) error {
	if t.source.damaged {
		return errDamaged
	}
	_, err := io.WriteString(w, t.files[t.key(e)])
	return err
}

var modeSuffix = map[source.Mode]string{source.Executable: "*", source.Symlink: "@", source.Directory: "/"}

func (t memoryTree) Entries() []source.Entry {
	var entries []source.Entry
	for key, content := range t.files {
		e := source.Entry{Path: strings.TrimRight(key, "*@/"), Mode: source.Regular, Size: int64(len(content)), ID: content}
		for mode, suffix := range modeSuffix {
			if strings.HasSuffix(key, suffix) {
				e.Mode = mode
			}
		}
		if e.Mode == source.Directory {
			e.ID, e.Size = "", 0
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b source.Entry) int { return strings.Compare(a.Path, b.Path) })
	return entries
}

// fixture is a base whose clock the test sets, with all that runs need.
type fixture struct {
	Env
	Source      source.Source
	TakeOptions // what all tags of the base have in common
	t           *testing.T
	source      *memory
	now         time.Time
	warned      []string
	noted       []string
	states      *tagstate.Set
	kept        map[string]string // the reasons by tag

	table    func(w io.Writer, dir string) (string, error)
	marked   func(name string) (string, error)
	replaced func(old, fresh string) error

	changed    func() bool // asked whether what people write has changed; nil if it has not
	unreadable error       // why that cannot be read
}

var sampleTree = map[string]string{
	"defaults.yml":         "a: 1\n",
	"nodegrouper*":         "#!/bin/sh\n",
	"source/etc/motd/motd": "welcome\n",
	"source/etc/ntp.conf":  "server a\n",
	"source/link@":         "etc/motd",
	"source/dangling@":     "/nowhere\n/with a newline",
	"source/empty/":        "",
	"odd/ \n\xff\"name":    "odd\n",
	"source/etc/big":       strings.Repeat("0123456789abcdef", 100_000),
	"a.b/x":                "sorts before a/\n",
	"a/x":                  "1\n",
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	cadence, err := tag.NewCadence(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, now: time.Date(2026, 11, 22, 9, 0, 5, 0, time.UTC),
		source: &memory{revisions: map[string]map[string]string{"r1": sampleTree}, newest: "r1"}}
	f.Env = Env{
		Base:      tag.Base{Path: t.TempDir(), WorkingCopy: "trunk"},
		Clock:     func() time.Time { return f.now },
		AsideHint: "look there",
		Warn:      func(m string) { f.warned = append(f.warned, m) },
		Note:      func(m string) { f.noted = append(f.noted, m) },
	}
	f.Source = f.source
	f.TakeOptions = TakeOptions{Cadence: cadence, Layout: staged.Auto, Keep: Keep{Within: 72 * time.Hour, Last: 72}}
	return f
}

// Take makes a tag of the fixture's base, with what o says of this one.
func (f *fixture) Take(ctx context.Context, o TakeOptions) (Result, error) {
	o.Cadence, o.Layout, o.Check, o.Keep = f.Cadence, f.Layout, f.Check, f.Keep
	return Take(ctx, f.Env, f.Source, fixtureSite{f}, o)
}

func (f *fixture) Update(ctx context.Context) (source.Outcome, error) {
	return Update(ctx, f.Env, f.Source, fixtureSite{f}, 0)
}

func (f *fixture) Prune(ctx context.Context) (Plan, []error, error) {
	return Prune(ctx, f.Env, fixtureSite{f}, f.Keep, 0)
}

// fixtureSite answers with what the test has set.
type fixtureSite struct{ *fixture }

func (s fixtureSite) Needs(context.Context, time.Time) Needs { return fixtureNeeds{s.fixture} }

func (s fixtureSite) Marked(name string) (string, error) {
	if s.marked == nil {
		return "", nil
	}
	return s.marked(name)
}

func (s fixtureSite) Table(dir string) func(io.Writer) (string, error) {
	if s.table == nil {
		return nil
	}
	return func(w io.Writer) (string, error) { return s.table(w, dir) }
}

func (s fixtureSite) Refresh() error { return nil }

func (s fixtureSite) Replaced(old, fresh string) error {
	if s.replaced == nil {
		return nil
	}
	return s.replaced(old, fresh)
}

// resolver decides for the tags as they are.
func (f *fixture) resolver() *tagging.Resolver {
	f.t.Helper()
	index, err := tag.ReadIndex(f.Base)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.resolverOf(index)
}

func (f *fixture) resolverOf(tags *tag.Index) *tagging.Resolver {
	return &tagging.Resolver{Base: f.Base, Cadence: f.Cadence, Rings: tagging.DefaultRings(), States: f.states, Index: tags}
}

// fixtureNeeds is what the default rings need, and what the test keeps.
type fixtureNeeds struct{ f *fixture }

func (n fixtureNeeds) Read(tags *tag.Index, now time.Time) (map[string][]string, []string, error) {
	needs := n.f.resolverOf(tags).At(now).Needs(nil, nil, tagging.Kept{Reasons: n.f.kept})
	return needs.By, needs.Unknown, n.f.unreadable
}

func (n fixtureNeeds) Changed() bool { return n.f.changed != nil && n.f.changed() }

// commit makes a revision of the newest one with some files changed; an empty content removes one.
func (f *fixture) commit(id string, changes map[string]string) {
	files := map[string]string{}
	for path, content := range f.source.revisions[f.source.newest] {
		files[path] = content
	}
	for path, content := range changes {
		if files[path] = content; content == "" {
			delete(files, path)
		}
	}
	f.source.revisions[id], f.source.newest = files, id
}

// oneByOne makes a step that several workers can call.
func oneByOne(step func(label string) error) disk.Step {
	var mu sync.Mutex
	return func(label string) error {
		mu.Lock()
		defer mu.Unlock()
		return step(label)
	}
}

func (f *fixture) take(o TakeOptions) Result {
	f.t.Helper()
	r, err := f.Take(f.t.Context(), o)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// verify fails the test unless the tag is exactly the revision.
func (f *fixture) verify(name, revision string) {
	f.t.Helper()
	m, err := tag.ReadManifest(f.Base.Manifest(name))
	if err != nil {
		f.t.Fatal(err)
	}
	if m.Revision != revision {
		f.t.Errorf("%s records revision %q, want %q", name, m.Revision, revision)
	}
	drift, err := staged.Compare(f.t.Context(), f.Base.Dir(name), m, staged.CompareOptions{})
	if err != nil || len(drift) > 0 {
		f.t.Errorf("%s differs from its manifest: %v, %v", name, drift, err)
	}
	for _, e := range (memoryTree{f.source, source.Revision{}, f.source.revisions[revision]}).Entries() {
		i := slices.IndexFunc(m.Entries, func(m tag.Entry) bool { return m.Path == e.Path })
		if i < 0 {
			f.t.Fatalf("%s lacks %q", name, e.Path)
		}
		got, content := m.Entries[i], f.source.revisions[revision][e.Path+modeSuffix[e.Mode]]
		if e.Mode != source.Directory && got.Hash != sha256.Sum256([]byte(content)) || got.Mode != byte(e.Mode) {
			f.t.Errorf("%s has another %q than %s", name, e.Path, revision)
		}
	}
	if want := len(f.source.revisions[revision]); len(m.Entries) != want {
		f.t.Errorf("%s has %d entries, want %d", name, len(m.Entries), want)
	}
}

// debris lists what a finished run must not leave.
func (f *fixture) debris() []string {
	var left []string
	for _, dir := range []string{f.Base.Stage(), f.Base.Trash()} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			left = append(left, filepath.Join(dir, e.Name()))
		}
	}
	return left
}

func TestATagIsTheRevisionExactly(t *testing.T) {
	for _, mask := range []int{0o022, 0o077} {
		old := syscall.Umask(mask)
		f := newFixture(t)
		r := f.take(TakeOptions{})
		syscall.Umask(old)
		if want := "etchautotag-20261122-0900"; r.Name != want || !r.Created || r.Stale || r.Files != 10 {
			t.Errorf("got %+v, want %s, created", r, want)
		}
		f.verify(r.Name, "r1")
		for path, want := range map[string]os.FileMode{"": 0o755, "source/etc": 0o755, "source/empty": 0o755,
			"defaults.yml": 0o644, "nodegrouper": 0o755} {
			info, err := os.Stat(filepath.Join(f.Base.Dir(r.Name), path))
			if err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o: %q has mode %v, want %v (%v)", mask, path, info.Mode(), want, err)
			}
			if err == nil && !info.ModTime().Equal(CommitTime) {
				t.Errorf("%q has the time %v, want the commit's", path, info.ModTime())
			}
		}
		for path, want := range map[string]os.FileMode{f.Base.Work(): 0o755, f.Base.Manifest(""): 0o755,
			f.Base.Manifest(r.Name): 0o644, f.Base.Stage(): 0o700, f.Base.Trash(): 0o700,
			f.Base.Discarded(): 0o700, f.Base.SnapshotLock(): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("umask %o: %s: want mode %v (%v)", mask, path, want, err)
			}
		}
		if left := f.debris(); len(left) > 0 {
			t.Errorf("left behind: %q", left)
		}
	}
}

func TestAnExistingTagIsNeverRewritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.take(TakeOptions{})
	f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
	again := f.take(TakeOptions{})
	if again.Created || again.Name != first.Name || again.Revision != "r1" || again.Tree != first.Tree {
		t.Errorf("got %+v, want the tag that is there", again)
	}
	f.verify(first.Name, "r1")
}

func TestUnchangedFilesAreTakenFromThePreviousTag(t *testing.T) {
	t.Parallel()
	for _, files := range []staged.Layout{staged.Auto, staged.Hardlink} {
		t.Run(string(files), func(t *testing.T) {
			f := newFixture(t)
			f.Layout = files
			first := f.take(TakeOptions{})
			f.now = f.now.Add(time.Hour)
			f.commit("r2", map[string]string{"defaults.yml": "a: 2\n", "a/x": "", "nodegrouper*": "", "nodegrouper": "#!/bin/sh\n"})
			var taken []string
			f.Step = oneByOne(func(label string) error {
				if label == "clone staged file" || label == "link staged file" {
					taken = append(taken, label)
				}
				return nil
			})
			second := f.take(TakeOptions{})
			f.verify(first.Name, "r1")
			f.verify(second.Name, "r2")
			if len(taken) < 4 {
				t.Errorf("only %d files were taken from the previous tag", len(taken))
			}
			motd := func(tag string) (st unix.Stat_t) {
				if err := unix.Stat(filepath.Join(f.Base.Dir(tag), "source/etc/motd/motd"), &st); err != nil {
					t.Fatal(err)
				}
				return st
			}
			if shared := motd(first.Name).Ino == motd(second.Name).Ino; shared != (files == staged.Hardlink) {
				t.Errorf("files are shared: %v", shared)
			}
			if got, want := motd(second.Name).Mode&0o777, map[staged.Layout]uint32{staged.Auto: 0o644, staged.Hardlink: 0o444}[files]; got != want {
				t.Errorf("mode %o, want %o", got, want)
			}
		})
	}
}

func TestATouchedFileOfThePreviousTagIsNotHandedOn(t *testing.T) {
	t.Parallel()
	for _, files := range []staged.Layout{staged.Auto, staged.Hardlink} {
		t.Run(string(files), func(t *testing.T) {
			f := newFixture(t)
			f.Layout = files
			first := f.take(TakeOptions{})
			dir := f.Base.Dir(first.Name)
			edit := func(path, content string) {
				t.Helper()
				path = filepath.Join(dir, path)
				info, err := os.Stat(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(path, info.Mode()); err != nil {
					t.Fatal(err)
				}
			}
			edit("source/etc/motd/motd", "wELCOME\n") // the same size
			edit("source/etc/ntp.conf", "server somewhere else\n")
			big := []byte(sampleTree["source/etc/big"])
			big[len(big)/2] ^= 1
			edit("source/etc/big", string(big))
			if err := os.RemoveAll(filepath.Join(dir, "a")); err != nil {
				t.Fatal(err)
			}
			elsewhere := t.TempDir()
			if err := os.WriteFile(filepath.Join(elsewhere, "x"), []byte("1\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(elsewhere, filepath.Join(dir, "a")); err != nil {
				t.Fatal(err)
			}
			f.now = f.now.Add(time.Hour)
			f.verify(f.take(TakeOptions{}).Name, "r1")
		})
	}
}

func TestWhenUpstreamCannotBeAskedTheLastRevisionIsPublishedAsStale(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.updateErr = errors.New("connection refused")
	r := f.take(TakeOptions{})
	if !r.Stale || !r.Created {
		t.Errorf("got %+v, want a stale tag", r)
	}
	f.verify(r.Name, "r1")
	header, err := tag.ReadHeader(f.Base.Manifest(r.Name))
	if err != nil || !header.Stale {
		t.Errorf("the manifest does not say stale: %+v, %v", header, err)
	}
	last, err := ReadLastUpdate(f.Base)
	if err != nil || !strings.Contains(last.Failure, "connection refused") || !last.Success.IsZero() {
		t.Errorf("the last update is recorded as %+v, %v", last, err)
	}
}

func TestNothingIsPublishedWithoutARevisionOrWithoutFiles(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.newest, f.source.updateErr = "", errors.New("no route to host")
	_, err := f.Take(t.Context(), TakeOptions{})
	if err == nil || !strings.Contains(err.Error(), "no route to host") {
		t.Errorf("got %v, want the reason", err)
	}
	f.source.revisions["empty"], f.source.newest, f.source.updateErr = map[string]string{}, "empty", nil
	if _, err := f.Take(t.Context(), TakeOptions{}); err == nil || !strings.Contains(err.Error(), "empty") {
		t.Errorf("got %v, want a refusal of the empty tree", err)
	}
	if index, err := tag.ReadIndex(f.Base); err != nil || len(index.Tags) > 0 {
		t.Errorf("tags were made: %v, %v", index, err)
	}
}

func TestAMissedHourIsMadeFromTheRevisionThatIsNamed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
	f.take(TakeOptions{})
	hour := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	r := f.take(TakeOptions{Hour: hour, Revision: "r1"})
	f.verify("etchautotag-20261122-0700", "r1")
	header, err := tag.ReadHeader(f.Base.Manifest(r.Name))
	if err != nil || !header.Published.Equal(f.now) {
		t.Errorf("published %v, want the present, from which it soaks (%v)", header.Published, err)
	}
}

func TestTheSiteCheckDecides(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Check = []string{"sh", "-c", "echo defaults are wrong >&2; test ! -f defaults.yml"}
	_, err := f.Take(t.Context(), TakeOptions{})
	if err == nil || !strings.Contains(err.Error(), "defaults are wrong") {
		t.Errorf("got %v, want the check's output", err)
	}
	f.Check = []string{"sh", "-c", "echo >> defaults.yml"}
	if _, err := f.Take(t.Context(), TakeOptions{}); err == nil || !strings.Contains(err.Error(), "defaults.yml") {
		t.Errorf("got %v, want a refusal that names the file that the check changed", err)
	}
	f.Check = []string{"sh", "-c", "test -x nodegrouper"}
	f.verify(f.take(TakeOptions{}).Name, "r1")
	if left := f.debris(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestASecondRunIsBusy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	release, err := f.lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Take(t.Context(), TakeOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	if _, err := f.Take(t.Context(), TakeOptions{LockWait: time.Millisecond}); !errors.Is(err, ErrBusy) {
		t.Errorf("after waiting: got %v, want ErrBusy", err)
	}
	release()
	f.take(TakeOptions{})
}

func TestAFailureAtAnyStepLeavesNoTagOrAWholeOne(t *testing.T) {
	t.Parallel()
	for _, files := range []staged.Layout{staged.Auto, staged.Hardlink} {
		labels := 0
		for at := 1; ; at++ {
			f := newFixture(t)
			f.Layout = files
			f.table = writeSomeTable
			first := f.take(TakeOptions{})
			f.now = f.now.Add(100 * time.Hour)
			f.Keep = Keep{Within: time.Hour, Last: -1}
			f.commit("r2", map[string]string{"defaults.yml": "a: 2\n", "new/file": "n\n"})
			calls, failed := 0, ""
			f.Step = oneByOne(func(label string) error {
				if calls++; calls == at {
					failed = label
					return unix.ENOSPC
				}
				return nil
			})
			// One worker's steps at a time, so that the n-th is always the same kind of operation.
			r, err := f.Take(t.Context(), TakeOptions{})
			if failed == "" {
				labels = calls
				break
			}
			f.Step = nil
			f.verify(first.Name, "r1")
			name := tag.Name(f.Cadence.Floor(f.now))
			if _, statErr := os.Lstat(f.Base.Dir(name)); statErr == nil {
				f.verify(name, "r2")
			} else if err == nil {
				t.Errorf("%s: failed, but Take reports %+v", failed, r)
			}
			if err == nil && r.Created && len(r.LeftOver) == 0 && len(f.warned) == 0 {
				t.Errorf("%s: failed, and nobody is told", failed)
			}
			f.take(TakeOptions{})
			f.verify(name, "r2")
			if left := f.debris(); len(left) > 0 {
				t.Errorf("%s: the next run left %q", failed, left)
			}
		}
		if labels < 20 {
			t.Errorf("only %d operations were made", labels)
		}
	}
}

func TestADamagedSourceIsHealedAndThenPublished(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.damaged = true
	r := f.take(TakeOptions{})
	f.verify(r.Name, "r1")
	if len(f.source.healed) != 1 || !errors.Is(f.source.healed[0], errDamaged) {
		t.Errorf("healed %v, want once", f.source.healed)
	}
	if left := f.debris(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestACorruptSourceWithoutUpstreamMakesNoTag(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.source.damaged, f.source.updateErr = true, errors.New("no route to host")
	if _, err := f.Take(t.Context(), TakeOptions{}); err == nil || !strings.Contains(err.Error(), "corrupt") {
		t.Errorf("got %v, want the reason", err)
	}
	if left := f.debris(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestSweepRemovesWhatDeadRunsLeft(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(f.Base.Stage(), "dead/tree/file"),
		filepath.Join(f.Base.Trash(), "etchautotag-20261101-0000/file"),
		f.Base.Manifest("etchautotag-20261101-0100"), f.Base.Table("etchautotag-20261101-0100"),
		filepath.Join(f.Base.Work(), ".last-update123")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s was not swept", path)
			}
		}()
	}
	f.take(TakeOptions{})
}

func TestNotEnoughSpaceIsRefusedBeforeAnythingIsStaged(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	dir := f.Base.Tags()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,nr_inodes=100"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("cannot mount a tmpfs: %v", err)
		}
		t.Skipf("cannot mount a tmpfs: %v", err)
	}
	defer unix.Unmount(dir, 0)
	staged := false
	f.Step = oneByOne(func(label string) error { staged = staged || strings.Contains(label, "staged"); return nil })
	_, err := f.Take(t.Context(), TakeOptions{})
	if err == nil || !strings.Contains(err.Error(), "not enough space") || staged {
		t.Errorf("got %v (staged %v), want a refusal with numbers", err, staged)
	}
	f.source.revisions["r1"] = map[string]string{}
	for i := range 120 {
		f.source.revisions["r1"][fmt.Sprintf("f%d@", i)] = "x"
	}
	if _, err = f.Take(t.Context(), TakeOptions{}); err == nil || !strings.Contains(err.Error(), "not enough inodes") || staged {
		t.Errorf("got %v (staged %v), want a refusal with numbers", err, staged)
	}
}
