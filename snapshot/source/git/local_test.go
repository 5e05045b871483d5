package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
)

func TestLocalUpstreamsOfAllKindsAreRead(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T, r *gittest.TestRepo) (url string){
		"working tree": func(_ *testing.T, r *gittest.TestRepo) string { return r.Dir },
		"its .git":     func(_ *testing.T, r *gittest.TestRepo) string { return r.Dir + "/.git" },
		"bare": func(t *testing.T, r *gittest.TestRepo) string {
			bare := filepath.Join(t.TempDir(), "bare.git")
			r.Git("clone", "-q", "--bare", r.Dir, bare)
			r.Git("remote", "add", "bare", bare)
			return "file://" + bare
		},
		"without the suffix .git": func(t *testing.T, r *gittest.TestRepo) string {
			bare := filepath.Join(t.TempDir(), "bare")
			r.Git("clone", "-q", "--bare", r.Dir, bare+".git")
			r.Git("remote", "add", "bare", bare)
			return bare
		},
		"alternates": func(t *testing.T, r *gittest.TestRepo) string {
			bare := filepath.Join(t.TempDir(), "bare.git")
			r.Git("clone", "-q", "--bare", "--shared", r.Dir, bare)
			r.Git("remote", "add", "bare", bare)
			return bare
		},
		"linked working tree": func(t *testing.T, r *gittest.TestRepo) string {
			linked := filepath.Join(t.TempDir(), "linked")
			r.Git("worktree", "add", "-q", "--detach", linked)
			return linked
		},
		"packed refs": func(_ *testing.T, r *gittest.TestRepo) string {
			r.Git("pack-refs", "--all")
			return r.Dir
		},
		"packs of git maintenance": func(_ *testing.T, r *gittest.TestRepo) string {
			r.Git("maintenance", "run", "--task=loose-objects")
			r.Git("maintenance", "run", "--task=loose-objects")
			return r.Dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(3)
			url := place(t, r)
			c := newWorkingCopy(t, url, func(o *Options) { o.Branch = "main" })
			if _, err := c.Clone(context.Background()); err != nil {
				t.Fatal(err)
			}
			c.is(r, "main")
			r.Grow(2)
			if strings.Contains(r.Git("remote"), "bare") {
				r.Git("push", "-q", "bare", "main")
			}
			r.Git("pack-refs", "--all")
			c.update()
			c.is(r, "main")
		})
	}
}

func TestRelativePathIsTakenFromTheWorkingCopy(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := newWorkingCopy(t, "../upstream")
	if err := os.Rename(r.Dir, filepath.Join(filepath.Dir(c.dir), "upstream")); err != nil {
		t.Fatal(err)
	}
	r.Dir = filepath.Join(filepath.Dir(c.dir), "upstream")
	gittest.RunGit(t, "/", 0, "clone", "-q", r.Dir, c.dir)
	r.Grow(1)
	c.update()
	c.is(r, "main")
}

func TestLocalUpstreamMayBeRepackedAndPushedToWhileItIsRead(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"create objects", "copy pack", "sync objects", "sync pack"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(3)
			r.Git("repack", "-adq")
			r.Grow(3)
			disturbed := 0
			disturb := func(o *Options) {
				o.Step = func(l string) error {
					if l == label && disturbed < 2 {
						disturbed++
						r.Grow(1)
						r.Git("gc", "-q", "--prune=now")
					}
					return nil
				}
			}
			before := r.Git("rev-parse", "main")
			c := cloned(t, r.Dir, disturb)
			if got := gittest.RunGit(t, c.dir, 0, "rev-parse", "HEAD"); got != before {
				t.Errorf("HEAD is %s, want %s, which was upstream's when the clone began", got, before)
			}
			gittest.RunGit(t, c.dir, 0, "fsck", "--strict")
			disturbed = 0
			r.Grow(2)
			c.update()
			disturbed = 2
			c.update()
			c.is(r, "main")
		})
	}
}

func TestManyMissingObjectsAreCopiedAsPacks(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := cloned(t, r.Dir)
	for i := range 2000 { // as many are asked for one by one
		r.Write(fmt.Sprintf("many/%d/%d", i%50, i), fmt.Sprintln(i))
	}
	r.Commit("many")
	r.Git("repack", "-adq")
	c.update()
	c.is(r, "main")
	if c.count("??/*") > 100 {
		t.Errorf("%d objects have files of their own", c.count("??/*"))
	}
}

func TestDamagedPackOfUpstreamIsNotCopied(t *testing.T) {
	t.Parallel()
	r := gittest.PackedUpstream(t)
	packs, _ := filepath.Glob(filepath.Join(r.Dir, ".git/objects/pack/*.pack"))
	data := []byte(testbed.ReadTestFile(t, packs[0]))
	data[len(data)/2] ^= 1
	if err := os.Chmod(packs[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packs[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	c := newWorkingCopy(t, r.Dir)
	c.cloneFails(filepath.Base(packs[0]))
}
