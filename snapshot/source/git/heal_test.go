package git

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/mounttest"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/sys/unix"
)

// damages are what can happen to a repository. Each returns the name of what it damaged, as an error
// should have it, if that is not the same for every way of noticing it.
var damages = []struct {
	name  string
	whole bool // what was checked out can still be told and read
	do    func(c *workingCopy) string
}{
	{"pack cut off", false, func(c *workingCopy) string { return c.cutOff(".git/objects/pack/*.pack", 100) }},
	{"refs a file", true, func(c *workingCopy) string {
		name := c.remove(".git/refs")
		if err := os.WriteFile(filepath.Join(c.dir, ".git/refs"), nil, 0o644); err != nil {
			c.t.Fatal(err)
		}
		return name
	}},
	{"packed refs a directory", true, func(c *workingCopy) string {
		if err := os.RemoveAll(filepath.Join(c.dir, ".git/packed-refs")); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(c.dir, ".git/packed-refs"), 0o755); err != nil {
			c.t.Fatal(err)
		}
		return "packed-refs"
	}},
	{"pack one byte short", true, func(c *workingCopy) string {
		return c.each(".git/objects/pack/*.pack", func(name string) error {
			info, err := os.Stat(name)
			if err != nil {
				return err
			}
			return os.Truncate(name, info.Size()-1)
		})
	}},
	{"pack empty", false, func(c *workingCopy) string { return c.cutOff(".git/objects/pack/*.pack", 0) }},
	{"pack overwritten", false, func(c *workingCopy) string { return c.overwrite(".git/objects/pack/*.pack") }},
	{"pack missing", false, func(c *workingCopy) string { return c.remove(".git/objects/pack/*.pack") }},
	{"pack index cut off", false, func(c *workingCopy) string { return c.cutOff(".git/objects/pack/*.idx", 500) }},
	{"pack index empty", false, func(c *workingCopy) string { return c.cutOff(".git/objects/pack/*.idx", 0) }},
	{"pack index missing", false, func(c *workingCopy) string { return c.remove(".git/objects/pack/*.idx") }},
	{"loose objects empty", false, func(c *workingCopy) string { c.loose(); return c.cutOff(".git/objects/??/*", 0) }},
	{"loose objects cut off", false, func(c *workingCopy) string { c.loose(); return c.cutOff(".git/objects/??/*", 12) }},
	{"objects missing", false, func(c *workingCopy) string { return c.remove(".git/objects") }},
	{"branch empty", true, func(c *workingCopy) string { return c.cutOff(".git/refs/heads/main", 0) }},
	{"branch garbage", true, func(c *workingCopy) string { return c.overwrite(".git/refs/heads/main") }},
	{"branch to nowhere", false, func(c *workingCopy) string { return c.put(".git/refs/heads/main", gittest.HashA+"\n") }},
	{"remote branch cut off", true, func(c *workingCopy) string { return c.cutOff(".git/refs/remotes/origin/main", 20) }},
	{"packed refs garbage", true, func(c *workingCopy) string {
		gittest.RunGit(c.t, c.dir, 0, "pack-refs", "--all")
		return c.overwrite(".git/packed-refs")
	}},
	{"packed refs cut off", true, func(c *workingCopy) string {
		gittest.RunGit(c.t, c.dir, 0, "pack-refs", "--all")
		return c.cutOff(".git/packed-refs", 70)
	}},
	{"HEAD empty", true, func(c *workingCopy) string { return c.cutOff(".git/HEAD", 0) }},
	{"HEAD missing", true, func(c *workingCopy) string { return c.remove(".git/HEAD") }},
	{"configuration garbage", false, func(c *workingCopy) string { return c.overwrite(".git/config") }},
	{"everything missing", false, func(c *workingCopy) string { return c.remove(".git/*") }},
	{"a file instead", false, func(c *workingCopy) string { c.remove(".git"); return c.put(".git", "gitdir\n") }},
}

// each calls do for the files that match.
func (c *workingCopy) each(pattern string, do func(name string) error) string {
	c.t.Helper()
	files, err := filepath.Glob(filepath.Join(c.dir, pattern))
	if err != nil || len(files) == 0 {
		c.t.Fatalf("%s: %q, %v", pattern, files, err)
	}
	for _, file := range files {
		_ = os.Chmod(file, 0o755)
		if err := do(file); err != nil {
			c.t.Fatal(err)
		}
	}
	return filepath.Base(files[0])
}

func (c *workingCopy) cutOff(pattern string, size int64) string {
	return c.each(pattern, func(name string) error { return os.Truncate(name, size) })
}

func (c *workingCopy) overwrite(pattern string) string {
	return c.each(pattern, func(name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return os.WriteFile(name, []byte(strings.Repeat("\x00\xff[", int(info.Size())/3+1)), 0o644)
	})
}

