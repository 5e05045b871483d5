package source

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// workRig is a working copy whose commits a test writes directly.
type workRig struct {
	*objectRig
	w       *worktree
	outside string // a directory beside the working copy that nothing may touch
}

// theTime is when all syncs of the tests happen.
var theTime = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func newWorkRig(t testing.TB, base string) *workRig {
	t.Helper()
	dir := filepath.Join(base, "trunk")
	r := &workRig{objectRig: newObjectRig(t, filepath.Join(dir, ".git")), outside: filepath.Join(base, "outside")}
	if err := os.MkdirAll(filepath.Join(r.outside, "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f", "a", "b/a"} {
		if err := os.WriteFile(filepath.Join(r.outside, name), []byte("outside"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.w = &worktree{
		dir: dir, gitDir: r.gitDir, discard: filepath.Join(base, "discarded"),
		now:  func() time.Time { return theTime },
		wait: func(context.Context, time.Duration) error { return errors.New("the test does not wait") },
	}
	return r
}

func (r *workRig) path(name string) string { return r.w.dir + "/" + name }

// sync brings the working copy to a commit.
func (r *workRig) sync(commit plumbing.Hash) syncResult {
	r.t.Helper()
	result, err := r.w.sync(context.Background(), commit)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// put writes a local file, whatever stands in its way.
func (r *workRig) put(name, content string) {
	r.t.Helper()
	_ = os.RemoveAll(r.path(name))
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// git runs git in the working copy.
func (r *workRig) git(t failer, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-c", "safe.directory=*"}, args...)...)
	cmd.Dir = r.w.dir
	cmd.Env = gitEnv("GIT_ATTR_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// gitAgrees fails the test unless git finds the index equal to HEAD, the stat data in it right, and
// nothing else in the working copy.
func (r *workRig) gitAgrees(t failer) {
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
func (r *workRig) holds(t failer, files map[string]fakeFile) {
	t.Helper()
	listDir(t, r.w.dir).same(t, "the working copy", expected(files))
	for path, f := range files {
		want := os.FileMode(0o644)
		switch f.mode {
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
		parentDirs(dirs, path)
	}
	for dir := range dirs {
		if info, err := os.Lstat(r.path(dir)); err != nil || info.Mode() != 0o755|os.ModeDir {
			t.Fatalf("directory %q has mode %v (%v)", dir, info.Mode(), err)
		}
	}
}

// expected lists what these files look like.
func expected(files map[string]fakeFile) listing {
	list := listing{}
	dirs := map[string]bool{}
	for path, f := range files {
		parentDirs(dirs, path)
		list[path] = f.describe()
	}
	for dir := range dirs {
		list[dir] = describe(Directory, "")
	}
	return list
}

// outsideUntouched fails the test if anything beside the working copy has changed.
func (r *workRig) outsideUntouched(t failer) {
	t.Helper()
	listDir(t, r.outside).same(t, "the directory beside the working copy", listing{
		"b": describe(Directory, ""), "f": file("outside").describe(), "a": file("outside").describe(),
		"b/a": file("outside").describe(),
	})
	for _, name := range []string{"f", "a", "b/a"} {
		if info, err := os.Stat(filepath.Join(r.outside, name)); err != nil || info.Mode() != 0o600 {
			t.Fatalf("%q beside the working copy has mode %v (%v)", name, info.Mode(), err)
		}
	}
}

// setAside lists what stands below the directories of local edits, without their names.
func (r *workRig) setAside(t failer) listing {
	t.Helper()
	all := listing{}
	dirs, _ := filepath.Glob(r.w.discard + "/*")
	for _, dir := range dirs {
		for path, has := range listDir(t, dir) {
			all[path] += has
		}
	}
	return all
}
