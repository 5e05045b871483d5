package checkout

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// threeTrees differ in all ways that matter.
var threeTrees = []map[string]gittest.FakeFile{
	{
		"same": gittest.File("same\n"), "edited": gittest.File("1\n"), "gone": gittest.File("x\n"), "mode": gittest.File("m\n"),
		"d/a": gittest.File("a\n"), "d/e/b": gittest.File("b\n"),
		"file to dir": gittest.File("1"), "dir to file/x": gittest.File("1"), "file to link": gittest.File("1"),
		"link to file": gittest.Link("same"), "link": gittest.Link("/etc/passwd"),
		"link to dir": gittest.Link("d"), "dir to link/x": gittest.File("1"), "sub": gittest.Submodule("1"),
		"sub to file": gittest.Submodule("1"), "file to sub": gittest.File("1"),
		"gone dir/x/y/z": gittest.File("1"), "with blank\nand line/\xff": gittest.Executable("#!\n"), "aux.txt": gittest.File("1"),
		"empty": gittest.File(""),
	},
	{
		"same": gittest.File("same\n"), "edited": gittest.File("22\n"), "mode": gittest.Executable("m\n"), "d/a": gittest.File("a\n"),
		"d/e/c": gittest.File("b\n"), "new/x/y": gittest.File("1"),
		"file to dir/x": gittest.File("1"), "dir to file": gittest.File("1"), "file to link": gittest.Link("same"),
		"link to file": gittest.File("1"), "link": gittest.Link("../x\n\xff"),
		"link to dir/x": gittest.File("1"), "dir to link": gittest.Link("d"), "sub": gittest.Submodule("2"), "sub to file": gittest.File("1"),
		"file to sub":               gittest.Submodule("1"),
		"with blank\nand line/\xff": gittest.File("#!\n"), "aux.txt": gittest.Link("aux.txt"), "empty": gittest.File("1"),
	},
	{},
}

func TestWorktreeFollowsEveryTransition(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	for _, i := range []int{0, 0, 1, 0, 2, 1, 2, 0} {
		r.sync(r.CommitFiles(threeTrees[i]))
		r.holds(t, threeTrees[i])
		r.gitAgrees(t)
	}
	if _, err := os.Stat(r.w.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was set aside: %v", r.setAside(t))
	}
}

func TestWorktreeCountsWhatItChanges(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	for _, step := range []struct {
		files map[string]gittest.FakeFile
		want  int
	}{
		{map[string]gittest.FakeFile{"a": gittest.File("1"), "d/b": gittest.File("2")}, 2},
		{map[string]gittest.FakeFile{"a": gittest.File("1"), "d/b": gittest.Executable("2")}, 1},
		{map[string]gittest.FakeFile{"a": gittest.File("1"), "d/b": gittest.Executable("2")}, 0},
		{map[string]gittest.FakeFile{"a": gittest.File("3")}, 2},
	} {
		if result := r.sync(r.CommitFiles(step.files)); result.Changed != step.want ||
			len(result.Warnings) > 0 || result.Discarded != "" {
			t.Errorf("%v: %+v, want %d changes", step.files, result, step.want)
		}
	}
}

func TestWorktreeReadsNoObjectAndWritesNothingIfNothingChanged(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(threeTrees[0])
	r.sync(commit)
	r.ageFiles()
	r.eachObject(func(path string, info fs.FileInfo) error {
		if err := os.WriteFile(path, make([]byte, info.Size()), 0o644); err != nil {
			return err
		}
		return os.Chtimes(path, time.Time{}, info.ModTime())
	})
	r.w.Step = func(label string) error { return fmt.Errorf("step %q", label) }
	if result := r.sync(commit); result.Changed != 0 || len(result.Warnings) > 0 {
		t.Errorf("%+v", result)
	}
}

func TestAnObjectThatIsGoneIsMissedAlthoughNothingChanged(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(threeTrees[0])
	r.sync(commit)
	r.ageFiles()
	removed := 0
	r.eachObject(func(path string, _ fs.FileInfo) error { removed++; return os.Remove(path) })
	_, err := r.w.Sync(t.Context(), commit)
	var missing *object.Error
	if removed == 0 || !errors.As(err, &missing) {
		t.Errorf("%d objects are gone, and sync says %v", removed, err)
	}
}

// eachObject visits every file of the object database.
func (r *workRig) eachObject(visit func(path string, info fs.FileInfo) error) {
	r.T.Helper()
	err := filepath.WalkDir(r.GitDir+"/objects", func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		return visit(path, info)
	})
	if err != nil {
		r.T.Fatal(err)
	}
}

