package dir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
)

// pauses is a clock for Dir that only notes how long it would have waited.
type pauses []time.Duration

func (p *pauses) sleep(_ context.Context, d time.Duration) error {
	*p = append(*p, d)
	return nil
}

// plainTree is a small tree to publish, and a directory to publish it in.
type plainTree struct {
	src, dst string
}

func newPlainTree(t *testing.T) *plainTree {
	t.Helper()
	base := t.TempDir()
	r := &plainTree{src: filepath.Join(base, "src"), dst: filepath.Join(base, "dst")}
	testbed.EditTree(t, r.src, []testbed.Edit{
		testbed.Write("f", "contents\n"), testbed.Write("d/g", "in a directory\n"), testbed.Script("run", "#!/bin/sh\n"), testbed.Symlink("l", "f"), testbed.EmptyDirectory("empty"), testbed.Write("z", "the last\n"),
	})
	testbed.Must(t, os.Mkdir(r.dst, 0o700))
	return r
}

func (r *plainTree) path(name string) string { return filepath.Join(r.src, name) }

func (r *plainTree) plain(p *pauses) *Source {
	return New(Options{Dir: r.src, TreeHash: testTreeHash, Sleep: p.sleep})
}

// restless changes a file each time that something asks whether the context has ended, for so many times: Dir asks at
// every path.
type restless struct {
	context.Context
	file string
	left int
}

func (c *restless) Err() error {
	if c.left--; c.left >= 0 {
		if err := os.WriteFile(c.file, fmt.Append(nil, c.left), 0o644); err != nil {
			return err
		}
	}
	return c.Context.Err()
}

func TestDirIsReadAgainUntilItHoldsStill(t *testing.T) {
	t.Parallel()
	r := newPlainTree(t)
	var waited pauses
	current, err := r.plain(&waited).Current(&restless{t.Context(), r.path("f"), 20})
	if err != nil || len(waited) == 0 {
		t.Fatalf("Current: %v after %v", err, waited)
	}
	waited = nil
	changes := 3
	export, err := r.plain(&waited).Export(t.Context(), current, r.dst, source.ExportOptions{Room: func([]source.Entry) error {
		if changes--; changes < 0 {
			return nil
		}
		return os.Rename(r.path("f"), r.path("f")+"x")
	}})
	if err == nil || len(waited) != 1 { // the second time there is nothing to rename
		t.Fatalf("Export: %v, %v after %v", export, err, waited)
	}
	waited, changes = nil, 3
	export, err = r.plain(&waited).Export(t.Context(), current, r.dst, source.ExportOptions{Room: func([]source.Entry) error {
		if changes--; changes < 0 {
			return nil
		}
		return os.WriteFile(r.path(fmt.Sprint("new", changes)), nil, 0o644)
	}})
	if err != nil || len(waited) != 3 {
		t.Fatalf("Export: %v after %v", err, waited)
	}
	testbed.ListDir(t, r.dst).Same(t, "what was exported", testbed.ListDir(t, r.src))
	if export.Revision.ID == current.ID || len(export.Warnings) != 1 || !strings.Contains(export.Warnings[0], current.ID) {
		t.Errorf("the export says %v, %q", export.Revision, export.Warnings)
	}
}

func TestDirThatNeverHoldsStillIsGivenUp(t *testing.T) {
	t.Parallel()
	r := newPlainTree(t)
	var waited pauses
	d := r.plain(&waited)
	n := 0
	for name, read := range map[string]func() error{
		"Current": func() error { _, err := d.Current(&restless{t.Context(), r.path("f"), 1 << 20}); return err },
		"Update":  func() error { _, err := d.Update(&restless{t.Context(), r.path("f"), 1 << 20}); return err },
		"Export": func() error {
			_, err := d.Export(t.Context(), source.Revision{}, r.dst, source.ExportOptions{Room: func([]source.Entry) error {
				n++
				return os.WriteFile(r.path("f"), fmt.Append(nil, n), 0o644)
			}})
			return err
		},
	} {
		waited = nil
		err := read()
		var unsteady *workcopy.UnsteadyError
		if !errors.As(err, &unsteady) || !slices.Equal(unsteady.Paths, []string{"f"}) || !strings.Contains(err.Error(), `"f"`) {
			t.Errorf("%s: got %v", name, err)
		}
		want := pauses{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}
		if !slices.Equal(waited, want) {
			t.Errorf("%s: waited %v, want %v", name, waited, want)
		}
	}
}

func TestDirStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	r := newPlainTree(t)
	d := New(Options{Dir: r.src, TreeHash: testTreeHash})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := d.Export(ctx, source.Revision{}, r.dst, source.ExportOptions{Room: func([]source.Entry) error {
		time.AfterFunc(0, cancel)
		return os.WriteFile(r.path("new"), nil, 0o644)
	}})
	if err == nil {
		t.Error("Export succeeded")
	}
	if err := workcopy.Sleep(ctx, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("sleep: %v", err)
	}
}

