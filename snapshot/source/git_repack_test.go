package source

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// names lists all objects of a working copy's repository, as git does.
func (c *workingCopy) names() string {
	c.t.Helper()
	names := strings.Fields(runGit(c.t, c.dir, 0, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	sort.Strings(names)
	return strings.Join(names, "\n")
}

func (c *workingCopy) count(pattern string) int {
	files, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects", pattern))
	return len(files)
}

func TestHousekeepingPacksManyObjectsAndJoinsManyPacks(t *testing.T) {
	t.Parallel()
	r := newTestRepo(t)
	r.grow(3)
	c := cloned(t, r.dir)
	for i := range 6 {
		r.write(fmt.Sprintf("more/%d", i), strings.Repeat("some text to make deltas of\n", 100+i))
		r.grow(2)
		c.update()
		runGit(t, c.dir, 0, "repack", "-dq") // one pack more, with deltas
	}
	runGit(t, c.dir, 0, "repack", "-dq")
	r.grow(4)
	c.update()
	before := c.names()
	if c.count("pack/*.pack") < 6 || c.count("??/*") < 10 {
		t.Fatalf("%d packs, %d loose objects", c.count("pack/*.pack"), c.count("??/*"))
	}
	repository, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	keeper := housekeeper{store: c.store(repository), looseMost: 9, packsMost: 3}
	if err := keeper.run(); err != nil {
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
	r := newTestRepo(t)
	r.grow(5)
	c := cloned(t, r.dir)
	blob := r.git("rev-parse", "main:defaults.yml")
	c.cutOff(".git/objects/"+blob[:2]+"/"+blob[2:], 7)
	before := c.count("??/*")
	repository, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	err = housekeeper{store: c.store(repository), looseMost: 1, packsMost: 1}.run()
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
	r := newTestRepo(t)
	c := cloned(t, r.dir)
	for range 3 {
		r.grow(1)
		c.update()
		runGit(t, c.dir, 0, "repack", "-dq")
	}
	indexes, _ := filepath.Glob(filepath.Join(c.dir, ".git/objects/pack/*.idx"))
	for _, index := range indexes {
		damage(t, index, func(data []byte) []byte {
			data[len(data)-indexTrailer-5] ^= 1 // the place of an object
			return data
		})
	}
	repository, err := c.open()
	if err != nil {
		t.Fatal(err)
	}
	err = housekeeper{store: c.store(repository), looseMost: 100, packsMost: 1}.run()
	if err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("got %v", err)
	}
	if c.count("pack/*.pack") != len(indexes) || len(indexes) < 3 {
		t.Errorf("of %d packs %d are left", len(indexes), c.count("pack/*.pack"))
	}
}
