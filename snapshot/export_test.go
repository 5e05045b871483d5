package snapshot

import (
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/staged"
)

// plain is memory as a source whose revisions can only be copied as a whole.
type plain struct {
	m       *memory
	dir     string // of the working copy
	foreign string // the reason, for as long as no working copy was made
}

func (p *plain) Kind() string                                       { return "dir" }
func (p *plain) At(dir string) source.Source                        { return &plain{p.m, dir, ""} }
func (p *plain) Foreign() (string, error)                           { return p.foreign, nil }
func (p *plain) Update(ctx context.Context) (source.Outcome, error) { return p.m.Update(ctx) }
func (p *plain) Current(ctx context.Context) (source.Revision, error) {
	return p.m.Current(ctx)
}
func (p *plain) Resolve(ctx context.Context, name string) (source.Revision, error) {
	return p.m.Resolve(ctx, name)
}

func (p *plain) Clone(ctx context.Context) (source.Outcome, error) {
	if p.m.updateErr == nil {
		if err := os.WriteFile(filepath.Join(p.dir, "fresh"), nil, 0o644); err != nil {
			return source.Outcome{}, err
		}
	}
	return p.m.Update(ctx)
}

// Export writes files with the modes that a private umask would give them.
func (p *plain) Export(ctx context.Context, r source.Revision, dir string, o source.ExportOptions) (source.Export, error) {
	if p.m.exportErr != nil {
		return source.Export{}, p.m.exportErr
	}
	tree, err := p.m.Tree(ctx, r)
	if err != nil {
		return source.Export{}, err
	}
	if err := o.Room(tree.Entries()); err != nil {
		return source.Export{}, err
	}
	e := source.Export{Revision: source.Revision{ID: r.ID + "-exported"}}
	for _, entry := range tree.Entries() {
		content := p.m.revisions[r.ID][entry.Path+modeSuffix[entry.Mode]]
		exported := source.ExportedEntry{Entry: entry, Hash: sha256.Sum256([]byte(content))}
		name := filepath.Join(dir, entry.Path)
		err := os.MkdirAll(filepath.Dir(name), 0o700)
		switch entry.Mode {
		case source.Symlink:
			err = errors.Join(err, os.Symlink(content, name))
		case source.Directory:
			err = errors.Join(err, os.Mkdir(name, 0o700))
			exported.Hash = [sha256.Size]byte{}
		default:
			err = errors.Join(err, os.WriteFile(name, []byte(content), 0o600), os.Chtimes(name, CommitTime, CommitTime))
		}
		if err != nil {
			return e, err
		}
		e.Entries = append(e.Entries, exported)
	}
	return e, nil
}

