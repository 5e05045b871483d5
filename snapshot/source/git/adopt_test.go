package git

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// adopt makes a checkout by means of git itself and returns it with the options that say nothing but
// where it is.
func adopt(t *testing.T, r *gittest.TestRepo, args ...string) *workingCopy {
	t.Helper()
	c := newWorkingCopy(t, "")
	gittest.RunGit(t, "/", 0, append(append([]string{"clone", "-q"}, args...), r.Dir, c.dir)...)
	return c
}

func TestCheckoutsThatGitMadeAreAdoptedAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, test := range runtest.PickRows(map[string]struct {
		args   []string
		change func(t *testing.T, c *workingCopy)
	}{
		"plain":         {},
		"hard links":    {args: []string{"--local"}},
		"no hard links": {args: []string{"--no-hardlinks"}},
		"alternates":    {args: []string{"--shared"}},
		"packed refs": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "pack-refs", "--all", "--prune")
		}},
		"packed and collected": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "gc", "-q", "--prune=now")
		}},
		"packs of git maintenance": {change: func(t *testing.T, c *workingCopy) {
			c.loose()
			gittest.RunGit(t, c.dir, 0, "maintenance", "run", "--task=loose-objects")
			gittest.RunGit(t, c.dir, 0, "maintenance", "run", "--task=loose-objects")
			if loose, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects/pack/loose-*.pack")); len(loose) == 0 {
				t.Skip("this git does not name packs so")
			}
		}},
		"separate git directory": {args: []string{"--separate-git-dir=" + filepath.Join(t.TempDir(), "elsewhere")}},
		"relative gitdir": {change: func(t *testing.T, c *workingCopy) {
			if err := os.Rename(filepath.Join(c.dir, ".git"), c.dir+".git"); err != nil {
				t.Fatal(err)
			}
			c.put(".git", "gitdir: ../trunk.git\n")
		}},
		"linked .git": {change: func(t *testing.T, c *workingCopy) {
			if err := os.Rename(filepath.Join(c.dir, ".git"), c.dir+".git"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("../trunk.git", filepath.Join(c.dir, ".git")); err != nil {
				t.Fatal(err)
			}
		}},
		"detached HEAD": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "checkout", "-q", "--detach", "HEAD~1")
		}},
		"older commit": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "reset", "-q", "--hard", "HEAD~1")
		}},
		"another remote": {args: []string{"--origin=company"}},
		"configuration per working tree": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "config", "core.repositoryformatversion", "1")
			gittest.RunGit(t, c.dir, 0, "config", "extensions.worktreeConfig", "true")
			gittest.RunGit(t, c.dir, 0, "config", "--worktree", "core.bare", "false")
		}},
		"sparse": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "sparse-checkout", "set", "--no-cone", "/defaults.yml")
		}},
		"split index": {change: func(t *testing.T, c *workingCopy) {
			gittest.RunGit(t, c.dir, 0, "update-index", "--split-index")
		}},
		"stale locks and packs": {change: func(t *testing.T, c *workingCopy) {
			for _, name := range []string{
				"refs/heads/main.lock", "refs/remotes/origin/main.lock", "packed-refs.lock", "HEAD.lock",
				"config.lock", "objects/pack/tmp_pack_abcdef", "objects/pack/tmp_idx_abcdef",
				"objects/" + disk.TempPrefix + "1/pack", disk.TempPrefix + "2",
			} {
				c.put(".git/"+name, "")
			}
		}},
	}, 20, 5) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(3)
			r.Git("repack", "-adq")
			c := adopt(t, r, test.args...)
			if test.change != nil {
				test.change(t, c)
			}
			c.update()
			c.is(r, "main")
			r.Grow(2)
			out := c.update()
			c.is(r, "main")
			if len(out.Warnings) > 0 || out.Rewritten {
				t.Errorf("outcome: %+v", out)
			}
			got := gittest.RunGit(t, c.dir, 0, "status", "-sb")
			if !strings.HasPrefix(got, "## main...") || strings.Contains(got, "[") {
				t.Errorf("git status -sb says %q", got)
			}
			if left, _ := filepath.Glob(filepath.Join(c.dir, ".git/*/*/*.lock")); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestLinkedWorkingTreeIsAdopted(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Grow(2)
	c := newWorkingCopy(t, "")
	main := filepath.Join(t.TempDir(), "main")
	gittest.RunGit(t, "/", 0, "clone", "-q", r.Dir, main)
	gittest.RunGit(t, main, 0, "checkout", "-q", "--detach")
	gittest.RunGit(t, main, 0, "worktree", "add", "-q", c.dir, "main")
	r.Grow(1)
	c.update()
	c.is(r, "main")
	r.Grow(1)
	c.update()
	c.is(r, "main")
	if _, err := c.Current(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestOtherBranchThanTheOneCheckedOutIsFollowedIfConfigured(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Git("checkout", "-q", "-b", "release/1")
	r.Grow(2)
	r.Git("checkout", "-q", "main")
	r.Grow(1)
	c := adopt(t, r)
	c.is(r, "main")
	c = c.with(func(o *Options) { o.Branch = "release/1" })
	if out := c.update(); out.Rewritten && !strings.Contains(strings.Join(out.Warnings, " "), "release/1") {
		t.Errorf("outcome: %+v", out)
	}
	c.is(r, "release/1")
	if got := gittest.RunGit(t, c.dir, 0, "status", "-sb"); got != "## release/1...origin/release/1" {
		t.Errorf("git status -sb says %q", got)
	}
	c = c.with(func(o *Options) { o.Branch = "" })
	r.Git("checkout", "-q", "release/1")
	r.Grow(1)
	c.update()
	c.is(r, "release/1")
}

func TestWorkingCopyMayBeBehindALink(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	base := t.TempDir()
	if err := os.Mkdir(filepath.Join(base, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := newWorkingCopy(t, r.Dir, func(o *Options) { o.Dir = filepath.Join(base, "link") })
	if err := os.Symlink("real", c.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clone(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.is(r, "main")
	r.Grow(1)
	c.put(".git/refs/remotes/origin/main", "damaged")
	c.update()
	c.is(r, "main")
	if target, err := os.Readlink(c.dir); err != nil || target != "real" {
		t.Errorf("the link is %q, %v", target, err)
	}
	if left, _ := os.ReadDir(base); len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}

func TestUnfinishedMergeIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string][]string{
		"merge":       {"merge", "origin/side"},
		"rebase":      {"rebase", "origin/side"},
		"cherry-pick": {"cherry-pick", "origin/side"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Git("checkout", "-q", "-b", "side")
			r.Write("defaults.yml", "side\n")
			r.Commit("side")
			r.Git("checkout", "-q", "main")
			r.Write("defaults.yml", "main\n")
			r.Commit("main")
			c := adopt(t, r)
			cmd := exec.Command("git", append([]string{"-C", c.dir}, begin...)...)
			cmd.Env = testbed.GitEnv()
			if out, err := cmd.CombinedOutput(); err == nil {
				t.Fatalf("there was no conflict:\n%s", out)
			}
			r.Grow(1)
			out := c.update()
			c.is(r, "main")
			got := gittest.RunGit(t, c.dir, 0, "status")
			if strings.Contains(got, name) || !strings.Contains(got, "up to date") {
				t.Errorf("git status says:\n%s", got)
			}
			if !strings.Contains(strings.Join(out.Warnings, "\n"), "not been finished") {
				t.Errorf("warnings: %q", out.Warnings)
			}
		})
	}
}

func TestLocalBranchOfAnotherNameKeepsItsName(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := adopt(t, r)
	gittest.RunGit(t, c.dir, 0, "branch", "-m", "main", "trunk")
	r.Grow(1)
	c.update()
	c.is(r, "main")
	if got := gittest.RunGit(t, c.dir, 0, "symbolic-ref", "HEAD"); got != "refs/heads/trunk" {
		t.Errorf("HEAD is %s", got)
	}
}

func TestConfiguredURLWinsOverTheCheckoutsOwn(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := adopt(t, r)
	moved := r.Dir + "-moved"
	if err := os.Rename(r.Dir, moved); err != nil {
		t.Fatal(err)
	}
	r.Dir = moved
	r.Grow(1)
	c.updateFails("upstream")
	c = c.with(func(o *Options) { o.URL = moved })
	c.update()
	c.is(r, "main")
}

func TestPartAndShallowClonesAreMadeWholeIfNothingIsLost(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"shallow": {"--depth=1"},
		"partial": {"--filter=blob:none"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(3)
			r.Git("config", "uploadpack.allowFilter", "true")
			c := newWorkingCopy(t, "")
			other := c.dir + "-2"
			for _, dir := range []string{c.dir, other} {
				gittest.RunGit(t, "/", 0, append(append([]string{"clone", "-q"}, args...), "file://"+r.Dir, dir)...)
			}
			r.Grow(1)
			out := c.update()
			c.is(r, "main")
			if !strings.Contains(strings.Join(out.Warnings, "\n"), name) {
				t.Errorf("warnings: %q", out.Warnings)
			}
			if out := c.update(); len(out.Warnings) > 0 {
				t.Errorf("the next update warns: %q", out.Warnings)
			}

			c = c.with(func(o *Options) { o.Dir = other })
			c.dir = other
			gittest.RunGit(t, other, 0, "checkout", "-q", "-b", "mine")
			gittest.RunGit(t, other, 0, "commit", "-q", "--allow-empty", "-m", "not upstream")
			gittest.RunGit(t, other, 0, "checkout", "-q", "main")
			before := c.snapshotOf()
			c.updateFails("refs/heads/mine")
			if after := c.snapshotOf(); after != before {
				t.Errorf("the refused update changed\n%s\nto\n%s", before, after)
			}
		})
	}
}

func TestRewrittenHistoryIsFollowedAndSaid(t *testing.T) {
	t.Parallel()
	for _, transport := range runtest.Pick(transports, len(transports), 1) {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(4)
			url, change := transport.serve(t, r)
			c := cloned(t, url, change)
			for _, rewrite := range [][]string{
				{"reset", "-q", "--hard", "HEAD~2"},          // backwards
				{"commit", "-q", "--amend", "-m", "amended"}, // sideways
				{"checkout", "-q", "--orphan", "fresh"},      // without anything in common
			} {
				before := r.Git("rev-parse", "main")
				r.Git(rewrite...)
				if rewrite[0] == "checkout" {
					r.Commit("fresh start")
					r.Git("branch", "-M", "fresh", "main")
				}
				after := r.Git("rev-parse", "main")
				out := c.update()
				c.is(r, "main")
				said := strings.Join(out.Warnings, "\n")
				if !out.Rewritten || !strings.Contains(said, before) || !strings.Contains(said, after) {
					t.Errorf("%v: outcome %+v, want a warning with %s and %s", rewrite, out, before, after)
				}
				r.Grow(1)
				if out := c.update(); out.Rewritten || len(out.Warnings) > 0 {
					t.Errorf("%v: the next update: %+v", rewrite, out)
				}
			}
		})
	}
}

