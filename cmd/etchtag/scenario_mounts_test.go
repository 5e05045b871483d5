package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/mounttest"
	"golang.org/x/sys/unix"
)

// TestSomethingIsMountedInATag has somebody mount a directory in the oldest tag, on the very file system of the tags.
func TestSomethingIsMountedInATag(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "rings: [{name: all, delay: 0h}]", "tags: {keep: {within: 1h, last: 1}}")
	for hour := 4; hour <= 10; hour++ {
		s.write("../up/defaults.yml", hourAt(hour))
		s.sh("cd up && git commit -qam next")
		s.snapshot(exitDone, hour, "--no-prune")
	}
	tag := hourTag(4)
	point := filepath.Join(s.base.Dir(tag), "mounted")
	mounttest.Directory(t, point)
	whole := s.tags()[tag]
	for range 2 {
		s.exits(exitIncomplete, "prune", "--rehearse", hourAt(10)).says(`remove .*` + tag + `: it stays .* at "` + point + `"`)
		if tags := s.tags(); tags[hourTag(5)] != nil || len(tags[tag]) != len(whole) {
			t.Errorf("left is %q", tags)
		}
	}
	s.snapshot(exitIncomplete, 11).says(`remove .*` + tag + `: it stays`)
	must(t, unix.Unmount(point, unix.MNT_DETACH))
	s.exits(exitDone, "prune", "--rehearse", hourAt(11)).says("removed " + tag)
	s.clean()
}

// TestSomethingIsMountedInTheWorkingCopy has somebody mount a directory beside what is upstream's, and then on it.
func TestSomethingIsMountedInTheWorkingCopy(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "rings: [{name: all, delay: 0h}]")
	s.snapshot(exitDone, 4)
	mounttest.Directory(t, s.path("trunk/extra/mounted"))
	s.exits(exitDone, "update").says(`left alone .* "extra/mounted"`)
	s.snapshot(exitDone, 5).says(`left alone .* "extra/mounted"`)

	entries, err := os.ReadDir(s.path("trunk"))
	must(t, err)
	dir := entries[slices.IndexFunc(entries, func(e os.DirEntry) bool { return e.IsDir() && e.Name() != ".git" && e.Name() != "extra" })].Name()
	mounttest.Directory(t, s.path("trunk/"+dir))
	stays := `"` + dir + `" is upstream's: it stays .* at "` + s.path("trunk/"+dir) + `"`
	s.exits(exitFailed, "update").says(stays)
	s.snapshot(exitIncomplete, 6).says(stays) // of what was fetched before
	s.intact(s.tags())
}

// TestTagsWithAMountInThemAreNotRenamed has somebody mount a directory in a tag that is named in local time.
func TestTagsWithAMountInThemAreNotRenamed(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "")
	for _, hour := range []int{-2, -1} { // eight hours behind
		dir := s.base.Dir(hourTag(hour))
		must(t, os.MkdirAll(dir, 0o755))
		if hour == -1 {
			mounttest.Directory(t, filepath.Join(dir, "mounted"))
		}
		made := hourTime(hour + 8).Add(3 * time.Second)
		must(t, os.Chtimes(dir, made, made))
	}
	s.exits(exitFailed, "init", "--legacy-tz", "America/Los_Angeles").says("cannot rename " + hourTag(-1) + ": it stays")
	for _, hour := range []int{-2, -1} {
		if _, err := os.Stat(s.base.Dir(hourTag(hour))); err != nil {
			t.Error(err)
		}
	}
}