func newPlainFixture(t *testing.T, files staged.Layout) *fixture {
	f := newFixture(t)
	f.Layout, f.Source = files, &plain{m: f.source, dir: f.Base.Trunk()}
	if err := os.MkdirAll(f.Base.Trunk(), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(f.Base.Trunk(), "old"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return f
}

// published fails the test unless the tag is what the source exported of a revision.
func (f *fixture) published(name, revision string) {
	f.t.Helper()
	f.source.revisions[revision+"-exported"] = f.source.revisions[revision]
	f.verify(name, revision+"-exported")
}

func TestAnExportedTreeBecomesATagWithTheRightModes(t *testing.T) {
	t.Parallel()
	for files, mode := range map[staged.Layout]os.FileMode{staged.Auto: 0o644, staged.Hardlink: 0o444} {
		t.Run(string(files), func(t *testing.T) {
			f := newPlainFixture(t, files)
			first := f.take(TakeOptions{})
			f.published(first.Name, "r1")
			if first.Revision != "r1-exported" {
				t.Errorf("the result names revision %q, not the one that was exported", first.Revision)
			}
			f.now = f.now.Add(time.Hour)
			f.commit("r2", map[string]string{"defaults.yml": "a: 2\n"})
			second := f.take(TakeOptions{})
			f.published(first.Name, "r1")
			f.published(second.Name, "r2")
			stat := func(tag, path string) os.FileInfo {
				info, err := os.Stat(filepath.Join(f.Base.Dir(tag), path))
				if err != nil {
					t.Fatal(err)
				}
				return info
			}
			same := os.SameFile(stat(first.Name, "source/etc/ntp.conf"), stat(second.Name, "source/etc/ntp.conf"))
			if same != (files == staged.Hardlink) {
				t.Errorf("an unchanged file is shared: %v", same)
			}
			if os.SameFile(stat(first.Name, "defaults.yml"), stat(second.Name, "defaults.yml")) {
				t.Error("a changed file is shared")
			}
			if got := stat(second.Name, "source/etc/ntp.conf"); got.Mode().Perm() != mode ||
				!got.ModTime().Equal(CommitTime) {
				t.Errorf("the file has mode %v and time %v, want the exported time", got.Mode(), got.ModTime())
			}
			if got := stat(second.Name, "source/empty"); got.Mode().Perm() != 0o755 {
				t.Errorf("the empty directory has mode %v", got.Mode())
			}
			if left := f.debris(); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestAFileThatWasTouchedInThePreviousTagIsNotShared(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Hardlink)
	first := f.take(TakeOptions{})
	touched := filepath.Join(f.Base.Dir(first.Name), "source/etc/ntp.conf")
	if err := os.Chmod(touched, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(touched, []byte("server X\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(touched, 0o444); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Hour)
	f.published(f.take(TakeOptions{}).Name, "r1")
}

func TestAWorkingCopyOfAnotherSourceIsSetAsideWhenTheNewOneIsWhole(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Auto)
	first := f.take(TakeOptions{})
	f.Source = &plain{m: f.source, dir: f.Base.Trunk(), foreign: "it is a checkout of something else"}
	var saved []string
	f.replaced = func(old, fresh string) error {
		_, err := os.Stat(filepath.Join(fresh, "fresh"))
		saved = append(saved, old)
		return err
	}

	f.source.updateErr = errors.New("upstream is down")
	if _, err := f.Update(t.Context()); err == nil || !strings.Contains(err.Error(), "something else") ||
		!strings.Contains(err.Error(), "upstream is down") {
		t.Errorf("with upstream down the update says %v", err)
	}
	if _, err := os.Stat(filepath.Join(f.Base.Trunk(), "old")); err != nil || len(saved) > 0 {
		t.Errorf("the old working copy did not stay: %v (saved %q)", err, saved)
	}

	f.source.updateErr = nil
	outcome, err := f.Update(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(f.Base.Trunk(), "fresh")); err != nil {
		t.Errorf("the new working copy is not in place: %v", err)
	}
	if _, err := os.Stat(filepath.Join(outcome.Discarded, "old")); err != nil || filepath.Dir(outcome.Discarded) != f.Base.Discarded() {
		t.Errorf("the old working copy is not in %q: %v", outcome.Discarded, err)
	}
	if len(saved) != 1 || saved[0] != f.Base.Trunk() || len(f.warned) == 0 {
		t.Errorf("saved %q, warned %q", saved, f.warned)
	}
	f.published(first.Name, "r1")
	if left := f.debris(); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAFaultWhileAWorkingCopyIsReplacedLeavesOneInPlace(t *testing.T) {
	t.Parallel()
	labels := []string{"make stage", "set new working copy up", "exchange working copies", "sync working copy's directory"}
	for _, label := range labels {
		f := newPlainFixture(t, staged.Auto)
		f.Source = &plain{m: f.source, dir: f.Base.Trunk(), foreign: "it is another one"}
		broken := errors.New("no luck")
		f.Step = func(l string) error {
			if l == label {
				return broken
			}
			return nil
		}
		if _, err := f.Update(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s: got %v", label, err)
		}
		entries, err := os.ReadDir(f.Base.Trunk())
		if err != nil || len(entries) != 1 {
			t.Errorf("%s: the working copy has %v, %v", label, entries, err)
		}
		old := 0
		filepath.WalkDir(f.Base.Path, func(path string, d fs.DirEntry, err error) error {
			if d.Name() == "old" {
				old++
			}
			return err
		})
		if old != 1 {
			t.Errorf("%s: the old working copy stands in %d places", label, old)
		}
	}
}

func TestAFileOfAnotherOwnerIsNotShared(t *testing.T) {
	t.Parallel()
	needRoot(t)
	f := newPlainFixture(t, staged.Hardlink)
	first := f.take(TakeOptions{})
	given := filepath.Join(f.Base.Dir(first.Name), "source/etc/ntp.conf")
	if err := os.Chown(given, 65534, -1); err != nil {
		t.Fatal(err)
	}
	f.now = f.now.Add(time.Hour)
	second := f.take(TakeOptions{})
	f.published(second.Name, "r1")
	mine, err := os.Stat(filepath.Join(f.Base.Dir(second.Name), "source/etc/ntp.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if theirs, err := os.Stat(given); err != nil || os.SameFile(mine, theirs) {
		t.Errorf("the new tag shares a file with another owner: %v", err)
	}
}

// needRoot skips a test that gives files away, which CI must be able to do.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("only root can give files away")
	default:
		t.Skip("only root can give files away")
	}
}