// ageFiles makes the index younger than all files, as if the clock had ticked before it was written.
// Files of its own age would have their contents looked at.
func (r *workRig) ageFiles() {
	r.T.Helper()
	info, err := os.Stat(r.GitDir + "/index")
	if err != nil {
		r.T.Fatal(err)
	}
	if err := os.Chtimes(r.GitDir+"/index", time.Time{}, info.ModTime().Add(1)); err != nil {
		r.T.Fatal(err)
	}
}

func TestWorktreeLeavesUnchangedFilesAlone(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.CommitFiles(threeTrees[0]))
	r.ageFiles()
	var before, after unix.Stat_t
	if err := unix.Lstat(r.path("same"), &before); err != nil {
		t.Fatal(err)
	}
	r.sync(r.CommitFiles(threeTrees[1]))
	if err := unix.Lstat(r.path("same"), &after); err != nil || before != after {
		t.Errorf("%+v became %+v (%v)", before, after, err)
	}
}

func TestWorktreeSetsLocalEditsAside(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	for _, target := range []int{0, 1} {
		r := newWorkRig(t, t.TempDir())
		r.sync(r.CommitFiles(threeTrees[0]))
		r.put("edited", "my own")
		r.put("new/untracked", "my notes")
		r.put("d/e", "a file in place of a directory")
		r.put("gone", "edited and gone upstream")
		r.put("file to dir", "edited and then a directory")
		r.put("mode", "m\n") // the same contents again
		_ = os.Remove(r.path("same"))
		_ = os.Remove(r.path("link"))
		if err := errors.Join(os.Chmod(r.path("empty"), 0o751), os.Symlink("elsewhere", r.path("link")),
			os.MkdirAll(r.path("void/void"), 0o755)); err != nil {
			t.Fatal(err)
		}
		result := r.sync(r.CommitFiles(threeTrees[target]))
		r.holds(t, threeTrees[target])
		r.gitAgrees(t)
		r.setAside(t).Same(t, "what was set aside", gittest.Expected(map[string]gittest.FakeFile{
			"edited": gittest.File("my own"), "new/untracked": gittest.File("my notes"),
			"d/e":  gittest.File("a file in place of a directory"),
			"gone": gittest.File("edited and gone upstream"), "file to dir": gittest.File("edited and then a directory"),
			"link": gittest.Link("elsewhere"),
		}))
		want := filepath.Join(r.w.Discard, "20261122-090000")
		if result.Discarded != want || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0],
			fmt.Sprintf("6 files that were edited locally or are not upstream's were set aside in %q", want)) {
			t.Errorf("%+v", result)
		}
	}
}

func TestWorktreeSetsRepositoriesInsideAsideWhole(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	files := map[string]gittest.FakeFile{"d/a": gittest.File("1"), "sub": gittest.Submodule("s")}
	commit := r.CommitFiles(files)
	r.sync(commit)
	for _, dir := range []string{"mine", "sub", "d"} {
		r.git(t, "init", "-q", r.path(dir))
		r.put(dir+"/note", "mine")
	}
	result := r.sync(commit)
	r.holds(t, files)
	r.gitAgrees(t)
	aside := r.setAside(t)
	for _, path := range []string{"mine/.git/refs/heads", "sub/.git/refs/heads", "d/.git/refs/heads",
		"mine/note", "sub/note", "d/note"} {
		if _, ok := aside[path]; !ok {
			t.Errorf("%q is not among what was set aside", path)
		}
	}
	if !strings.Contains(result.Warnings[0], `"d/.git", "d/note", "mine", "sub"`) {
		t.Errorf("%+v", result)
	}
}

func TestWorktreeNeverReachesOutsideThroughALink(t *testing.T) {
	t.Parallel()
	for _, target := range []map[string]gittest.FakeFile{
		{"a": gittest.File("new"), "b/a": gittest.File("new"), "f": gittest.Executable("new")},
		{},
		{"a/b/c": gittest.File("new"), "b": gittest.Link("x"), "f": gittest.Submodule("s")},
	} {
		r := newWorkRig(t, t.TempDir())
		r.sync(r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("old"), "b/a": gittest.File("old"), "f": gittest.File("old"),
			"deep/b/a": gittest.File("old")}))
		for _, name := range []string{"a", "b", "f", "deep"} {
			if err := errors.Join(os.RemoveAll(r.path(name)), os.Symlink(r.outside, r.path(name))); err != nil {
				t.Fatal(err)
			}
		}
		r.sync(r.CommitFiles(target))
		r.outsideUntouched(t)
		r.holds(t, target)
		here := gittest.Link(r.outside)
		r.setAside(t).Same(t, "what was set aside", gittest.Expected(map[string]gittest.FakeFile{"a": here, "b": here,
			"f": here, "deep": here}))
	}
}

