package source

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocalUpstreamsOfAllKindsAreRead(t *testing.T) {
	t.Parallel()
	for name, place := range map[string]func(t *testing.T, r *testRepo) (url string){
		"working tree": func(_ *testing.T, r *testRepo) string { return r.dir },
		"its .git":     func(_ *testing.T, r *testRepo) string { return r.dir + "/.git" },
		"bare": func(t *testing.T, r *testRepo) string {
			bare := filepath.Join(t.TempDir(), "bare.git")
			r.git("clone", "-q", "--bare", r.dir, bare)
			r.git("remote", "add", "bare", bare)
			return "file://" + bare
		},
		"without the suffix .git": func(t *testing.T, r *testRepo) string {
			bare := filepath.Join(t.TempDir(), "bare")
			r.git("clone", "-q", "--bare", r.dir, bare+".git")
			r.git("remote", "add", "bare", bare)
			return bare
		},
		"alternates": func(t *testing.T, r *testRepo) string {
			bare := filepath.Join(t.TempDir(), "bare.git")
			r.git("clone", "-q", "--bare", "--shared", r.dir, bare)
			r.git("remote", "add", "bare", bare)
			return bare
		},
		"linked working tree": func(t *testing.T, r *testRepo) string {
			linked := filepath.Join(t.TempDir(), "linked")
			r.git("worktree", "add", "-q", "--detach", linked)
			return linked
		},
		"packed refs": func(_ *testing.T, r *testRepo) string {
			r.git("pack-refs", "--all")
			return r.dir
		},
		"packs of git maintenance": func(_ *testing.T, r *testRepo) string {
			r.git("maintenance", "run", "--task=loose-objects")
			r.git("maintenance", "run", "--task=loose-objects")
			return r.dir
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newTestRepo(t)
			r.grow(3)
			url := place(t, r)
			c := newWorkingCopy(t, url, func(o *GitOptions) { o.Branch = "main" })
			if _, err := c.Clone(context.Background()); err != nil {
				t.Fatal(err)
			}
			c.is(r, "main")
			r.grow(2)
			if strings.Contains(r.git("remote"), "bare") {
				r.git("push", "-q", "bare", "main")
			}
			r.git("pack-refs", "--all")
			c.update()
			c.is(r, "main")
		})
	}
}

func TestRelativePathIsTakenFromTheWorkingCopy(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	c := newWorkingCopy(t, "../upstream")
	if err := os.Rename(r.dir, filepath.Join(filepath.Dir(c.dir), "upstream")); err != nil {
		t.Fatal(err)
	}
	r.dir = filepath.Join(filepath.Dir(c.dir), "upstream")
	runGit(t, "/", 0, "clone", "-q", r.dir, c.dir)
	r.grow(1)
	c.update()
	c.is(r, "main")
}

func TestLocalUpstreamMayBeRepackedAndPushedToWhileItIsRead(t *testing.T) {
	t.Parallel()
	for _, label := range []string{"create objects", "copy pack", "sync objects", "sync pack"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			r := newTestRepo(t)
			r.grow(3)
			r.git("repack", "-adq")
			r.grow(3)
			disturbed := 0
			disturb := func(o *GitOptions) {
				o.Step = func(l string) error {
					if l == label && disturbed < 2 {
						disturbed++
						r.grow(1)
						r.git("gc", "-q", "--prune=now")
					}
					return nil
				}
			}
			before := r.git("rev-parse", "main")
			c := cloned(t, r.dir, disturb)
			if got := runGit(t, c.dir, 0, "rev-parse", "HEAD"); got != before {
				t.Errorf("HEAD is %s, want %s, which was upstream's when the clone began", got, before)
			}
			runGit(t, c.dir, 0, "fsck", "--strict")
			disturbed = 0
			r.grow(2)
			c.update()
			disturbed = 2
			c.update()
			c.is(r, "main")
		})
	}
}

func TestManyMissingObjectsAreCopiedAsPacks(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	c := cloned(t, r.dir)
	for i := range pickLimit {
		r.write(fmt.Sprintf("many/%d/%d", i%50, i), fmt.Sprintln(i))
	}
	r.commit("many")
	r.git("repack", "-adq")
	c.update()
	c.is(r, "main")
	if c.count("??/*") > 100 {
		t.Errorf("%d objects have files of their own", c.count("??/*"))
	}
}

func TestDamagedPackOfUpstreamIsNotCopied(t *testing.T) {
	t.Parallel()
	r := packedUpstream(t)
	packs, _ := filepath.Glob(filepath.Join(r.dir, ".git/objects/pack/*.pack"))
	data := []byte(readTestFile(t, packs[0]))
	data[len(data)/2] ^= 1
	if err := os.Chmod(packs[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packs[0], data, 0o644); err != nil {
		t.Fatal(err)
	}
	c := newWorkingCopy(t, r.dir)
	c.cloneFails(filepath.Base(packs[0]))
}
