package checkout

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

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
)

// underUmask runs do with another umask. No test beside it may run in parallel.
func underUmask(mask int, do func()) {
	defer syscall.Umask(syscall.Umask(mask))
	do()
}

func TestWorktreeModesDoNotDependOnTheUmask(t *testing.T) {
	underUmask(0o077, func() {
		r := newWorkRig(t, filepath.Join(t.TempDir(), "base"))
		r.sync(r.CommitFiles(threeTrees[0]))
		r.sync(r.CommitFiles(threeTrees[1]))
		r.holds(t, threeTrees[1])
		if info, err := os.Stat(r.w.Dir); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("the working copy has mode %v (%v)", info.Mode(), err)
		}
	})
}

func TestWorktreeAdoptsACheckoutOfGit(t *testing.T) {
	testbed.NeedProgram(t, "git")
	for _, mask := range []int{0o022, 0o077, 0} {
		r := newWorkRig(t, t.TempDir())
		commit := r.CommitFiles(threeTrees[0])
		underUmask(mask, func() { r.git(t, "reset", "-q", "--hard") })
		r.put("edited", "my own")
		result := r.sync(commit)
		r.holds(t, threeTrees[0])
		r.gitAgrees(t)
		r.setAside(t).Same(t, "what was set aside", gittest.Expected(map[string]gittest.FakeFile{"edited": gittest.File("my own")}))
		if mask == 0o022 && result.Changed != 1 {
			t.Errorf("%d changes", result.Changed)
		}
	}
}

func TestWorktreeTakesUpWhatGitDidMeanwhile(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	first, second := r.CommitFiles(threeTrees[0]), r.CommitFiles(threeTrees[1])
	r.sync(second)
	r.git(t, "checkout", "-q", "--detach", first.String())
	r.git(t, "checkout", "-q", "main")
	r.git(t, "reset", "-q", "--hard", first.String())
	if result := r.sync(second); result.Discarded != "" {
		t.Errorf("%+v: %v", result, r.setAside(t))
	}
	r.holds(t, threeTrees[1])
	r.git(t, "add", "-A")
	r.Write("refs/heads/main", second.String())
	r.gitAgrees(t)
}

func TestWorktreeOfALinkedWorkingTree(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(threeTrees[0])
	linked := filepath.Join(filepath.Dir(r.w.Dir), "linked")
	r.git(t, "worktree", "add", "-q", "--detach", "--no-checkout", linked, commit.String())
	gitDir := r.w.GitDir + "/worktrees/linked"
	r.w = &Worktree{Dir: linked, GitDir: gitDir, Edits: r.w.Edits}
	r.Write("info/attributes", "same eol=crlf\n")
	r.sync(commit)
	want := gittest.Expected(threeTrees[0])
	want["same"] = gittest.File("same\r\n").Describe()
	testbed.ListDir(t, linked).Same(t, "the linked working tree", want)
	r.gitAgrees(t)
}

func TestWorktreeMayBeALink(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	if err := os.Symlink(r.w.Dir, r.w.Dir+"-link"); err != nil {
		t.Fatal(err)
	}
	r.w.Dir += "-link"
	r.sync(r.CommitFiles(threeTrees[0]))
	r.w.Dir, _ = filepath.EvalSymlinks(r.w.Dir)
	r.holds(t, threeTrees[0])
}

