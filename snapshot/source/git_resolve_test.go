package source

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

func TestRevisionsAreFoundByHashBranchAndTag(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	first := r.git("rev-parse", "HEAD")
	r.git("tag", "light")
	r.git("tag", "-a", "-m", "x", "annotated")
	r.git("tag", "-a", "-m", "x", "twice", "annotated")
	r.grow(2)
	head := r.git("rev-parse", "HEAD")
	r.git("branch", "feature/x", first)
	c := newWorkingCopy(t, r.dir)
	runGit(t, "/", 0, "clone", "-q", "--no-hardlinks", r.dir, c.dir)
	for name, want := range map[string]string{
		"HEAD": head, "main": head, "origin/main": head, "refs/heads/main": head, "feature/x": first, "light": first,
		"annotated": first, "twice": first, first: first, first[:7]: first, first[:5]: first,
		strings.ToUpper(head[:12]): head, r.git("rev-parse", "annotated"): first,
	} {
		rev, err := c.Resolve(context.Background(), name)
		if err != nil || rev.ID != want || rev.Time.IsZero() {
			t.Errorf("%s: got %+v, %v, want %s", name, rev, err, want)
		}
	}
	tree := r.git("rev-parse", "HEAD^{tree}")
	for _, name := range []string{"", "none", "123", first[:3], "../x", "HEAD~1", hashA, "zzzzzzz", tree} {
		if rev, err := c.Resolve(context.Background(), name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %+v, %v", name, rev, err)
		}
	}
	runGit(t, c.dir, 0, "tag", "feature/x", head)
	_, err := c.Resolve(context.Background(), "feature/x")
	if err == nil || !strings.Contains(err.Error(), "ambiguous") {
		t.Errorf("an ambiguous name: %v", err)
	}
}

func TestCurrentOfACheckoutWithoutACommitIsErrNoRevision(t *testing.T) {
	t.Parallel()
	needProgram(t, "git")
	c := newWorkingCopy(t, "")
	runGit(t, "/", 0, "init", "-q", c.dir)
	if _, err := c.Current(context.Background()); !errors.Is(err, ErrNoRevision) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Resolve(context.Background(), "HEAD"); !errors.Is(err, ErrNoRevision) {
		t.Errorf("got %v", err)
	}
}

func TestAncestryIsWhatGitSays(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	r.grow(2)
	r.git("checkout", "-q", "-b", "side", "HEAD~1")
	r.grow(3)
	r.git("checkout", "-q", "main")
	r.git("merge", "-q", "--no-ff", "-m", "merge", "side")
	r.ticks = -100 // a committer whose clock is behind
	r.grow(3)
	r.git("checkout", "-q", "-b", "other", "HEAD~5")
	r.grow(1)
	objs, err := openObjects(r.dir + "/.git")
	if err != nil {
		t.Fatal(err)
	}
	defer objs.Close()
	all := strings.Fields(r.git("rev-list", "--all"))
	for _, a := range all {
		contained := r.git("rev-list", a)
		for _, b := range all {
			got, err := isAncestor(context.Background(), objs, plumbing.NewHash(b), plumbing.NewHash(a))
			if want := strings.Contains(contained, b); err != nil || got != want {
				t.Errorf("isAncestor(%s, %s) = %v, %v, want %v", b, a, got, err, want)
			}
		}
	}
}
