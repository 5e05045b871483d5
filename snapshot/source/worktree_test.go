package source

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

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// threeTrees differ in all ways that matter.
var threeTrees = []map[string]fakeFile{
	{
		"same": file("same\n"), "edited": file("1\n"), "gone": file("x\n"), "mode": file("m\n"),
		"d/a": file("a\n"), "d/e/b": file("b\n"),
		"file to dir": file("1"), "dir to file/x": file("1"), "file to link": file("1"),
		"link to file": link("same"), "link": link("/etc/passwd"),
		"link to dir": link("d"), "dir to link/x": file("1"), "sub": submodule("1"),
		"sub to file": submodule("1"), "file to sub": file("1"),
		"gone dir/x/y/z": file("1"), "with blank\nand line/\xff": executable("#!\n"), "aux.txt": file("1"),
		"empty": file(""),
	},
	{
		"same": file("same\n"), "edited": file("22\n"), "mode": executable("m\n"), "d/a": file("a\n"),
		"d/e/c": file("b\n"), "new/x/y": file("1"),
		"file to dir/x": file("1"), "dir to file": file("1"), "file to link": link("same"),
		"link to file": file("1"), "link": link("../x\n\xff"),
		"link to dir/x": file("1"), "dir to link": link("d"), "sub": submodule("2"), "sub to file": file("1"),
		"file to sub":               submodule("1"),
		"with blank\nand line/\xff": file("#!\n"), "aux.txt": link("aux.txt"), "empty": file("1"),
	},
	{},
}

func TestWorktreeFollowsEveryTransition(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	for _, i := range []int{0, 0, 1, 0, 2, 1, 2, 0} {
		r.sync(r.commitFiles(threeTrees[i]))
		r.holds(t, threeTrees[i])
		r.gitAgrees(t)
	}
	if _, err := os.Stat(r.w.discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was set aside: %v", r.setAside(t))
	}
}

func TestWorktreeCountsWhatItChanges(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	for _, step := range []struct {
		files map[string]fakeFile
		want  int
	}{
		{map[string]fakeFile{"a": file("1"), "d/b": file("2")}, 2},
		{map[string]fakeFile{"a": file("1"), "d/b": executable("2")}, 1},
		{map[string]fakeFile{"a": file("1"), "d/b": executable("2")}, 0},
		{map[string]fakeFile{"a": file("3")}, 2},
	} {
		if result := r.sync(r.commitFiles(step.files)); result.Changed != step.want ||
			len(result.Warnings) > 0 || result.Discarded != "" {
			t.Errorf("%v: %+v, want %d changes", step.files, result, step.want)
		}
	}
}

func TestWorktreeReadsNoObjectAndWritesNothingIfNothingChanged(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.commitFiles(threeTrees[0])
	r.sync(commit)
	r.ageFiles()
	r.eachObject(func(path string, info fs.FileInfo) error {
		if err := os.WriteFile(path, make([]byte, info.Size()), 0o644); err != nil {
			return err
		}
		return os.Chtimes(path, time.Time{}, info.ModTime())
	})
	r.w.step = func(label string) error { return fmt.Errorf("step %q", label) }
	if result := r.sync(commit); result.Changed != 0 || len(result.Warnings) > 0 {
		t.Errorf("%+v", result)
	}
}

func TestAnObjectThatIsGoneIsMissedAlthoughNothingChanged(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.commitFiles(threeTrees[0])
	r.sync(commit)
	r.ageFiles()
	removed := 0
	r.eachObject(func(path string, _ fs.FileInfo) error { removed++; return os.Remove(path) })
	_, err := r.w.sync(t.Context(), commit)
	var missing *ObjectError
	if removed == 0 || !errors.As(err, &missing) {
		t.Errorf("%d objects are gone, and sync says %v", removed, err)
	}
}