func TestWorktreeConvertsLineEndsAsGitCheckoutDoes(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	r := newWorkRig(t, t.TempDir())
	attributes := []string{
		"", "* text=auto eol=crlf\n", "*.a text eol=crlf\n", "* -text\n", "*.a text\n",
		"d/** text eol=crlf\n/x export-ignore\n", "",
	}
	for i, text := range attributes {
		files := map[string]gittest.FakeFile{"x": gittest.File("not exported\n")}
		if text != "" {
			files[attr.FileName] = gittest.File(text)
		}
		for j, data := range gittest.OddContents {
			files[fmt.Sprintf("%d.a", j)], files[fmt.Sprintf("d/%d", j)] = gittest.File(data), gittest.Executable(data)
		}
		commit := r.CommitFiles(files)
		reference := newWorkRig(t, t.TempDir())
		for _, name := range []string{"config", "info/attributes"} {
			content := map[string]string{"config": "[core]\n\tautocrlf = " + []string{"false", "true",
				"input"}[i%3] + "\n"}[name]
			if name == "info/attributes" && i == 3 {
				content = "1.a text eol=crlf\n"
			}
			r.Write(name, content)
			reference.Write(name, content)
		}
		reference.Write("objects/info/alternates", r.GitDir+"/objects\n")
		reference.Write("refs/heads/main", commit.String()+"\n")
		reference.git(t, "reset", "-q", "--hard")
		if result := r.sync(commit); result.Discarded != "" {
			t.Errorf("%q: %+v", text, result)
		}
		testbed.ListDir(t, r.w.Dir).Same(t, fmt.Sprintf("%q", text), testbed.ListDir(t, reference.w.Dir))
		r.put("1.a", "edited\r\n")
		r.sync(commit)
		testbed.ListDir(t, r.w.Dir).Same(t, fmt.Sprintf("%q after an edit", text), testbed.ListDir(t, reference.w.Dir))
		if err := os.RemoveAll(r.w.Discard); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWorktreePassesOnWhatGoes(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.CommitFiles(map[string]gittest.FakeFile{"edited": gittest.File("old"), "gone": gittest.File("old"), "same": gittest.File("old"),
		"link": gittest.File("old"), "empty": gittest.File("")}))
	commit := r.CommitFiles(map[string]gittest.FakeFile{"edited": gittest.File("new"), "same": gittest.File("new"), "link": gittest.File("new"),
		"empty": gittest.File("")})
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
	r.w.BeforeReplace = func(path string, base, local, upstream []byte) error {
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
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	r.sync(commit)
	r.put("a", "my own")
	refusal := errors.New("not this one")
	r.w.BeforeReplace = func(string, []byte, []byte, []byte) error { return refusal }
	if _, err := r.w.Sync(context.Background(), commit); !errors.Is(err, refusal) ||
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
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	foreign := filepath.Join(r.w.Discard, "not ours")
	if err := os.MkdirAll(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 14 {
		now := testbed.TheTime.Add(time.Duration(i/2) * time.Hour) // two syncs in each second
		r.w.Now = func() time.Time { return now }
		r.put("a", fmt.Sprintf("edit %d", i))
		result := r.sync(commit)
		if data, err := os.ReadFile(filepath.Join(result.Discarded, "a")); string(data) != fmt.Sprintf("edit %d", i) {
			t.Fatalf("%+v: %q, %v", result, data, err)
		}
		if info, err := os.Stat(result.Discarded); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", info.Mode(), err)
		}
	}
	left, _ := filepath.Glob(r.w.Discard + "/2*")
	if len(left) != aside.Max || filepath.Base(left[0]) != "20261122-110000" ||
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
	there := anotherFileSystem(t, r.w.Dir)
	// The repository and the local edits lie elsewhere.
	if err := errors.Join(os.CopyFS(there+"/git", os.DirFS(r.GitDir)), os.RemoveAll(r.GitDir)); err != nil {
		t.Fatal(err)
	}
	r.GitDir, r.w.GitDir, r.w.Discard = there+"/git", there+"/git", there+"/discarded"
	r.sync(r.CommitFiles(threeTrees[0]))
	r.put("edited", "my own")
	r.put("untracked/x", "my own")
	r.put("untracked/.git/refs/y", "my own")
	r.put(workcopy.TemporaryName+"-7", "left by a killed run")
	if err := errors.Join(os.Symlink("my own", r.path("untracked/link")), syscall.Mkfifo(r.path("fifo"),
		0o644)); err != nil {
		t.Fatal(err)
	}
	r.sync(r.CommitFiles(threeTrees[1]))
	r.holds(t, threeTrees[1])
	r.setAside(t).Same(t, "what was set aside", gittest.Expected(map[string]gittest.FakeFile{
		"edited": gittest.File("my own"), "untracked/x": gittest.File("my own"), "untracked/.git/refs/y": gittest.File("my own"),
		"untracked/link": gittest.Link("my own"),
	}))
}

func TestWorktreeReplacesFilesThatAreHardLinked(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	r.sync(r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1"), "b": gittest.File("1")}))
	if err := errors.Join(os.Remove(r.path("b")), os.Link(r.path("a"), r.path("b")), os.Link(r.path("a"),
		r.outside+"/linked")); err != nil {
		t.Fatal(err)
	}
	files := map[string]gittest.FakeFile{"a": gittest.File("2"), "b": gittest.File("3")}
	r.sync(r.CommitFiles(files))
	r.holds(t, files)
	if data, err := os.ReadFile(r.outside + "/linked"); string(data) != "1" {
		t.Errorf("the other name of the file has %q (%v)", data, err)
	}
}