func TestWorktreeTakesOddThingsOutOfTheWay(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	files := map[string]gittest.FakeFile{"a": gittest.File("1"), "d/b": gittest.File("2")}
	commit := r.CommitFiles(files)
	r.sync(commit)
	_ = os.RemoveAll(r.path("a"))
	_ = os.RemoveAll(r.path("d"))
	if err := errors.Join(unix.Mkfifo(r.path("a"), 0o644), unix.Mkfifo(r.path("d"), 0o644),
		unix.Mkfifo(r.path("new"), 0o644)); err != nil {
		t.Fatal(err)
	}
	r.sync(commit)
	r.holds(t, files)
}

func TestWorktreeRandomTransitionsAndEdits(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	base := t.TempDir()
	names := []string{"a", "b", "c", "with blank", "new\nline", "\xff"}
	runs := 0
	testbed.CheckSome(t, 40, func(rt *rapid.T) {
		runs++
		r := newWorkRig(t, fmt.Sprintf("%s/%d", base, runs))
		defer os.RemoveAll(filepath.Dir(r.w.Dir))
		edits := 0
		var made []string // contents of local files that stood there before a sync
		for range rapid.IntRange(1, 3).Draw(rt, "syncs") {
			files := gittest.DrawTree(rt, "tree", names)
			commit := r.CommitFiles(files)
			for range rapid.IntRange(0, 4).Draw(rt, "edits") {
				edits++
				r.edit(rt, names, fmt.Sprintf("edit %d", edits))
			}
			for path, has := range testbed.ListDir(rt, r.w.Dir) {
				if strings.Contains(has, "edit ") {
					made = append(made, path+": "+has)
				}
			}
			if _, err := r.w.Sync(context.Background(), commit); err != nil {
				rt.Fatalf("%v", err)
			}
			r.holds(rt, files)
			r.gitAgrees(rt)
			r.outsideUntouched(rt)
		}
		var aside []string
		for path, has := range r.setAside(rt) {
			aside = append(aside, path+": "+has)
		}
		for _, edit := range made {
			if !slices.ContainsFunc(aside, func(line string) bool {
				return line == edit || strings.Contains(line, edit[strings.Index(edit, ": ")+2:])
			}) {
				rt.Fatalf("%s is not among what was set aside:\n%s", edit, strings.Join(aside, "\n"))
			}
		}
	})
}

// edit does something to the working copy that its owner might do.
func (r *workRig) edit(t *rapid.T, names []string, content string) {
	path := r.path(strings.Join(rapid.SliceOfN(rapid.SampledFrom(names), 1, 3).Draw(t, "where"), "/"))
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err != nil || !strings.HasPrefix(parent, r.w.Dir) {
		return
	}
	info, err := os.Lstat(path)
	exists, isFile := err == nil, err == nil && info.Mode().IsRegular()
	switch kind := rapid.IntRange(0, 7).Draw(t, "edit"); {
	case kind == 0 && exists:
		_ = os.RemoveAll(path)
	case kind == 1 && isFile:
		_ = os.Chmod(path, rapid.SampledFrom([]os.FileMode{0o600, 0o755, 0o777, 0o400}).Draw(t, "mode"))
	case kind == 2 && !exists:
		_ = os.MkdirAll(path+"/sub", 0o700)
	case kind == 3:
		_ = os.RemoveAll(path)
		_ = os.Symlink(r.outside, path)
	case kind == 4 && isFile:
		_ = os.Chtimes(path, testbed.TheTime, testbed.TheTime)
	case kind == 5 && !exists:
		_ = os.MkdirAll(path+"/.git/refs", 0o755)
		_ = os.WriteFile(path+"/note", []byte(content), 0o644)
	case kind == 6 && exists && !info.IsDir():
		_ = os.Rename(path, path+"-moved")
	default:
		if !exists || isFile {
			_ = os.WriteFile(path, []byte(content), 0o644)
		}
	}
}

