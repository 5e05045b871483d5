package snapshot

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// at is a path in a tag.
func (f *fixture) at(tag, path string) string { return filepath.Join(f.Base.Dir(tag), path) }

// edit writes to a file of a tag in place, whatever its mode, which stays.
func (f *fixture) edit(tag, path, content string) {
	f.t.Helper()
	name := f.at(tag, path)
	info, err := os.Stat(name)
	err = errors.Join(err, os.Chmod(name, 0o644), os.WriteFile(name, []byte(content), 0o644))
	if err == nil {
		err = os.Chmod(name, info.Mode())
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

// verifyTags returns what Verify says of the tags.
func (f *fixture) verifyTags(names ...string) []TagReport {
	f.t.Helper()
	reports, err := Verify(f.t.Context(), f.Base, VerifyOptions{Tags: names})
	if err != nil {
		f.t.Fatal(err)
	}
	return reports
}

// drift returns the findings of one tag as text.
func (f *fixture) drift(name string) []string {
	f.t.Helper()
	var found []string
	for _, finding := range f.verifyTags(name)[0].Findings {
		found = append(found, finding.String())
	}
	return found
}

func TestEveryKindOfDriftIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	replace := func(path string, with func(string) error) error { return errors.Join(os.Remove(path), with(path)) }
	for _, test := range []struct {
		name, path string
		change     func(path string) error
		want       []string // with the mode of files of the layout auto
	}{
		{"nothing", "", func(string) error { return nil }, nil},
		{"times", "defaults.yml", func(p string) error { return os.Chtimes(p, time.Unix(1, 0), time.Unix(1, 0)) }, nil},
		{"contents of the same size", "defaults.yml",
			func(p string) error { return os.WriteFile(p, []byte("a: 2\n"), 0) },
			[]string{"changed: defaults.yml (other contents)"}},
		{"longer contents", "defaults.yml",
			func(p string) error { return os.WriteFile(p, []byte("a: 10\n"), 0) },
			[]string{"changed: defaults.yml (6 bytes, not 5)"}},
		{"file that is a link", "defaults.yml",
			func(p string) error { return replace(p, func(p string) error { return os.Symlink("x", p) }) },
			[]string{"changed: defaults.yml (a symbolic link, not a file)"}},
		{"file that is a directory", "defaults.yml",
			func(p string) error { return replace(p, func(p string) error { return os.MkdirAll(p+"/x", 0o755) }) },
			[]string{"changed: defaults.yml (a directory, not a file)"}},
		{"directory that is a file", "source/etc/motd",
			func(p string) error { return errors.Join(os.RemoveAll(p), os.WriteFile(p, nil, 0o644)) },
			[]string{"changed: source/etc/motd (a file, not a directory)"}},
		{"directory that is a link", "a",
			func(p string) error { return errors.Join(os.Rename(p, p+".b/y"), os.Symlink("a.b/y", p)) },
			[]string{"changed: a (a symbolic link, not a directory)", "extra: a.b/y (a directory)"}},
		{"file that is gone", "defaults.yml", os.Remove, []string{"missing: defaults.yml"}},
		{"link that is gone", "source/link", os.Remove, []string{"missing: source/link"}},
		{"empty directory that is gone", "source/empty", os.Remove, []string{"missing: source/empty"}},
		{"directory that is gone", "source", os.RemoveAll, []string{"missing: source (a directory with 6 entries)"}},
		{"new file", "new", func(p string) error { return os.WriteFile(p, nil, 0o644) }, []string{"extra: new (a file)"}},
		{"new file in an empty directory", "source/empty/x",
			func(p string) error { return os.WriteFile(p, nil, 0o644) }, []string{"extra: source/empty/x (a file)"}},
		{"new directory", "new", func(p string) error { return os.MkdirAll(p+"/x/y", 0o755) },
			[]string{"extra: new (a directory)"}},
		{"fifo", "new", func(p string) error { return unix.Mkfifo(p, 0o644) }, []string{"extra: new (a fifo)"}},
		{"file that is a fifo", "defaults.yml",
			func(p string) error { return replace(p, func(p string) error { return unix.Mkfifo(p, 0o644) }) },
			[]string{"changed: defaults.yml (a fifo, not a file)"}},
		{"odd name", "new\n", func(p string) error { return os.WriteFile(p, nil, 0o644) },
			[]string{`extra: "new\n" (a file)`}},
		{"mode of a file", "defaults.yml", func(p string) error { return os.Chmod(p, 0o600) },
			[]string{"mode: defaults.yml (0600, not 0644)"}},
		{"executable", "nodegrouper", func(p string) error { return os.Chmod(p, 0o644) },
			[]string{"mode: nodegrouper (0644, not 0755)"}},
		{"setuid", "nodegrouper", func(p string) error { return os.Chmod(p, 0o755|os.ModeSetuid) },
			[]string{"mode: nodegrouper (4755, not 0755)"}},
		{"mode of a directory", "source", func(p string) error { return os.Chmod(p, 0o700) },
			[]string{"mode: source (0700, not 0755)"}},
		{"mode of the tag", "", func(p string) error { return os.Chmod(p, 0o777) }, []string{"mode: . (0777, not 0755)"}},
		{"link's target", "source/link",
			func(p string) error { return replace(p, func(p string) error { return os.Symlink("etc/mot", p) }) },
			[]string{`link: source/link (it leads to "etc/mot")`}},
		{"two things", "source/etc/ntp.conf",
			func(p string) error { return errors.Join(os.WriteFile(p, []byte("x"), 0), os.Chmod(p, 0o600)) },
			[]string{"changed: source/etc/ntp.conf (1 bytes, not 9)", "mode: source/etc/ntp.conf (0600, not 0644)"}},
	} {
		for _, files := range []staged.Layout{staged.Auto, staged.Hardlink} {
			t.Run(test.name+"/"+string(files), func(t *testing.T) {
				f := newFixture(t)
				f.Layout = files
				tag := f.take(TakeOptions{}).Name
				if err := test.change(f.at(tag, test.path)); err != nil && os.Geteuid() == 0 {
					t.Fatal(err)
				} else if err != nil {
					t.Skipf("only root writes to read-only files: %v", err)
				}
				want := slices.Clone(test.want)
				for i := range want {
					if files == staged.Hardlink {
						want[i] = strings.NewReplacer("not 0644", "not 0444", "0644, not 0755", "0644, not 0555",
							"4755, not 0755", "4755, not 0555").Replace(want[i])
					}
				}
				if diff := cmp.Diff(want, f.drift(tag)); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestWhatBelongsToAnotherUserIsFound(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := newFixture(t)
	tag := f.take(TakeOptions{}).Name
	for _, path := range []string{"defaults.yml", "source/link"} {
		if err := os.Lchown(f.at(tag, path), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"owner: defaults.yml (user 65534, not 0)", "owner: source/link (user 65534, not 0)"}
	if diff := cmp.Diff(want, f.drift(tag)); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyFindsExactlyTheFilesThatWereTouched(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tag := f.take(TakeOptions{}).Name
	var files []string
	for path := range sampleTree {
		if path = strings.TrimRight(path, "*"); !strings.HasSuffix(path, "@") && !strings.HasSuffix(path, "/") {
			files = append(files, path)
		}
	}
	slices.Sort(files)
	rapid.Check(t, func(r *rapid.T) {
		touched := rapid.SliceOfNDistinct(rapid.SampledFrom(files), 0, len(files), rapid.ID).Draw(r, "touched")
		for _, path := range touched {
			original := sampleTree[path] + sampleTree[path+"*"]
			edited := []byte(original)
			edited[rapid.IntRange(0, len(edited)-1).Draw(r, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(r, "bit")
			f.edit(tag, path, string(edited))
			defer f.edit(tag, path, original)
		}
		var found []string
		for _, finding := range f.verifyTags(tag)[0].Findings {
			if finding.Kind != staged.Changed {
				r.Errorf("%s", finding)
			}
			found = append(found, finding.Path)
		}
		slices.Sort(touched)
		if !slices.Equal(found, touched) {
			r.Errorf("found %q, touched %q", found, touched)
		}
	})
}

func TestTheManifestItselfCanBeDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(text []byte) []byte{
		"empty":            func([]byte) []byte { return nil },
		"header cut":       func(b []byte) []byte { return b[:100] },
		"entries cut":      func(b []byte) []byte { return b[:len(b)-10] },
		"entry changed":    func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"header changed":   func(b []byte) []byte { return bytes.Replace(b, []byte("revision r1"), []byte("revision r2"), 1) },
		"of another tag":   func(b []byte) []byte { return nil }, // see below
		"entry added":      func(b []byte) []byte { return append(b, "f 1 00 x\n"...) },
		"not a manifest":   func([]byte) []byte { return []byte("hello\n\nworld\n") },
		"of another kind":  func(b []byte) []byte { return bytes.Replace(b, []byte("manifest 2"), []byte("manifest 3"), 1) },
		"without an entry": func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			tag := f.take(TakeOptions{}).Name
			text, err := os.ReadFile(f.Base.Manifest(tag))
			if err != nil {
				t.Fatal(err)
			}
			if text = damage(text); name == "of another tag" {
				f.now = f.now.Add(time.Hour)
				if text, err = os.ReadFile(f.Base.Manifest(f.take(TakeOptions{}).Name)); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(f.Base.Manifest(tag), text, 0o644); err != nil {
				t.Fatal(err)
			}
			for _, names := range [][]string{nil, {tag}} { // a damaged manifest is a manifest
				reports := f.verifyTags(names...)
				r := reports[len(reports)-1]
				if r.Name != tag || r.Status != StatusDrifted || len(r.Findings) != 1 || r.Findings[0].Kind != staged.BadManifest {
					t.Errorf("got %+v", r)
				}
			}
		})
	}
}

func TestALayoutThatIsNotKnownIsNotDrift(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	made := f.take(TakeOptions{}).Name
	m, err := tag.ReadManifest(f.Base.Manifest(made))
	if err != nil {
		t.Fatal(err)
	}
	m.Layout = "compressed"
	var text bytes.Buffer
	if err := errors.Join(tag.WriteManifest(&text, m), os.WriteFile(f.Base.Manifest(made), text.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	if r := f.verifyTags(made)[0]; r.Status != StatusUnread || !strings.Contains(r.Findings[0].Detail, "compressed") {
		t.Errorf("got %+v", r)
	}
}

func TestTagsAreVerifiedNewestFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var names []string
	for range 3 {
		names = append(names, f.take(TakeOptions{}).Name)
		f.now = f.now.Add(time.Hour)
	}
	if err := os.Mkdir(f.Base.Dir("etchautotag-20261101-0000"), 0o755); err != nil {
		t.Fatal(err)
	}
	var done atomic.Int64
	reports, err := Verify(t.Context(), f.Base, VerifyOptions{Progress: func(n, total int) {
		done.Add(1)
		if total != 30 || n > total {
			t.Errorf("%d of %d files", n, total)
		}
	}})
	if err != nil || len(reports) != 3 || done.Load() != 30 {
		t.Fatalf("%d reports, %d files: %v", len(reports), done.Load(), err)
	}
	for i, r := range reports {
		if r.Name != names[2-i] || r.Status != StatusClean || r.Files != 10 {
			t.Errorf("got %+v, want %s, clean", r, names[2-i])
		}
	}
	r := f.verifyTags("etchautotag-20261101-0000")
	if len(r) != 1 || r[0].Status != StatusUnverified || len(r[0].Findings) > 0 {
		t.Errorf("a tag without a manifest: got %+v", r)
	}
}

func TestATagThatIsPrunedMeanwhileIsNoError(t *testing.T) {
	t.Parallel()
	for _, removed := range []int{1, 6} { // files that are read before that
		f := newFixture(t)
		tag := f.take(TakeOptions{}).Name
		var read atomic.Int64
		reports, err := Verify(t.Context(), f.Base, VerifyOptions{Tags: []string{tag}, Progress: func(int, int) {
			if read.Add(1) == int64(removed) {
				err := errors.Join(os.Rename(f.Base.Dir(tag), f.Base.Dir("x")), os.RemoveAll(f.Base.Dir("x")))
				if err != nil {
					t.Error(err)
				}
			}
		}})
		if err != nil || len(reports) != 1 {
			t.Fatalf("got %+v, %v", reports, err)
		}
		if r := reports[0]; r.Status != StatusGone && r.Status != StatusClean || len(r.Findings) > 0 {
			t.Errorf("got %+v", r)
		}
	}
}

func TestATagThatIsReplacedMeanwhileIsVerifiedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tag := f.take(TakeOptions{}).Name
	f.now = f.now.Add(time.Hour)
	if err := os.Rename(f.Base.Dir(f.take(TakeOptions{}).Name), f.Base.Dir("fresh")); err != nil {
		t.Fatal(err)
	}
	f.edit(tag, "defaults.yml", "a: 2\n")
	var read atomic.Int64
	reports, err := Verify(t.Context(), f.Base, VerifyOptions{Tags: []string{tag}, Progress: func(int, int) {
		if read.Add(1) == 1 {
			if err := f.files().Exchange("exchange", f.Base.Dir("fresh"), f.Base.Dir(tag)); err != nil {
				t.Error(err)
			}
			if err := os.RemoveAll(f.Base.Dir("fresh")); err != nil {
				t.Error(err)
			}
		}
	}})
	if err != nil || len(reports) != 1 || reports[0].Status != StatusClean {
		t.Errorf("got %+v, %v", reports, err)
	}
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.take(TakeOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Verify(ctx, f.Base, VerifyOptions{Progress: func(int, int) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