// flip changes a byte in the middle of files, and nothing that can be seen from outside.
func (c *workingCopy) flip(pattern string) string {
	return c.each(pattern, func(name string) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 0xff
		return errors.Join(os.WriteFile(name, data, 0o644), os.Chtimes(name, time.Time{}, info.ModTime()))
	})
}

func (c *workingCopy) remove(pattern string) string { return c.each(pattern, os.RemoveAll) }

func (c *workingCopy) put(name, content string) string {
	testbed.WriteTestFile(c.t, filepath.Join(c.dir, name), content)
	return filepath.Base(name)
}

// loose turns packs into objects with files of their own.
func (c *workingCopy) loose() {
	c.t.Helper()
	packs, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects/pack/*.pack"))
	for _, pack := range packs {
		aside := filepath.Join(c.t.TempDir(), "pack")
		if err := os.Rename(pack, aside); err != nil {
			c.t.Fatal(err)
		}
		if err := os.Remove(strings.TrimSuffix(pack, ".pack") + ".idx"); err != nil {
			c.t.Fatal(err)
		}
		in, err := os.Open(aside)
		if err != nil {
			c.t.Fatal(err)
		}
		cmd := exec.Command("git", "-C", c.dir, "unpack-objects", "-q")
		cmd.Env, cmd.Stdin = testbed.GitEnv(), in
		if out, err := cmd.CombinedOutput(); err != nil {
			c.t.Fatalf("git unpack-objects: %v\n%s", err, out)
		}
		in.Close()
	}
}

// digestOf describes all files of a repository.
func digestOf(t *testing.T, dir string) string {
	t.Helper()
	digest := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(digest, "%s %x\n", path, sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", digest.Sum(nil))
}

func TestDamagedRepositoryIsMadeAnewFromUpstream(t *testing.T) {
	t.Parallel()
	for _, damage := range runtest.Pick(damages, 8, 2) {
		for _, transport := range transports[:3:3] {
			if transport.name == "file" {
				continue
			}
			t.Run(damage.name+"/"+transport.name, func(t *testing.T) {
				t.Parallel()
				r := gittest.PackedUpstream(t)
				url, change := transport.serve(t, r)
				c := cloned(t, url, change)
				c.pack()
				first := r.Git("rev-parse", "main")
				damage.do(c)
				r.Grow(1)
				out := c.update()
				c.is(r, "main")
				if !strings.Contains(strings.Join(out.Warnings, "\n"), "made anew") {
					t.Errorf("warnings: %q", out.Warnings)
				}
				if out.Discarded != "" {
					t.Errorf("what the last update wrote was set aside as local edits, in %s", out.Discarded)
				}
				if out.Previous != "" && out.Previous != first && out.Previous != gittest.HashA {
					t.Errorf("previous: %s, want %s", out.Previous, first)
				}
				if left, _ := filepath.Glob(filepath.Join(c.dir, ".git.*")); len(left) > 0 {
					t.Errorf("left over: %q", left)
				}
				if out := c.update(); len(out.Warnings) > 0 || out.Changed > 0 {
					t.Errorf("the next update: %+v", out)
				}
			})
		}
	}
}

// pack packs all objects of the working copy.
func (c *workingCopy) pack() { gittest.RunGit(c.t, c.dir, 0, "repack", "-adq") }

func TestDamagedRepositoryWithoutUpstreamIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	for _, damage := range runtest.Pick(damages, 8, 2) {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.PackedUpstream(t)
			c := cloned(t, r.Dir)
			c.pack()
			commit := r.Git("rev-parse", "main")
			r.Grow(1)
			what := damage.do(c)
			gone := r.Dir + "-gone"
			if err := os.Rename(r.Dir, gone); err != nil {
				t.Fatal(err)
			}
			before := digestOf(t, c.dir)
			err := c.updateFails(remote.Redact(r.Dir))
			if !strings.Contains(err.Error(), what) && !isDamage(err) && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the error does not say what is wrong: %v", err)
			}
			if after := digestOf(t, c.dir); after != before {
				t.Error("the failed update changed something")
			}
			rev, err := c.Current(context.Background())
			if err == nil && rev.ID != commit {
				t.Errorf("Current is %s, want %s or an error", rev.ID, commit)
			}
			if objectsWhole := damage.whole; (err == nil) != objectsWhole {
				t.Errorf("Current: %v, and the objects are whole: %v", err, objectsWhole)
			}
			if err == nil {
				exportAll(t, c, rev)
			}
			if err := os.Rename(gone, r.Dir); err != nil {
				t.Fatal(err)
			}
			c.update()
			c.is(r, "main")
		})
	}
}

// exportAll reads all files of a revision.
func exportAll(t *testing.T, c *workingCopy, rev source.Revision) {
	t.Helper()
	if err := readRevision(c, rev); err != nil {
		t.Errorf("reading %s: %v", rev.ID, err)
	}
}

func readRevision(c *workingCopy, rev source.Revision) error {
	tree, err := c.Tree(context.Background(), rev)
	if err != nil {
		return err
	}
	reader, err := tree.NewReader()
	if err != nil {
		return err
	}
	defer reader.Close()
	for _, e := range tree.Entries() {
		if e.Mode == source.Directory {
			continue
		}
		if err := reader.WriteTo(io.Discard, e); err != nil {
			return err
		}
	}
	return nil
}

func TestDamageThatAnUpdateDoesNotSeeIsHealedWhenItIsMet(t *testing.T) {
	t.Parallel()
	r := gittest.PackedUpstream(t)
	c := cloned(t, r.Dir)
	c.loose()
	c.update() // so that the store is known as it is now
	blob := r.Git("rev-parse", "main:defaults.yml")
	c.flip(".git/objects/" + blob[:2] + "/" + blob[2:])
	out := c.update()
	var damage *object.Error
	err := readRevision(c, out.Revision)
	if !errors.As(err, &damage) || damage.Hash.String() != blob {
		t.Fatalf("reading the damaged blob: %v", err)
	}
	out, err = c.Heal(context.Background(), err)
	if err != nil || !strings.Contains(strings.Join(out.Warnings, "\n"), blob) {
		t.Fatalf("Heal: %+v, %v", out, err)
	}
	exportAll(t, c, out.Revision)
	c.is(r, "main")
}

func TestDamageOfUpstreamIsNotTakenForOurs(t *testing.T) {
	t.Parallel()
	r := gittest.PackedUpstream(t)
	c := cloned(t, r.Dir)
	before := c.snapshotOf()
	r.Grow(1)
	tree := r.Git("rev-parse", "main^{tree}")
	if err := os.Remove(filepath.Join(r.Dir, ".git/objects", tree[:2], tree[2:])); err != nil {
		t.Fatal(err)
	}
	c.updateFails(tree)
	if after := c.snapshotOf(); after != before {
		t.Error("the failed update changed something")
	}
}

func TestConfigurationAndHooksOfPeopleSurviveARebuild(t *testing.T) {
	t.Parallel()
	r := gittest.PackedUpstream(t)
	c := newWorkingCopy(t, "")
	gittest.RunGit(t, "/", 0, "clone", "-q", r.Dir, c.dir)
	gittest.RunGit(t, c.dir, 0, "config", "user.name", "Joe \"X\" # not a comment")
	gittest.RunGit(t, c.dir, 0, "tag", "mine")
	c.put(".git/info/exclude", "*.swp\n")
	c.put(".git/hooks/post-merge", "#!/bin/sh\n")
	c.put(".git/refs/heads/local", gittest.HashB+"\n")
	c.put(".git/refs/remotes/origin/main", "garbage")
	out := c.update()
	c.is(r, "main")
	if got := gittest.RunGit(t, c.dir, 0, "config", "user.name"); got != "Joe \"X\" # not a comment" {
		t.Errorf("user.name is %q", got)
	}
	for name, want := range map[string]string{
		".git/info/exclude": "*.swp\n", ".git/hooks/post-merge": "#!/bin/sh\n",
	} {
		if got := testbed.ReadTestFile(t, filepath.Join(c.dir, name)); got != want {
			t.Errorf("%s is %q", name, got)
		}
	}
	if got := gittest.RunGit(t, c.dir, 0, "rev-parse", "mine"); got != r.Git("rev-parse", "main") {
		t.Errorf("the tag is %s", got)
	}
	if !strings.Contains(strings.Join(out.Warnings, "\n"), "refs/heads/local") {
		t.Errorf("the warnings do not name the lost branch: %q", out.Warnings)
	}
}

// The repository may be a mount of its own. It is used, and stays.
func TestARepositoryWithAMountInItIsNotExchanged(t *testing.T) {
	t.Parallel()
	for _, at := range []string{".git", ".git/objects", ".git/hooks/mounted"} {
		t.Run(at, func(t *testing.T) {
			r := gittest.PackedUpstream(t)
			c := cloned(t, r.Dir)
			point := filepath.Join(c.dir, at)
			testbed.Must(t, os.MkdirAll(point, 0o755))
			mounttest.Until(t, point, point, "", unix.MS_BIND)
			r.Grow(2)
			if out := c.update(); len(out.Warnings) > 0 {
				t.Errorf("%+v", out)
			}
			c.is(r, "main")

			c.overwrite(".git/refs/heads/main")
			r.Grow(1)
			before := testbed.ListDir(t, c.dir)
			sourcetest.IsMounted(t, c.updateFails(), point)
			testbed.ListDir(t, c.dir).Same(t, "the working copy", before)
			testbed.Must(t, unix.Unmount(point, unix.MNT_DETACH))
			c.update()
			c.is(r, "main")
		})
	}
}
