package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const oldTag = "etchautotag-20261122-0700"

// makeOldTag makes a tag as repo_update does: with any modes, and without a manifest.
func (f *fixture) makeOldTag(name string) {
	f.t.Helper()
	dir := f.Base.Dir(name)
	err := errors.Join(os.MkdirAll(filepath.Join(dir, "source/empty"), 0o755), os.Mkdir(filepath.Join(dir, ".svn"), 0o755))
	for path, mode := range map[string]os.FileMode{"defaults.yml": 0o664, "source/secret": 0o600, "nodegrouper": 0o700,
		"source/tool": 0o755, ".svn/entries": 0o444} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, path), []byte(path), mode), os.Chmod(filepath.Join(dir, path), mode))
	}
	err = errors.Join(err, os.Symlink("/etc/motd", filepath.Join(dir, "source/link")),
		os.Chmod(filepath.Join(dir, "source"), 0o775|os.ModeSetgid))
	if err != nil {
		f.t.Fatal(err)
	}
}

// adopt adopts the tags named, or all that have no manifest.
func (f *fixture) adopt(names ...string) (*Recording, error) {
	a, err := Record(f.t.Context(), f.Env, fixtureSite{f}, VerifyOptions{Tags: names})
	if err == nil {
		err = a.Publish()
		a.Close()
	}
	return a, err
}

// adoptTags returns what came of the tags.
func (f *fixture) adoptTags(names ...string) []TagReport {
	f.t.Helper()
	a, err := f.adopt(names...)
	if err != nil || len(a.LeftOver) > 0 {
		f.t.Fatal(err, a.LeftOver)
	}
	return a.Reports
}

func TestAnAdoptionThatIsNotPublishedChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.table = writeSomeTable
	ours := f.take(TakeOptions{}).Name
	f.makeOldTag(oldTag)
	f.makeOldTag("etchautotag-20261122-0600")
	a, err := Record(t.Context(), f.Env, fixtureSite{f}, VerifyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	headers := a.Headers()
	if len(headers) != 2 || headers[0].Name != oldTag || headers[0].Tree == "" || headers[0].Tree != headers[1].Tree {
		t.Errorf("got %+v", headers)
	}
	if _, err := Record(t.Context(), f.Env, fixtureSite{f}, VerifyOptions{}); !errors.Is(err, ErrBusy) {
		t.Errorf("another one: %v", err)
	}
	a.Close()
	if r := f.verifyTags(); len(r) != 1 || r[0].Name != ours {
		t.Errorf("these have manifests: %+v", r)
	}
	if left := f.debris(); len(left) > 0 || len(a.LeftOver) > 0 {
		t.Errorf("left behind: %q, %v", left, a.LeftOver)
	}
}

