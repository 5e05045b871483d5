package checkout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/go-git/go-git/v5/plumbing"
)

// faultTrees is a transition with something of every kind of operation.
func faultTrees() (from, to map[string]gittest.FakeFile) {
	from = map[string]gittest.FakeFile{
		"changed": gittest.File("1\n"), "gone/x": gittest.File("1\n"), "mode": gittest.File("1\n"), "link": gittest.Link("1"),
		"swap": gittest.File("1\n"), "pws/x": gittest.File("1\n"),
	}
	to = map[string]gittest.FakeFile{
		"changed": gittest.File("2\n"), "new/x": gittest.File("2\n"), "mode": gittest.Executable("1\n"), "link": gittest.Link("2"),
		"swap/x": gittest.File("2\n"), "pws": gittest.File("2\n"),
		"sub": gittest.Submodule("2"),
	}
	return from, to
}

func TestWorktreeRecoversFromAFaultAtEveryStep(t *testing.T) {
	t.Parallel()
	from, to := faultTrees()
	fault := errors.New("injected fault")
	base := t.TempDir()
	for n := 0; ; n++ {
		r := newWorkRig(t, filepath.Join(base, fmt.Sprint(n)))
		old := r.CommitFiles(from)
		r.sync(old)
		commit := r.CommitFiles(to)
		var labels []string
		r.w.Step = func(label string) error {
			if labels = append(labels, label); len(labels) == n+1 {
				return fault
			}
			return nil
		}
		_, err := r.w.Sync(context.Background(), commit)
		r.w.Step = nil
		if len(labels) <= n {
			if err != nil || n < 20 {
				t.Fatalf("%d steps, %v", n, err)
			}
			return
		}
		last := labels[len(labels)-1]
		if !errors.Is(err, fault) {
			t.Fatalf("a fault at step %d, %s: the error is %v", n, last, err)
		}
		target, files := commit, to
		if n%2 == 1 { // back again, or on to somewhere else
			target, files = old, from
		}
		r.sync(target)
		r.recovered(t, target, files, fmt.Sprintf("a fault at step %d, %s", n, last))
	}
}

// recovered fails the test unless the working copy is whole and nothing of ours was taken for a local edit.
func (r *workRig) recovered(t *testing.T, commit plumbing.Hash, files map[string]gittest.FakeFile, after string) {
	t.Helper()
	r.Write("refs/heads/main", commit.String()+"\n")
	r.holds(t, files)
	if aside := r.setAside(t); len(aside) > 0 {
		t.Fatalf("after %s this was taken for local edits: %v", after, aside)
	}
	if left, _ := filepath.Glob(r.GitDir + "/etchtag-*"); len(left) != 1 || filepath.Base(left[0]) != StateName {
		t.Fatalf("after %s these files are left: %q", after, left)
	}
	if _, err := os.Stat(r.GitDir + "/index.lock"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("after %s the index is still locked", after)
	}
}

// killedSync makes a process of the test binary that is killed at a step of a sync.
const killedSync = "ETCHTAG_TEST_KILLED_SYNC"

func TestWorktreeRecoversFromAKillAtEveryStep(t *testing.T) {
	t.Parallel()
	if args := os.Getenv(killedSync); args != "" {
		syncAndDie(t, args)
		return
	}
	from, to := faultTrees()
	base := t.TempDir()
	third := map[string]gittest.FakeFile{"changed": gittest.File("3\n"), "new/x": gittest.File("3\n"), "third": gittest.File("3\n")}
	for n := 0; ; n++ {
		r := newWorkRig(t, filepath.Join(base, fmt.Sprint(n)))
		r.sync(r.CommitFiles(from))
		commit := r.CommitFiles(to)
		cmd := exec.Command(os.Args[0], "-test.run=^TestWorktreeRecoversFromAKillAtEveryStep$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %s %s", killedSync, n, commit, r.w.Dir))
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err == nil {
			if n < 20 {
				t.Fatalf("the sync has only %d steps:\n%s", n, out)
			}
			return
		}
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("%v\n%s", err, out)
		}
		target, files := commit, to
		if n%2 == 1 {
			target, files = r.CommitFiles(third), third
		}
		r.sync(target)
		r.recovered(t, target, files, fmt.Sprintf("a kill at step %d", n))
	}
}

func syncAndDie(t *testing.T, args string) {
	var at int
	var commit, dir string
	if _, err := fmt.Sscan(args, &at, &commit, &dir); err != nil {
		t.Fatal(err)
	}
	steps := 0
	w := &Worktree{Dir: dir, GitDir: dir + "/.git", Edits: aside.Edits{Step: func(string) error {
		if steps++; steps == at+1 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return nil
	}}}
	if _, err := w.Sync(context.Background(), plumbing.NewHash(commit)); err != nil {
		t.Fatal(err)
	}
}

