package aside

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

const edits = "20261122-110000"

var thatTime = time.Date(2026, 11, 20, 12, 34, 56, 0, time.UTC)

// newDiscards makes a directory in which one directory of local edits was set aside, with all that can be in one.
func newDiscards(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	l := filepath.Join(base, "discarded")
	dir := filepath.Join(l, edits)
	outside := filepath.Join(base, "outside")
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "source", "etc"), 0o700),
		os.MkdirAll(filepath.Join(dir, "source", "empty"), 0o700),
		os.Mkdir(outside, 0o700),
		os.WriteFile(filepath.Join(outside, "secret"), []byte("secret"), 0o600),
		os.WriteFile(filepath.Join(dir, "source", "etc", "motd"), []byte("edited\n"), 0o640),
		os.WriteFile(filepath.Join(dir, "source", "etc", "run"), []byte("#!"), 0o700),
		os.WriteFile(filepath.Join(dir, "odd\n\xffname"), []byte("odd"), 0o600),
		os.Symlink(outside, filepath.Join(dir, "out")),
		os.Symlink("../../nowhere", filepath.Join(dir, "source", "dangling")),
		unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600),
		os.Chmod(filepath.Join(dir, "source", "etc", "run"), 0o755|os.ModeSetuid),
		os.Chtimes(filepath.Join(dir, "source", "etc", "motd"), thatTime, thatTime),
		os.Chmod(filepath.Join(dir, "source", "empty"), 0o555),
	); err != nil {
		t.Fatal(err)
	}
	return l
}