// inodes describes everything in a tag that touching it would change.
func (f *fixture) inodes(tag string) map[string]string {
	f.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(f.Base.Dir(tag), func(path string, _ fs.DirEntry, err error) error {
		var st unix.Stat_t
		err = errors.Join(err, unix.Lstat(path, &st))
		all[path] = fmt.Sprint(st.Ino, st.Nlink, st.Mode, st.Uid, st.Size, st.Mtim, st.Ctim)
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return all
}

func TestAnAdoptedTagIsCleanUntilItChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.table = func(w io.Writer, dir string) (string, error) {
		data, err := os.ReadFile(filepath.Join(dir, "defaults.yml"))
		return "", errors.Join(err, func() error { _, err := w.Write(data); return err }())
	}
	ours := f.take(TakeOptions{}).Name
	f.makeOldTag(oldTag)
	before := f.inodes(oldTag)
	reports := f.adoptTags()
	if len(reports) != 1 || reports[0].Name != oldTag || reports[0].Status != StatusAdopted ||
		reports[0].Failure != nil || reports[0].Files != 6 {
		t.Errorf("got %+v", reports)
	}
	if diff := cmp.Diff(before, f.inodes(oldTag)); diff != "" {
		t.Errorf("the tag was touched: %s", diff)
	}
	if found := f.drift(oldTag); len(found) > 0 {
		t.Errorf("drifted: %q", found)
	}
	m, err := tag.ReadManifest(f.Base.Manifest(oldTag))
	if err != nil {
		t.Fatal(err)
	}
	at, _ := tag.ParseName(oldTag)
	if m.Source != tag.Adopted || m.Layout != tag.Adopted || m.Revision != "" || !m.Published.Equal(at) ||
		len(m.Entries) != 7 {
		t.Errorf("got %+v", m)
	}
	if table, err := os.ReadFile(f.Base.Table(oldTag)); string(table) != "defaults.yml" {
		t.Errorf("the table is %q (%v)", table, err)
	}
	for _, path := range []string{f.Base.Manifest(oldTag), f.Base.Table(oldTag)} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v (%v)", path, info.Mode(), err)
		}
	}
	if left := f.debris(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}

	if err := errors.Join(os.Chmod(f.at(oldTag, "defaults.yml"), 0o600), os.Chmod(f.at(oldTag, "source"), 0o755),
		os.Chmod(f.at(oldTag, "source/tool"), 0o711)); err != nil {
		t.Fatal(err)
	}
	if found := f.drift(oldTag); len(found) > 0 {
		t.Errorf("modes that are as good: %q", found)
	}
	if err := errors.Join(os.Chmod(f.at(oldTag, "defaults.yml"), 0o755), os.Chmod(f.at(oldTag, "nodegrouper"), 0o600),
		os.Chmod(f.at(oldTag, "source/tool"), 0o755|os.ModeSetuid), os.Remove(f.at(oldTag, "source/empty"))); err != nil {
		t.Fatal(err)
	}
	want := []string{"mode: defaults.yml (0755, but it was not executable)", "mode: nodegrouper (0600, but it was executable)",
		"missing: source/empty", "mode: source/tool (4755, but it was executable)"}
	if diff := cmp.Diff(want, f.drift(oldTag)); diff != "" {
		t.Error(diff)
	}
	f.verify(ours, "r1")
}

func TestOnlyTagsWithoutAManifestAreAdopted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ours := f.take(TakeOptions{}).Name
	before, err := os.ReadFile(f.Base.Manifest(ours))
	if err != nil {
		t.Fatal(err)
	}
	if r := f.adoptTags(); len(r) > 0 {
		t.Errorf("adopted %+v", r)
	}
	r := f.adoptTags(ours)
	if len(r) != 1 || r[0].Failure == nil || !strings.Contains(r[0].Failure.Error(), "has a manifest already") {
		t.Errorf("got %+v", r)
	}
	if after, err := os.ReadFile(f.Base.Manifest(ours)); err != nil || string(after) != string(before) {
		t.Errorf("the manifest was replaced (%v)", err)
	}
	if err := os.Truncate(f.Base.Manifest(ours), 10); err != nil {
		t.Fatal(err)
	}
	if r := f.adoptTags(ours); len(r) != 1 || r[0].Failure == nil || !strings.Contains(r[0].Failure.Error(), "damaged") {
		t.Errorf("got %+v", r)
	}
}

func TestWhatNoTagMayHaveIsRefusedByName(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"setuid": func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o755), os.Chmod(p, 0o755|os.ModeSetuid))
		},
		"setgid": func(p string) error {
			return errors.Join(os.WriteFile(p, nil, 0o755), os.Chmod(p, 0o755|os.ModeSetgid))
		},
		"fifo": func(p string) error { return unix.Mkfifo(p, 0o644) },
		"socket": func(p string) error {
			dir, err := os.Open(filepath.Dir(p))
			if err != nil {
				return err
			}
			defer dir.Close()
			name := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(p)) // since p may be too long
			l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: name})
			if err == nil {
				l.SetUnlinkOnClose(false)
				l.Close()
			}
			return err
		},
		"device": func(p string) error { return unix.Mknod(p, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.makeOldTag(oldTag)
			if err := spoil(f.at(oldTag, "source/odd\n")); errors.Is(err, os.ErrPermission) && name == "device" {
				t.Skip("only root can make devices")
			} else if err != nil {
				t.Fatal(err)
			}
			r := f.adoptTags()[0]
			if r.Failure == nil || !strings.Contains(r.Failure.Error(), `"source/odd\n"`) || r.Status != StatusUnverified {
				t.Errorf("got %+v", r)
			}
			if _, err := os.Lstat(f.Base.Manifest(oldTag)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("there is a manifest (%v)", err)
			}
		})
	}
}