func TestLocalCommitsAreTakenOffTheBranchAndKept(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Write("tagstate", "etchautotag-20261122-0800 good\n")
	r.Commit("tagstate")
	var passed []string
	c := cloned(t, r.Dir, func(o *Options) {
		o.BeforeReplace = func(path string, base, local, upstream []byte) error {
			passed = append(passed, path+"|"+string(base)+"|"+string(local)+"|"+string(upstream))
			return nil
		}
	})
	mark := "etchautotag-20261122-0900 bad\n"
	c.put("tagstate", mark)
	gittest.RunGit(t, c.dir, 0, "commit", "-q", "-a", "-m", "local")
	local := gittest.RunGit(t, c.dir, 0, "rev-parse", "HEAD")
	r.Grow(1)
	out := c.update()
	c.is(r, "main")
	if out.Rewritten || !strings.Contains(strings.Join(out.Warnings, "\n"), local) {
		t.Errorf("outcome: %+v", out)
	}
	if got := gittest.RunGit(t, c.dir, 0, "rev-parse", localPrefix+local); got != local {
		t.Errorf("the local commit is kept as %s", got)
	}
	want := "tagstate|etchautotag-20261122-0800 good\n|" + mark + "|etchautotag-20261122-0800 good\n"
	if len(passed) != 1 || passed[0] != want {
		t.Errorf("passed on: %q, want %q", passed, want)
	}
	if out := c.update(); len(out.Warnings) > 0 || len(passed) != 1 {
		t.Errorf("the next update: %+v, %q", out, passed)
	}
}
