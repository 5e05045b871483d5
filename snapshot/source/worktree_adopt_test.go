package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// underUmask runs do with another umask. No test beside it may run in parallel.
func underUmask(mask int, do func()) {
	defer syscall.Umask(syscall.Umask(mask))
	do()
}

func TestWorktreeModesDoNotDependOnTheUmask(t *testing.T) {
	underUmask(0o077, func() {
		r := newWorkRig(t, filepath.Join(t.TempDir(), "base"))
		r.sync(r.commitFiles(threeTrees[0]))
		r.sync(r.commitFiles(threeTrees[1]))
		r.holds(t, threeTrees[1])
		if info, err := os.Stat(r.w.dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the working copy has mode %v (%v)", info.Mode(), err)
		}
	})
}

func TestWorktreeAdoptsACheckoutOfGit(t *testing.T) {
	needProgram(t, "git")
	for _, mask := range []int{0o022, 0o077, 0} {
		r := newWorkRig(t, t.TempDir())
		commit := r.commitFiles(threeTrees[0])
		underUmask(mask, func() { r.git(t, "reset", "-q", "--hard") })
		r.put("edited", "my own")
		result := r.sync(commit)
		r.holds(t, threeTrees[0])
		r.gitAgrees(t)
		r.setAside(t).same(t, "what was set aside", expected(map[string]fakeFile{"edited": file("my own")}))
		if mask == 0o022 && result.Changed != 1 {
			t.Errorf("%d changes", result.Changed)
		}
	}
}

func TestWorktreeTakesUpWhatGitDidMeanwhile(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	first, second := r.commitFiles(threeTrees[0]), r.commitFiles(threeTrees[1])
	r.sync(second)
	r.git(t, "checkout", "-q", "--detach", first.String())
	r.git(t, "checkout", "-q", "main")
	r.git(t, "reset", "-q", "--hard", first.String())
	if result := r.sync(second); result.Discarded != "" {
		t.Errorf("%+v: %v", result, r.setAside(t))
	}
	r.holds(t, threeTrees[1])
	r.git(t, "add", "-A")
	r.write("refs/heads/main", second.String())
	r.gitAgrees(t)
}

func TestWorktreeOfALinkedWorkingTree(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	commit := r.commitFiles(threeTrees[0])
	linked := filepath.Join(filepath.Dir(r.w.dir), "linked")
	r.git(t, "worktree", "add", "-q", "--detach", "--no-checkout", linked, commit.String())
	gitDir := r.w.gitDir + "/worktrees/linked"
	r.w = &worktree{dir: linked, gitDir: gitDir, discard: r.w.discard, now: r.w.now}
	r.write("info/attributes", "same eol=crlf\n")
	r.sync(commit)
	want := expected(threeTrees[0])
	want["same"] = file("same\r\n").describe()
	listDir(t, linked).same(t, "the linked working tree", want)
	r.gitAgrees(t)
}

func TestWorktreeMayBeALink(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	if err := os.Symlink(r.w.dir, r.w.dir+"-link"); err != nil {
		t.Fatal(err)
	}
	r.w.dir += "-link"
	r.sync(r.commitFiles(threeTrees[0]))
	r.w.dir, _ = filepath.EvalSymlinks(r.w.dir)
	r.holds(t, threeTrees[0])
}