func TestWorktreeMakesFilesDurableBeforeTheIndexSpeaksOfThem(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	var labels []string
	r.w.Step = func(label string) error {
		labels = append(labels, label)
		return nil
	}
	r.sync(r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1"), "d/b": gittest.Link("2")}))
	want := []string{
		"lock index", "make temporary directory",
		"create etchtag-journal", "write etchtag-journal", "sync etchtag-journal", "rename etchtag-journal",
		"sync directory of etchtag-journal",
		"write file", "rename file", "make directory", "make link", "rename file",
		"remove temporary directory", "sync file system",
		"write index", "sync index", "rename index",
		"create etchtag-state", "write etchtag-state", "sync etchtag-state", "rename etchtag-state",
		"sync directory of etchtag-state",
		"remove journal", "unlock index",
	}
	if !slices.Equal(labels, want) {
		t.Errorf("the steps are\n%q, want\n%q", labels, want)
	}
}

func TestWorktreeKeepsEditsMadeWhileItWorks(t *testing.T) {
	t.Parallel()
	for label, edit := range map[string]string{"write etchtag-journal": "changed", "make temporary directory": "new"} {
		r := newWorkRig(t, t.TempDir())
		r.sync(r.CommitFiles(map[string]gittest.FakeFile{"changed": gittest.File("1")}))
		files := map[string]gittest.FakeFile{"changed": gittest.File("2"), "new": gittest.File("2")}
		commit := r.CommitFiles(files)
		r.w.Step = func(l string) error {
			if l == label {
				r.put(edit, "edited meanwhile")
			}
			return nil
		}
		if _, err := r.w.Sync(context.Background(), commit); !errors.Is(err, workcopy.ErrChangedMeanwhile) ||
			!strings.Contains(err.Error(), edit) {
			t.Errorf("the error is %v", err)
		}
		r.w.Step = nil
		r.sync(commit)
		r.holds(t, files)
		r.setAside(t).Same(t, "what was set aside", gittest.Expected(map[string]gittest.FakeFile{edit: gittest.File("edited meanwhile")}))
	}
}

func TestWorktreeChangesNothingIfAnObjectIsMissing(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	from, to := faultTrees()
	r.sync(r.CommitFiles(from))
	commit := r.CommitFiles(to)
	missing := r.Blob("2\n")
	if err := os.Remove(r.ObjectPath(missing)); err != nil {
		t.Fatal(err)
	}
	_, err := r.w.Sync(context.Background(), commit)
	if damaged, ok := errors.AsType[*object.Error](err); !ok || damaged.Hash != missing {
		t.Errorf("got %v", err)
	}
	r.holds(t, from)
	r.Blob("2\n")
	r.sync(commit)
	r.recovered(t, commit, to, "a missing object")
}

func TestWorktreeStopsInTheMiddleWhenToldTo(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	from, to := faultTrees()
	r.sync(r.CommitFiles(from))
	commit := r.CommitFiles(to)
	ctx, cancel := context.WithCancel(context.Background())
	r.w.Progress = func(int, int) { cancel() }
	if _, err := r.w.Sync(ctx, commit); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
	r.w.Progress = nil
	r.sync(commit)
	r.recovered(t, commit, to, "a cancelled sync")
}

func TestWorktreeReportsProgressUpToTheEnd(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	files := map[string]gittest.FakeFile{}
	for i := range 300 { // enough for several writers
		files[fmt.Sprintf("d%d/f%d", i%7, i)] = gittest.File(fmt.Sprint(i))
	}
	calls, last := 0, 0
	r.w.Progress = func(done, total int) {
		if calls++; done != calls || total != len(files) {
			t.Errorf("call %d: %d of %d", calls, done, total)
		}
		last = done
	}
	r.sync(r.CommitFiles(files))
	r.holds(t, files)
	if last != len(files) {
		t.Errorf("it ended at %d", last)
	}
}

func TestWorktreeRefusesWhatCannotBeALink(t *testing.T) {
	t.Parallel()
	for what, target := range map[string]string{"too long": strings.Repeat("x", disk.MaxPath+1), "empty": "",
		"with a NUL": "a\x00b"} {
		r := newWorkRig(t, t.TempDir())
		before := map[string]gittest.FakeFile{"a": gittest.File("1")}
		r.sync(r.CommitFiles(before))
		_, err := r.w.Sync(context.Background(), r.CommitFiles(map[string]gittest.FakeFile{"a link": gittest.Link(target)}))
		r.holds(t, before)
		var damaged *object.Error
		if err == nil || errors.As(err, &damaged) || !strings.Contains(err.Error(), `"a link"`) {
			t.Errorf("a target that is %s: %v", what, err)
		}
	}
}

func TestWorktreeRefusesToSetAsideInItself(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	if err := os.Symlink(r.w.Dir, r.outside+"/link"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{r.w.Dir, r.path("tags/discarded"), r.outside + "/link/x/y"} {
		r.w.Discard = dir
		if _, err := r.w.Sync(context.Background(), commit); err == nil || !strings.Contains(err.Error(),
			"lies in the working copy") {
			t.Errorf("%s: the error is %v", dir, err)
		}
	}
	r.w.Discard = r.w.Dir + "-discarded"
	r.sync(commit)
}

func TestWorktreeDoesNotPassOnHugeFiles(t *testing.T) {
	t.Parallel()
	r := newWorkRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("1")})
	r.sync(commit)
	r.put("a", "")
	if err := os.Truncate(r.path("a"), workcopy.MaxPassedOn+1); err != nil {
		t.Fatal(err)
	}
	r.w.BeforeReplace = func(path string, _, _, _ []byte) error { return fmt.Errorf("called for %q", path) }
	if result := r.sync(commit); result.Discarded == "" {
		t.Errorf("%+v", result)
	}
}
