package git

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
)

func TestRevisionsAreFoundByHashBranchAndTag(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	first := r.Git("rev-parse", "HEAD")
	r.Git("tag", "light")
	r.Git("tag", "-a", "-m", "x", "annotated")
	r.Git("tag", "-a", "-m", "x", "twice", "annotated")
	r.Grow(2)
	head := r.Git("rev-parse", "HEAD")
	r.Git("branch", "feature/x", first)
	c := newWorkingCopy(t, r.Dir)
	gittest.RunGit(t, "/", 0, "clone", "-q", "--no-hardlinks", r.Dir, c.dir)
	for name, want := range map[string]string{
		"HEAD": head, "main": head, "origin/main": head, "refs/heads/main": head, "feature/x": first, "light": first,
		"annotated": first, "twice": first, first: first, first[:7]: first, first[:5]: first,
		strings.ToUpper(head[:12]): head, r.Git("rev-parse", "annotated"): first,
	} {
		rev, err := c.Resolve(context.Background(), name)
		if err != nil || rev.ID != want || rev.Time.IsZero() {
			t.Errorf("%s: got %+v, %v, want %s", name, rev, err, want)
		}
	}
	tree := r.Git("rev-parse", "HEAD^{tree}")
	for _, name := range []string{"", "none", "123", first[:3], "../x", "HEAD~1", gittest.HashA, "zzzzzzz", tree} {
		if rev, err := c.Resolve(context.Background(), name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: got %+v, %v", name, rev, err)
		}
	}
	gittest.RunGit(t, c.dir, 0, "tag", "feature/x", head)
	_, err := c.Resolve(context.Background(), "feature/x")
	if err == nil || !strings.Contains(err.Error(), "ambiguous") {
		t.Errorf("an ambiguous name: %v", err)
	}
}

func TestCurrentOfACheckoutWithoutACommitIsErrNoRevision(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	c := newWorkingCopy(t, "")
	gittest.RunGit(t, "/", 0, "init", "-q", c.dir)
	if _, err := c.Current(context.Background()); !errors.Is(err, source.ErrNoRevision) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Resolve(context.Background(), "HEAD"); !errors.Is(err, source.ErrNoRevision) {
		t.Errorf("got %v", err)
	}
}

func TestAncestryIsWhatGitSays(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Grow(2)
	r.Git("checkout", "-q", "-b", "side", "HEAD~1")
	r.Grow(3)
	r.Git("checkout", "-q", "main")
	r.Git("merge", "-q", "--no-ff", "-m", "merge", "side")
	r.Ticks = -100 // a committer whose clock is behind
	r.Grow(3)
	r.Git("checkout", "-q", "-b", "other", "HEAD~5")
	r.Grow(1)
	objs, err := object.Open(r.Dir + "/.git")
	if err != nil {
		t.Fatal(err)
	}
	defer objs.Close()
	all := strings.Fields(r.Git("rev-list", "--all"))
	for _, a := range all {
		contained := r.Git("rev-list", a)
		for _, b := range all {
			got, err := isAncestor(context.Background(), objs, plumbing.NewHash(b), plumbing.NewHash(a))
			if want := strings.Contains(contained, b); err != nil || got != want {
				t.Errorf("isAncestor(%s, %s) = %v, %v, want %v", b, a, got, err, want)
			}
		}
	}
}
