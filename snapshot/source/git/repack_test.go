package git

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
)

// names lists all objects of a working copy's repository, as git does.
func (c *workingCopy) names() string {
	c.t.Helper()
	names := strings.Fields(gittest.RunGit(c.t, c.dir, 0, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	sort.Strings(names)
	return strings.Join(names, "\n")
}

func (c *workingCopy) count(pattern string) int {
	files, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects", pattern))
	return len(files)
}

func TestHousekeepingPacksManyObjectsAndJoinsManyPacks(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Grow(3)
	c := cloned(t, r.Dir)
	for i := range 6 {
		r.Write(fmt.Sprintf("more/%d", i), strings.Repeat("some text to make deltas of\n", 100+i))
		r.Grow(2)
		c.update()
		gittest.RunGit(t, c.dir, 0, "repack", "-dq") // one pack more, with deltas
	}
	gittest.RunGit(t, c.dir, 0, "repack", "-dq")
	r.Grow(4)
	c.update()
	before := c.names()
	if c.count("pack/*.pack") < 6 || c.count("??/*") < 10 {
		t.Fatalf("%d packs, %d loose objects", c.count("pack/*.pack"), c.count("??/*"))
	}
	repository, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	keeper := object.Housekeeper{Store: c.store(repository), LooseMost: 9, PacksMost: 3}
	if err := keeper.Run(); err != nil {
		t.Fatal(err)
	}
	if c.count("??/*") != 0 || c.count("pack/*.pack") != 2 || c.count("pack/*") != 4 {
		t.Errorf("%d loose objects, %d packs in %d files", c.count("??/*"), c.count("pack/*.pack"), c.count("pack/*"))
	}
	if after := c.names(); after != before {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
	c.is(r, "main")
	if out := c.update(); len(out.Warnings) > 0 || out.Changed > 0 {
		t.Errorf("the next update: %+v", out)
	}
}

func TestHousekeepingRemovesNothingThatItCannotRead(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Grow(5)
	c := cloned(t, r.Dir)
	blob := r.Git("rev-parse", "main:defaults.yml")
	c.cutOff(".git/objects/"+blob[:2]+"/"+blob[2:], 7)
	before := c.count("??/*")
	repository, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	err = object.Housekeeper{Store: c.store(repository), LooseMost: 1, PacksMost: 1}.Run()
	if err == nil || !strings.Contains(err.Error(), blob) {
		t.Errorf("got %v", err)
	}
	if after := c.count("??/*"); after != before {
		t.Errorf("of %d objects %d are left", before, after)
	}
	if left, _ := os.ReadDir(filepath.Join(c.dir, ".git/objects/pack")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestHousekeepingJoinsNoPackWhoseIndexIsDamaged(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := cloned(t, r.Dir)
	for range 3 {
		r.Grow(1)
		c.update()
		gittest.RunGit(t, c.dir, 0, "repack", "-dq")
	}
	indexes, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects/pack/*.idx"))
	for _, index := range indexes {
		gittest.Damage(t, index, func(data []byte) []byte {
			data[len(data)-2*20-5] ^= 1 // the place of an object
			return data
		})
	}
	repository, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	err = object.Housekeeper{Store: c.store(repository), LooseMost: 100, PacksMost: 1}.Run()
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("got %v", err)
	}
	if c.count("pack/*.pack") != len(indexes) || len(indexes) < 3 {
		t.Errorf("of %d packs %d are left", len(indexes), c.count("pack/*.pack"))
	}
}
