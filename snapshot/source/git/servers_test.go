package git

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
)

// workingCopy is a working copy under test, with its upstream.
type workingCopy struct {
	*Source
	t   *testing.T
	dir string
}

// newWorkingCopy returns a source for a working copy that does not exist yet.
func newWorkingCopy(t *testing.T, url string, change ...func(*Options)) *workingCopy {
	t.Helper()
	base := t.TempDir()
	o := Options{
		Dir:     filepath.Join(base, "trunk"),
		URL:     url,
		Timeout: time.Minute,
		Edits: aside.Edits{
			Discard: filepath.Join(base, "discarded"),
			Now:     func() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) },
		},
	}
	for _, f := range change {
		f(&o)
	}
	return &workingCopy{Source: New(o), t: t, dir: o.Dir}
}

// cloned returns a working copy that was just cloned.
func cloned(t *testing.T, url string, change ...func(*Options)) *workingCopy {
	t.Helper()
	c := newWorkingCopy(t, url, change...)
	if _, err := c.Clone(context.Background()); err != nil {
		t.Fatalf("Clone: %v", err)
	}
	return c
}

// with returns the same working copy with other options.
func (c *workingCopy) with(change func(*Options)) *workingCopy {
	o := c.o
	change(&o)
	return &workingCopy{Source: New(o), t: c.t, dir: c.dir}
}

func (c *workingCopy) update() source.Outcome {
	c.t.Helper()
	out, err := c.Update(context.Background())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	return out
}

// updateFails asserts that an update fails, and that its error says every one of the words.
func (c *workingCopy) updateFails(words ...string) error {
	c.t.Helper()
	_, err := c.Update(context.Background())
	if err == nil {
		c.t.Fatal("Update succeeded")
	}
	c.says(err, words)
	return err
}

// cloneFails asserts that a clone fails, and that its error says every one of the words.
func (c *workingCopy) cloneFails(words ...string) error {
	c.t.Helper()
	_, err := c.Clone(context.Background())
	if err == nil {
		c.t.Fatal("Clone succeeded")
	}
	c.says(err, words)
	return err
}

// says asserts that an error says every one of the words.
func (c *workingCopy) says(err error, words []string) {
	c.t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			c.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// is asserts that the working copy is exactly what upstream's branch is, by git's own judgement.
func (c *workingCopy) is(r *gittest.TestRepo, branch string) {
	c.t.Helper()
	want := r.Git("rev-parse", branch)
	if got := gittest.RunGit(c.t, c.dir, 0, "rev-parse", "HEAD"); got != want {
		c.t.Errorf("HEAD is %s, upstream's %s is %s", got, branch, want)
	}
	if status := gittest.RunGit(c.t, c.dir, 0, "status", "--porcelain", "--ignored"); status != "" {
		c.t.Errorf("git status says:\n%s", status)
	}
	if got, want := gittest.RunGit(c.t, c.dir, 0, "log", "--format=%H"), r.Git("log", "--format=%H", branch); got != want {
		c.t.Errorf("git log is\n%s\nwant\n%s", got, want)
	}
	gittest.RunGit(c.t, c.dir, 0, "fsck", "--full", "--strict", "--no-dangling")
	if left, _ := filepath.Glob(filepath.Join(c.dir, ".git", "objects", disk.TempPrefix+"*")); len(left) > 0 {
		c.t.Errorf("left over: %q", left)
	}
}