// eachObject visits every file of the object database.
func (r *workRig) eachObject(visit func(path string, info fs.FileInfo) error) {
	r.t.Helper()
	err := filepath.WalkDir(r.gitDir+"/objects", func(path string, e fs.DirEntry, err error) error {
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
		r.t.Fatal(err)
	}
}

// ageFiles makes the index younger than all files, as if the clock had ticked before it was written.
// Files of its own age would have their contents looked at.
func (r *workRig) ageFiles() {
	r.t.Helper()
	info, err := os.Stat(r.gitDir + "/index")
	if err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chtimes(r.gitDir+"/index", time.Time{}, info.ModTime().Add(1)); err != nil {
		r.t.Fatal(err)
	}
}

func TestWorktreeLeavesUnchangedFilesAlone(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.commitFiles(threeTrees[0]))
	r.ageFiles()
	var before, after unix.Stat_t
	if err := unix.Lstat(r.path("same"), &before); err != nil {
		t.Fatal(err)
	}
	r.sync(r.commitFiles(threeTrees[1]))
	if err := unix.Lstat(r.path("same"), &after); err != nil || before != after {
		t.Errorf("%+v became %+v (%v)", before, after, err)
	}
}

func TestWorktreeSetsLocalEditsAside(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	for _, target := range []int{0, 1} {
		r := newWorkRig(t, t.TempDir())
		r.sync(r.commitFiles(threeTrees[0]))
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
		result := r.sync(r.commitFiles(threeTrees[target]))
		r.holds(t, threeTrees[target])
		r.gitAgrees(t)
		r.setAside(t).same(t, "what was set aside", expected(map[string]fakeFile{
			"edited": file("my own"), "new/untracked": file("my notes"),
			"d/e":  file("a file in place of a directory"),
			"gone": file("edited and gone upstream"), "file to dir": file("edited and then a directory"),
			"link": link("elsewhere"),
		}))
		want := filepath.Join(r.w.discard, "20261122-090000")
		if result.Discarded != want || len(result.Warnings) != 1 || !strings.Contains(result.Warnings[0],
			fmt.Sprintf("6 files that were edited locally or are not upstream's were set aside in %q", want)) {
			t.Errorf("%+v", result)
		}
	}
}

func TestWorktreeSetsRepositoriesInsideAsideWhole(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	files := map[string]fakeFile{"d/a": file("1"), "sub": submodule("s")}
	commit := r.commitFiles(files)
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
	for _, target := range []map[string]fakeFile{
		{"a": file("new"), "b/a": file("new"), "f": executable("new")},
		{},
		{"a/b/c": file("new"), "b": link("x"), "f": submodule("s")},
	} {
		r := newWorkRig(t, t.TempDir())
		r.sync(r.commitFiles(map[string]fakeFile{"a": file("old"), "b/a": file("old"), "f": file("old"),
			"deep/b/a": file("old")}))
		for _, name := range []string{"a", "b", "f", "deep"} {
			if err := errors.Join(os.RemoveAll(r.path(name)), os.Symlink(r.outside, r.path(name))); err != nil {
				t.Fatal(err)
			}
		}
		r.sync(r.commitFiles(target))
		r.outsideUntouched(t)
		r.holds(t, target)
		here := link(r.outside)
		r.setAside(t).same(t, "what was set aside", expected(map[string]fakeFile{"a": here, "b": here,
			"f": here, "deep": here}))
	}
}

func TestWorktreeTakesOddThingsOutOfTheWay(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	files := map[string]fakeFile{"a": file("1"), "d/b": file("2")}
	commit := r.commitFiles(files)
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
	needProgram(t, "git")
	base := t.TempDir()
	names := []string{"a", "b", "c", "with blank", "new\nline", "\xff"}
	runs := 0
	checkSome(t, 40, func(rt *rapid.T) {
		runs++
		r := newWorkRig(t, fmt.Sprintf("%s/%d", base, runs))
		defer os.RemoveAll(filepath.Dir(r.w.dir))
		edits := 0
		var made []string // contents of local files that stood there before a sync
		for range rapid.IntRange(1, 3).Draw(rt, "syncs") {
			files := drawTree(rt, "tree", names)
			commit := r.commitFiles(files)
			for range rapid.IntRange(0, 4).Draw(rt, "edits") {
				edits++
				r.edit(rt, names, fmt.Sprintf("edit %d", edits))
			}
			for path, has := range listDir(rt, r.w.dir) {
				if strings.Contains(has, "edit ") {
					made = append(made, path+": "+has)
				}
			}
			if _, err := r.w.sync(context.Background(), commit); err != nil {
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
	if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err != nil || !strings.HasPrefix(parent, r.w.dir) {
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
		_ = os.Chtimes(path, theTime, theTime)
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