func TestRevisionOfADirIsItsContentsAndNewestTime(t *testing.T) {
	t.Parallel()
	r := newPlainTree(t)
	d := r.plain(new(pauses))
	newest := testbed.TheTime.Add(123456789)
	testbed.EditTree(t, r.src, []testbed.Edit{testbed.Write(".svn/wc.db", "x"), testbed.Write("d/CVS/Entries", "x")})
	for _, name := range []string{"f", "d/g", "run", "z", "empty", "d", "."} {
		if err := os.Chtimes(r.path(name), testbed.TheTime, testbed.TheTime); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Remove(r.path("l")), os.Chtimes(r.path("."), testbed.TheTime, testbed.TheTime),
		os.Chtimes(r.path("d/g"), newest, newest)); err != nil {
		t.Fatal(err)
	}
	first, err := d.Current(t.Context())
	if err != nil || !first.Time.Equal(newest) || first.Time.Location() != time.UTC {
		t.Fatalf("Current is %v, %v, want the time %v", first, err, newest)
	}
	testbed.WriteTestFile(t, r.path(".svn/wc.db"), "y")
	if same, err := d.Current(t.Context()); err != nil || same != first {
		t.Errorf("Current is %v, %v, was %v", same, err, first)
	}
	for _, e := range []testbed.Edit{
		testbed.Write("f", "CONTENTS\n"), testbed.Script("f", "CONTENTS\n"), testbed.Remove("f"), testbed.Symlink("f", "z"), testbed.Symlink("f", "run"),
		testbed.EmptyDirectory("new"), testbed.Rename("new", "new2"), testbed.Remove("empty"),
	} {
		testbed.EditTree(t, r.src, []testbed.Edit{e})
		next, err := d.Current(t.Context())
		if err != nil || next.ID == first.ID {
			t.Errorf("after %+v Current is %v, %v, was %v", e, next, err, first)
		}
		first = next
	}
}

func TestDirWithoutFilesIsAnError(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	testbed.WriteTestFile(t, filepath.Join(base, "file"), "x")
	testbed.EditTree(t, base, []testbed.Edit{testbed.EmptyDirectory("empty"), testbed.EmptyDirectory("dirs/in/dirs"), testbed.Write("metadata/.svn/entries", "x")})
	for name, says := range map[string]string{
		"none": "no such file", "empty": "is empty", "dirs": "is empty", "metadata": "is empty", "file": "not a directory",
	} {
		d := New(Options{Dir: filepath.Join(base, name), TreeHash: testTreeHash, Sleep: noSleep})
		_, updated := d.Update(t.Context())
		_, current := d.Current(t.Context())
		_, exported := d.Export(t.Context(), source.Revision{}, t.TempDir(), source.ExportOptions{})
		for _, err := range []error{updated, current, exported} {
			if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	d := New(Options{Dir: filepath.Join(base, "none"), TreeHash: testTreeHash})
	if _, err := d.Current(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: got %v", err)
	}
}

func TestDirHasNoRevisionButThePresentOne(t *testing.T) {
	t.Parallel()
	r := newPlainTree(t)
	d := r.plain(new(pauses))
	first, err := d.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{first.ID, first.ID[:minPrefix], first.ID[:20]} {
		if got, err := d.Resolve(t.Context(), name); err != nil || got != first {
			t.Errorf("Resolve(%q): %v, %v", name, got, err)
		}
	}
	for _, name := range []string{"", first.ID[:minPrefix-1], first.ID + "0", "main"} {
		if got, err := d.Resolve(t.Context(), name); err == nil {
			t.Errorf("Resolve(%q): %v", name, got)
		}
	}
	testbed.EditTree(t, r.src, []testbed.Edit{testbed.Write("f", "another\n")})
	if _, err := d.Resolve(t.Context(), first.ID); err == nil || !strings.Contains(err.Error(), "present one") {
		t.Errorf("an earlier revision: %v", err)
	}
}

func TestDirMayBeALinkAndIsNeverForeign(t *testing.T) {
	t.Parallel()
	r := newPlainTree(t)
	link := r.src + "-link"
	if err := os.Symlink(r.src, link); err != nil {
		t.Fatal(err)
	}
	d := r.plain(new(pauses)).At(link).(*Source)
	current, err := d.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	export, err := d.Export(t.Context(), current, r.dst, source.ExportOptions{})
	if err != nil || export.Revision != current || len(export.Warnings) > 0 {
		t.Errorf("Export: %+v, %v", export, err)
	}
	testbed.ListDir(t, r.dst).Same(t, "what was exported", testbed.ListDir(t, r.src))
	if reason, err := d.Foreign(); reason != "" || err != nil {
		t.Errorf("Foreign: %q, %v", reason, err)
	}
	_, err = d.Clone(t.Context())
	if err == nil || !strings.Contains(err.Error(), link) || !strings.Contains(err.Error(), "rsync") {
		t.Errorf("Clone: %v", err)
	}
}

// The tree of another tool may be made of mounts: it is only read.
func TestWhatIsMountedInAPlainTreeIsPublished(t *testing.T) {
	t.Parallel()
	r := newDirRig(t)
	r.Commit(testbed.Write("defaults.yml", "a: 1\n"))
	mounttest.Directory(t, filepath.Join(r.Dir(), "big"))
	s := r.Source(sourcetest.RigOptions{})
	out, err := s.Update(t.Context())
	testbed.Must(t, err)
	sourcetest.PublishedBy(t, s, out.Revision).Same(t, "what is published",
		testbed.Listing{"defaults.yml": testbed.Describe(source.Regular, "a: 1\n"), "big": testbed.Describe(source.Directory, ""), "big/gold": testbed.Describe(source.Regular, "gold")})
}