func TestWorktreeConvertsLineEndsAsGitCheckoutDoes(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	attributes := []string{
		"", "* text=auto eol=crlf\n", "*.a text eol=crlf\n", "* -text\n", "*.a text\n",
		"d/** text eol=crlf\n/x export-ignore\n", "",
	}
	for i, text := range attributes {
		files := map[string]fakeFile{"x": file("not exported\n")}
		if text != "" {
			files[attributesFile] = file(text)
		}
		for j, data := range oddContents {
			files[fmt.Sprintf("%d.a", j)], files[fmt.Sprintf("d/%d", j)] = file(data), executable(data)
		}
		commit := r.commitFiles(files)
		reference := newWorkRig(t, t.TempDir())
		for _, name := range []string{"config", "info/attributes"} {
			content := map[string]string{"config": "[core]\n\tautocrlf = " + []string{"false", "true",
				"input"}[i%3] + "\n"}[name]
			if name == "info/attributes" && i == 3 {
				content = "1.a text eol=crlf\n"
			}
			r.write(name, content)
			reference.write(name, content)
		}
		reference.write("objects/info/alternates", r.gitDir+"/objects\n")
		reference.write("refs/heads/main", commit.String()+"\n")
		reference.git(t, "reset", "-q", "--hard")
		if result := r.sync(commit); result.Discarded != "" {
			t.Errorf("%q: %+v", text, result)
		}
		listDir(t, r.w.dir).same(t, fmt.Sprintf("%q", text), listDir(t, reference.w.dir))
		r.put("1.a", "edited\r\n")
		r.sync(commit)
		listDir(t, r.w.dir).same(t, fmt.Sprintf("%q after an edit", text), listDir(t, reference.w.dir))
		if err := os.RemoveAll(r.w.discard); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWorktreePassesOnWhatGoes(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.commitFiles(map[string]fakeFile{"edited": file("old"), "gone": file("old"), "same": file("old"),
		"link": file("old"), "empty": file("")}))
	commit := r.commitFiles(map[string]fakeFile{"edited": file("new"), "same": file("new"), "link": file("new"),
		"empty": file("")})
	for _, name := range []string{"edited", "gone", "untracked"} {
		r.put(name, "local")
	}
	r.put("empty", "")
	r.put("also untracked", "")
	_ = os.Remove(r.path("link"))
	if err := errors.Join(os.Symlink("x", r.path("link")), os.MkdirAll(r.path("repo/.git"), 0o755)); err != nil {
		t.Fatal(err)
	}
	r.put("repo/file", "in a repository of its own")
	var calls []string
	show := func(data []byte) string {
		if data == nil {
			return "none"
		}
		return fmt.Sprintf("%q", data)
	}
	r.w.beforeReplace = func(path string, base, local, upstream []byte) error {
		data, err := os.ReadFile(r.path(path))
		if err != nil || string(data) != string(local) {
			t.Errorf("%q is already %q (%v)", path, data, err)
		}
		calls = append(calls, fmt.Sprintf("%s: %s %s %s", path, show(base), show(local), show(upstream)))
		return nil
	}
	r.sync(commit)
	want := `also untracked: none "" none, edited: "old" "local" "new", gone: "old" "local" none, untracked: none "local" none`
	if got := strings.Join(calls, ", "); got != want {
		t.Errorf("calls:\n%s, want\n%s", got, want)
	}
}

func TestWorktreeStopsIfWhatGoesCannotBePassedOn(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.commitFiles(map[string]fakeFile{"a": file("1")})
	r.sync(commit)
	r.put("a", "my own")
	refusal := errors.New("not this one")
	r.w.beforeReplace = func(string, []byte, []byte, []byte) error { return refusal }
	if _, err := r.w.sync(context.Background(), commit); !errors.Is(err, refusal) ||
		!strings.Contains(err.Error(), `"a"`) {
		t.Errorf("the error is %v", err)
	}
	if data, err := os.ReadFile(r.path("a")); string(data) != "my own" {
		t.Errorf("the edit is now %q (%v)", data, err)
	}
}

func TestWorktreeKeepsTheLastTenDirectoriesOfLocalEdits(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.commitFiles(map[string]fakeFile{"a": file("1")})
	foreign := filepath.Join(r.w.discard, "not ours")
	if err := os.MkdirAll(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 14 {
		now := theTime.Add(time.Duration(i/2) * time.Hour) // two syncs in each second
		r.w.now = func() time.Time { return now }
		r.put("a", fmt.Sprintf("edit %d", i))
		result := r.sync(commit)
		if data, err := os.ReadFile(filepath.Join(result.Discarded, "a")); string(data) != fmt.Sprintf("edit %d", i) {
			t.Fatalf("%+v: %q, %v", result, data, err)
		}
		if info, err := os.Stat(result.Discarded); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	left, _ := filepath.Glob(r.w.discard + "/2*")
	if len(left) != MaxDiscards || filepath.Base(left[0]) != "20261122-110000" ||
		filepath.Base(left[9]) != "20261122-150000-1" {
		t.Errorf("left are %q", left)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
}

// anotherFileSystem returns a directory that is not on the file system of dir.
func anotherFileSystem(t *testing.T, dir string) string {
	t.Helper()
	for _, other := range []string{"/dev/shm", os.TempDir(), "/var/tmp", "/run"} {
		there, err := os.MkdirTemp(other, "etchtag-test")
		if err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.RemoveAll(there) })
		var a, b syscall.Stat_t
		if err := errors.Join(syscall.Stat(dir, &a), syscall.Stat(there, &b)); err == nil && a.Dev != b.Dev {
			return there
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("there is only one file system here")
	}
	t.Skip("there is only one file system here")
	return ""
}

func TestWorktreeAcrossFileSystems(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	there := anotherFileSystem(t, r.w.dir)
	// The repository and the local edits lie elsewhere.
	if err := errors.Join(os.CopyFS(there+"/git", os.DirFS(r.gitDir)), os.RemoveAll(r.gitDir)); err != nil {
		t.Fatal(err)
	}
	r.gitDir, r.w.gitDir, r.w.discard = there+"/git", there+"/git", there+"/discarded"
	r.sync(r.commitFiles(threeTrees[0]))
	r.put("edited", "my own")
	r.put("untracked/x", "my own")
	r.put("untracked/.git/refs/y", "my own")
	r.put(temporaryName+"-7", "left by a killed run")
	if err := errors.Join(os.Symlink("my own", r.path("untracked/link")), syscall.Mkfifo(r.path("fifo"),
		0o644)); err != nil {
		t.Fatal(err)
	}
	r.sync(r.commitFiles(threeTrees[1]))
	r.holds(t, threeTrees[1])
	r.setAside(t).same(t, "what was set aside", expected(map[string]fakeFile{
		"edited": file("my own"), "untracked/x": file("my own"), "untracked/.git/refs/y": file("my own"),
		"untracked/link": link("my own"),
	}))
}

func TestWorktreeReplacesFilesThatAreHardLinked(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.commitFiles(map[string]fakeFile{"a": file("1"), "b": file("1")}))
	if err := errors.Join(os.Remove(r.path("b")), os.Link(r.path("a"), r.path("b")), os.Link(r.path("a"),
		r.outside+"/linked")); err != nil {
		t.Fatal(err)
	}
	files := map[string]fakeFile{"a": file("2"), "b": file("3")}
	r.sync(r.commitFiles(files))
	r.holds(t, files)
	if data, err := os.ReadFile(r.outside + "/linked"); string(data) != "1" {
		t.Errorf("the other name of the file has %q (%v)", data, err)
	}
}

func TestUpdateListIsWhatTheWholeTreeHas(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	names := []string{"a", "b", "c", "a.b", "a-b"}
	rapid.Check(t, func(t *rapid.T) {
		from, to := r.tree(drawTree(t, "from", names)), r.tree(drawTree(t, "to", names))
		o, err := openObjects(r.gitDir)
		if err != nil {
			t.Fatal(err)
		}
		defer o.Close()
		list := func(h plumbing.Hash) []treeFile {
			files, err := listTree(context.Background(), o, h)
			if err != nil {
				t.Fatal(err)
			}
			return files
		}
		got, err := updateList(context.Background(), o, list(from), from, to)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(list(to)) {
			t.Fatalf("%v: the list is\n%v, want\n%v", err, got, list(to))
		}
		for _, f := range got {
			found, ok, err := findInTree(o, to, f.path)
			if err != nil || ok == (f.mode == Directory) || ok && found != f {
				t.Fatalf("%q: found %v, %v, %v, want %v", f.path, found, ok, err, f)
			}
		}
	})
}