func openRun(t *testing.T, l string) *Tree {
	t.Helper()
	tree, err := Open(l, edits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

func TestWhatWasSetAsideIsListedNewestFirst(t *testing.T) {
	t.Parallel()
	l := newDiscards(t)
	for _, name := range []string{"20261122-120000-working-copy", "20261122-110000-1", "not ours", "20261122-110000x"} {
		if err := os.Mkdir(filepath.Join(l, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(l, "20261122-130000"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := List(l)
	if err != nil {
		t.Fatal(err)
	}
	eleven := time.Date(2026, 11, 22, 11, 0, 0, 0, time.UTC)
	want := []Run{
		{Name: "20261122-120000-working-copy", Time: eleven.Add(time.Hour)},
		{Name: "20261122-110000-1", Time: eleven},
		{Name: edits, Time: eleven, Files: 6, Bytes: int64(len("edited\n#!odd../../nowhere") + len(filepath.Dir(l)+"/outside")),
			First: []string{"fifo", "odd\n\xffname", "out", "source/dangling", "source/etc/motd"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

func TestNothingSetAsideIsNoError(t *testing.T) {
	t.Parallel()
	if got, err := List(filepath.Join(t.TempDir(), "discarded")); len(got) > 0 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestNothingOutsideIsReadThroughWhatWasSetAside(t *testing.T) {
	t.Parallel()
	l := newDiscards(t)
	tree := openRun(t, l)
	var seen []string
	if err := tree.Walk(".", func(f File) error { seen = append(seen, f.Path); return nil }); err != nil {
		t.Fatal(err)
	}
	want := []string{"fifo", "odd\n\xffname", "out", "source", "source/dangling", "source/empty", "source/etc",
		"source/etc/motd", "source/etc/run"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
	for _, p := range []string{"out/secret", "../" + edits + "/out", "../../../../outside/secret", "/etc/passwd", "fifo", "none", "source", ""} {
		var b bytes.Buffer
		if err := tree.WriteFile(&b, p); err == nil || b.Len() > 0 {
			t.Errorf("%q gives %q, %v", p, b.String(), err)
		}
	}
	for p, want := range map[string]string{"out": filepath.Dir(l) + "/outside", "source/../source/etc/motd": "edited\n"} {
		var b bytes.Buffer
		if err := tree.WriteFile(&b, p); err != nil || b.String() != want {
			t.Errorf("%q gives %q, %v", p, b.String(), err)
		}
	}
	for _, name := range []string{"..", "../stage", "not ours", "", edits + "/source", "20261122-999999"} {
		if _, err := Open(l, name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("opening %q: %v", name, err)
		}
	}
}

// describeTree lists what stands below dir: its path, mode, and contents or target.
func describeTree(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		text := fmt.Sprintf("%s %s", info.Mode(), rel)
		switch info.Mode().Type() {
		case 0:
			data, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" = %q", data)
		case fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			text = "link " + rel + " -> " + target
		}
		found = append(found, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEverythingIsRestoredWithItsModesAndLinks(t *testing.T) {
	t.Parallel()
	l := newDiscards(t)
	to := filepath.Join(t.TempDir(), "a", "b")
	r, err := openRun(t, l).Restore(to, nil, nil)
	if err != nil || r.Files != 5 || !slices.Equal(r.Left, []string{"fifo"}) {
		t.Errorf("got %+v, %v", r, err)
	}
	want := []string{
		`-rw------- odd` + "\n\xff" + `name = "odd"`,
		"link out -> " + filepath.Dir(l) + "/outside",
		"drwx------ source",
		"link source/dangling -> ../../nowhere",
		"dr-xr-xr-x source/empty",
		"drwx------ source/etc",
		`-rw-r----- source/etc/motd = "edited\n"`,
		`-rwxr-xr-x source/etc/run = "#!"`,
	}
	if diff := cmp.Diff(want, describeTree(t, to)); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
	if info, err := os.Stat(filepath.Join(to, "source/etc/motd")); err != nil || !info.ModTime().Equal(thatTime) {
		t.Errorf("%v, %v", info.ModTime(), err)
	}
	if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestChosenPathsAreRestoredBesideWhatIsThere(t *testing.T) {
	t.Parallel()
	l := newDiscards(t)
	to := t.TempDir()
	if err := os.MkdirAll(filepath.Join(to, "source", "mine"), 0o755); err != nil {
		t.Fatal(err)
	}
	r, err := openRun(t, l).Restore(to, []string{"source/etc/motd", "source/etc", "out", "source/etc/", "source/empty"}, nil)
	if err != nil || r.Files != 3 || len(r.Left) > 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	want := []string{"link out -> " + filepath.Dir(l) + "/outside", "drwxr-xr-x source", "dr-xr-xr-x source/empty", "drwx------ source/etc",
		`-rw-r----- source/etc/motd = "edited\n"`, `-rwxr-xr-x source/etc/run = "#!"`, "drwxr-xr-x source/mine"}
	if diff := cmp.Diff(want, describeTree(t, to)); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

func TestARestoreThatCannotBeWholeChangesNothing(t *testing.T) {
	t.Parallel()
	l := newDiscards(t)
	elsewhere := t.TempDir()
	for name, test := range map[string]struct {
		prepare func(to string) error
		paths   []string
		says    string
	}{
		"a file is in the way": {func(to string) error { return os.WriteFile(filepath.Join(to, "out"), nil, 0o600) }, nil, `"out"`},
		"a dangling link is in the way": {func(to string) error { return os.Symlink("nowhere", filepath.Join(to, "source")) },
			[]string{"odd\n\xffname", "source"}, `"source"`},
		"a directory is in the way": {func(to string) error { return os.MkdirAll(filepath.Join(to, "source"), 0o700) }, nil, `"source"`},
		"a path is not there":       {nil, []string{"out", "none"}, "none"},
		"a path leads out":          {nil, []string{"out", "../x"}, "../x"},
		"a path goes over a link":   {nil, []string{"source", "out/secret"}, "out"},
		"a link leads elsewhere": {func(to string) error { return os.Symlink(elsewhere, filepath.Join(to, "source")) },
			[]string{"source/etc/motd"}, "source"},
		"a link leads to a directory beside": {func(to string) error {
			return errors.Join(os.Mkdir(filepath.Join(to, "beside"), 0o700), os.Symlink("beside", filepath.Join(to, "source")))
		}, []string{"source/etc/motd"}, "source"},
		"a file is where a directory should be": {func(to string) error { return os.WriteFile(filepath.Join(to, "source"), nil, 0o600) },
			[]string{"source/etc/motd"}, "source"},
	} {
		to := t.TempDir()
		if test.prepare != nil {
			if err := test.prepare(to); err != nil {
				t.Fatal(err)
			}
		}
		before := describeTree(t, to)
		_, err := openRun(t, l).Restore(to, test.paths, nil)
		if err == nil || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, describeTree(t, to)); diff != "" {
			t.Errorf("%s: before (-), after (+):\n%s", name, diff)
		}
	}
	if left := describeTree(t, elsewhere); len(left) > 0 {
		t.Errorf("written elsewhere: %q", left)
	}
}

func TestAFaultWhileRestoringIsToldAndLeavesNoHalfFile(t *testing.T) {
	t.Parallel()
	l := newDiscards(t)
	for _, label := range []string{"make restore directory", "copy directory", "copy file", "copy link"} {
		to := filepath.Join(t.TempDir(), "to")
		broken := errors.New("no luck")
		hit := 0
		r, err := openRun(t, l).Restore(to, nil, func(at string) error {
			if at == label {
				hit++
				return broken
			}
			return nil
		})
		if !errors.Is(err, broken) || hit != 1 {
			t.Errorf("%s: %v, hit %d times", label, err, hit)
		}
		files := 0
		if _, err := os.Stat(to); err == nil {
			for _, text := range describeTree(t, to) {
				if !strings.HasPrefix(text, "d") {
					files++
				}
			}
		}
		if files != r.Files {
			t.Errorf("%s: %d files were said to be restored, %d are there", label, r.Files, files)
		}
	}
}