func TestWorktreeGoesAroundWhatIsMounted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at      string
		before, after map[string]gittest.FakeFile // what upstream has before and after something is mounted
		refused       bool
		kept          []string // what stays besides what is mounted
	}{
		{"in an untracked directory", "extra/deep/m", nil, nil, false, []string{"extra", "extra/deep"}},
		{"on a directory that goes", "d", map[string]gittest.FakeFile{"d/a": gittest.File("1")}, nil, false, nil},
		{"in a directory that goes", "d/e/m", map[string]gittest.FakeFile{"d/a": gittest.File("1"), "d/e/b": gittest.File("2")}, nil, false, []string{"d", "d/e"}},
		{"on a file that goes", "d/a", map[string]gittest.FakeFile{"d/a": gittest.File("1"), "d/b": gittest.File("2")}, nil, false, []string{"d"}},
		{"for a submodule", "sub", map[string]gittest.FakeFile{"sub": gittest.Submodule("1")}, map[string]gittest.FakeFile{"sub": gittest.Submodule("2")}, false, nil},
		{"in a submodule", "sub/m", map[string]gittest.FakeFile{"sub": gittest.Submodule("1")}, map[string]gittest.FakeFile{"sub": gittest.Submodule("1")}, false, nil},
		{"on a directory", "d", map[string]gittest.FakeFile{"d/a": gittest.File("1")}, map[string]gittest.FakeFile{"d/a": gittest.File("1")}, true, nil},
		{"on a file", "d/a", map[string]gittest.FakeFile{"d/a": gittest.File("1")}, map[string]gittest.FakeFile{"d/a": gittest.File("2")}, true, nil},
		{"where a directory is to be", "d", nil, map[string]gittest.FakeFile{"d/a": gittest.File("1")}, true, nil},
		{"where a file is to be", "d/e/m", nil, map[string]gittest.FakeFile{"d": gittest.File("1")}, true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newWorkRig(t, t.TempDir())
			tree := func(files map[string]gittest.FakeFile, content string) map[string]gittest.FakeFile {
				all := map[string]gittest.FakeFile{"always": gittest.File(content)}
				for path, f := range files {
					all[path] = f
				}
				return all
			}
			r.sync(r.CommitFiles(tree(c.before, "1")))
			if info, err := os.Lstat(r.path(c.at)); err == nil && info.Mode().IsRegular() {
				mounttest.File(t, r.path(c.at))
			} else {
				mounttest.Directory(t, r.path(c.at))
			}
			after := r.CommitFiles(tree(c.after, "2"))
			for range 2 {
				result, err := r.w.Sync(t.Context(), after)
				if c.refused {
					sourcetest.IsMounted(t, err, r.path(c.at))
					r.contains(t, "always", "1")
					continue
				}
				if err != nil || len(result.Warnings) == 0 || !strings.Contains(result.Warnings[0], disk.QuotePath(c.at)) {
					t.Errorf("%+v, %v", result, err)
				}
				r.contains(t, "always", "2")
			}
			for _, kept := range c.kept {
				if !disk.Exists(r.path(kept)) {
					t.Errorf("%s is gone", kept)
				}
			}
			testbed.Must(t, unix.Unmount(r.path(c.at), unix.MNT_DETACH))
			if result := r.sync(after); len(result.Warnings) > 1 {
				t.Errorf("%+v", result)
			}
			r.sync(after)
			r.holds(t, tree(c.after, "2"))
		})
	}
}

// Something can be mounted after the working copy was looked at, too.
func TestWorktreeEntersNothingThatIsMountedMeanwhile(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.CommitFiles(map[string]gittest.FakeFile{"d/gold": gittest.File("1"), "d/e/gold": gittest.File("1"), "x": gittest.File("1")}))
	mount := sync.OnceFunc(func() { mounttest.Directory(t, r.path("d")) })
	r.w.Step = func(string) error { mount(); return nil }
	after := r.CommitFiles(map[string]gittest.FakeFile{"x": gittest.File("2")})
	if _, err := r.w.Sync(t.Context(), after); !errors.Is(err, disk.ErrMountPoint) {
		t.Errorf("got %v", err)
	}
	testbed.Must(t, unix.Unmount(r.path("d"), unix.MNT_DETACH))
	r.sync(after)
	r.holds(t, map[string]gittest.FakeFile{"x": gittest.File("2")})
}

// contains fails the test unless a file of the working copy has these contents.
func (r *workRig) contains(t *testing.T, path, content string) {
	t.Helper()
	if data, err := os.ReadFile(r.path(path)); string(data) != content {
		t.Errorf("%s is %q, %v", path, data, err)
	}
}
