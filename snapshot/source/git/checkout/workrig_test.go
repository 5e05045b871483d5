package checkout

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// workRig is a working copy whose commits a test writes directly.
type workRig struct {
	*gittest.ObjectRig
	w       *Worktree
	outside string // a directory beside the working copy that nothing may touch
}

func newWorkRig(t testing.TB, base string) *workRig {
	t.Helper()
	dir := filepath.Join(base, "trunk")
	r := &workRig{ObjectRig: gittest.NewObjectRig(t, filepath.Join(dir, ".git")), outside: filepath.Join(base, "outside")}
	if err := os.MkdirAll(filepath.Join(r.outside, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "a", "b/a"} {
		if err := os.WriteFile(filepath.Join(r.outside, name), []byte("outside"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.w = &Worktree{
		Dir: dir, GitDir: r.GitDir,
		Edits: aside.Edits{Discard: filepath.Join(base, "discarded"), Now: func() time.Time { return testbed.TheTime }},
		wait:  func(context.Context, time.Duration) error { return errors.New("the test does not wait") },
	}
	return r
}

func (r *workRig) path(name string) string { return r.w.Dir + "/" + name }

// sync brings the working copy to a commit.
func (r *workRig) sync(commit plumbing.Hash) syncResult {
	r.T.Helper()
	result, err := r.w.Sync(context.Background(), commit)
	if err != nil {
		r.T.Fatal(err)
	}
	return result
}

// put writes a local file, whatever stands in its way.
func (r *workRig) put(name, content string) {
	r.T.Helper()
	_ = os.RemoveAll(r.path(name))
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.T.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(content), 0o644); err != nil {
		r.T.Fatal(err)
	}
}

// git runs git in the working copy.
func (r *workRig) git(t testbed.Failer, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...)
	cmd.Dir = r.w.Dir
	cmd.Env = testbed.GitEnv("GIT_ATTR_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// gitAgrees fails the test unless git finds the index equal to HEAD, the stat data in it right, and
// nothing else in the working copy.
func (r *workRig) gitAgrees(t testbed.Failer) {
	t.Helper()
	for _, args := range [][]string{
		{"diff-files"}, {"diff-index", "--cached", "HEAD"}, {"status", "--porcelain", "--ignored",
			"--untracked-files=all"},
	} {
		if out := r.git(t, args...); out != "" {
			t.Fatalf("git %s says:\n%s", strings.Join(args, " "), out)
		}
	}
}

// holds fails the test unless the working copy is exactly these files, with the right modes.
func (r *workRig) holds(t testbed.Failer, files map[string]gittest.FakeFile) {
	t.Helper()
	testbed.ListDir(t, r.w.Dir).Same(t, "the working copy", gittest.Expected(files))
	for path, f := range files {
		want := os.FileMode(0o644)
		switch f.Mode {
		case filemode.Symlink:
			continue
		case filemode.Executable:
			want = 0o755
		case filemode.Submodule:
			want = 0o755 | os.ModeDir
		}
		if info, err := os.Lstat(r.path(path)); err != nil || info.Mode() != want {
			t.Fatalf("%q has mode %v (%v), want %v", path, info.Mode(), err, want)
		}
	}
	dirs := map[string]bool{}
	for path := range files {
		disk.ParentDirs(dirs, path)
	}
	for dir := range dirs {
		if info, err := os.Lstat(r.path(dir)); err != nil || info.Mode() != 0o755|os.ModeDir {
			t.Fatalf("directory %q has mode %v (%v)", dir, info.Mode(), err)
		}
	}
}

// outsideUntouched fails the test if anything beside the working copy has changed.
func (r *workRig) outsideUntouched(t testbed.Failer) {
	t.Helper()
	testbed.ListDir(t, r.outside).Same(t, "the directory beside the working copy", testbed.Listing{
		"b": testbed.Describe(source.Directory, ""), "f": gittest.File("outside").Describe(), "a": gittest.File("outside").Describe(),
		"b/a": gittest.File("outside").Describe(),
	})
	for _, name := range []string{"f", "a", "b/a"} {
		if info, err := os.Stat(filepath.Join(r.outside, name)); err != nil || info.Mode() != 0o600 {
			t.Fatalf("%q beside the working copy has mode %v (%v)", name, info.Mode(), err)
		}
	}
}

// setAside lists what stands below the directories of local edits, without their names.
func (r *workRig) setAside(t testbed.Failer) testbed.Listing {
	t.Helper()
	all := testbed.Listing{}
	dirs, _ := filepath.Glob(r.w.Discard + "/*")
	for _, dir := range dirs {
		for path, has := range testbed.ListDir(t, dir) {
			all[path] += has
		}
	}
	return all
}