func TestAnEmptyTagIsNotAdopted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := os.MkdirAll(f.at(oldTag, "source"), 0o755); err != nil {
		t.Fatal(err)
	}
	if r := f.adoptTags()[0]; r.Failure == nil || !strings.Contains(r.Failure.Error(), "no files") {
		t.Errorf("got %+v", r)
	}
}

func TestAdoptionChangesNoDecision(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for h := range 6 {
		f.makeOldTag(fmt.Sprintf("etchautotag-20261122-%02d00", h))
		if err := os.WriteFile(f.at(fmt.Sprintf("etchautotag-20261122-%02d00", h), "hour"), []byte{byte(h)}, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	decisions := func() (all []string) {
		r := f.resolver()
		for minutes := 0; minutes < 12*60; minutes += 15 {
			at := time.Date(2026, 11, 22, 0, minutes, 0, 0, time.UTC)
			for _, ring := range r.Rings {
				d := r.At(at).RingTag(ring)
				all = append(all, fmt.Sprint(at, ring.Name, d.Tag(), d.Failure))
			}
		}
		return all
	}
	before := decisions()
	if r := f.adoptTags(); len(r) != 6 {
		t.Fatalf("got %+v", r)
	}
	if diff := cmp.Diff(before, decisions()); diff != "" {
		t.Error(diff)
	}
}

func TestTheNextTagIsRightAfterAnAdoptedOne(t *testing.T) {
	t.Parallel()
	eachKindOfSource(t, func(t *testing.T, f *fixture) {
		dir := f.Base.Dir("etchautotag-20261122-0800")
		for key, content := range sampleTree { // the same tree, with modes that are not ours
			path := filepath.Join(dir, strings.TrimRight(key, "*@/"))
			err := os.MkdirAll(filepath.Dir(path), 0o775)
			switch {
			case strings.HasSuffix(key, "@"):
				err = errors.Join(err, os.Symlink(content, path))
			case strings.HasSuffix(key, "/"):
				err = errors.Join(err, os.Mkdir(path, 0o775))
			default:
				err = errors.Join(err, os.WriteFile(path, []byte(content), 0o664))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		f.adoptTags()
		f.take(TakeOptions{})
		for _, r := range f.verifyTags() {
			if r.Status != StatusClean {
				t.Errorf("got %+v", r)
			}
		}
	})
}

func TestAFaultAtAnyStepOfAnAdoptionLeavesAManifestOrNone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	f.table = writeSomeTable
	f.makeOldTag(oldTag)
	asked := map[string]bool{}
	for _, all := range []bool{false, true} {
		for n := 0; ; n++ {
			f.Step = failing(n, all, asked)
			a, err := f.adopt()
			f.Step = nil
			var reports []TagReport
			var leftOver []error
			if a != nil {
				reports, leftOver = a.Reports, a.LeftOver
			}
			what := fmt.Sprintf("operation %d, all after it %v", n, all)
			status := f.verifyTags(oldTag)[0].Status
			adopted := err == nil && reports[0].Status == StatusAdopted
			if want := map[bool]Status{true: StatusClean, false: StatusUnverified}[adopted]; status != want {
				t.Errorf("%s: told %+v, %v, but the tag is %s", what, reports, err, status)
			}
			whole := adopted && len(leftOver) == 0 && len(reports[0].LeftOver) == 0 && len(f.warned) == 0
			if !whole && err == nil && len(f.warned) == 0 && !mentionsLuck(leftOver, reports[0]) {
				t.Errorf("%s: told %+v, %v", what, reports, leftOver)
			}
			f.warned = nil
			f.adoptTags()
			if r := f.verifyTags(); len(r) != 1 || r[0].Status != StatusClean {
				t.Errorf("%s: after the next run: %+v", what, r)
			}
			if left, err := FindDebris(f.Base); len(left) > 0 || err != nil {
				t.Errorf("%s: left behind: %v, %v", what, left, err)
			}
			if whole {
				break
			}
			if err := os.Remove(f.Base.Manifest(oldTag)); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Remove(f.Base.Manifest(oldTag)), os.Remove(f.Base.Table(oldTag))); err != nil {
			t.Fatal(err)
		}
	}
	for _, label := range []string{"take lock", "make stage", "write table", "write manifest", "sync stage", "publish table",
		"sync tables", "publish manifest", "sync manifests", "remove stage"} {
		if !asked[label] {
			t.Errorf("no fault was tried at %q", label)
		}
	}
}
