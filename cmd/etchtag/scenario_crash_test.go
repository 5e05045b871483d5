package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/tagging/tag"
)

// TestScenario01KilledAtAnyStep kills, by SIGKILL, a process before the first and the last operation of each label of an
// update, a snapshot, a prune and a mark, and after the last of all; before every one if faultsVariable says so.
func TestScenario01KilledAtAnyStep(t *testing.T) {
	t.Parallel()
	u := makeFaultUpstreams(t)
	for _, s := range faultScenarios {
		if !slices.Contains([]string{"update with changed files", "snapshot with a previous tag", "prune", "mark"}, s.name) {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			l := &faultLab{scenario: s, upstreams: u, dir: filepath.Join(u.dir, "lab", s.name)}
			l.count.labels = map[string]bool{}
			l.record(t)
			last := map[string]int{}
			for _, step := range l.steps {
				last[step.label] = step.nth
			}
			steps := slices.DeleteFunc(l.steps, func(s faultStep) bool {
				return s.nth != 1 && s.nth != last[s.label] && os.Getenv(faultsVariable) != "all"
			})
			for _, step := range runtest.Pick(steps, 10, 2) {
				l.kill(t, step)
			}
			t.Logf("%d processes killed", l.count.kills)
		})
	}
}

// TestScenario02PowerCut has the power fail right after something was reported as done: what stood on the disk at that
// moment is all that there is afterwards. What stands on the disk is what a file system in a loop device has written to
// its file. A file that was written without a sync shows that the rest would have been lost.
func TestScenario02PowerCut(t *testing.T) {
	t.Parallel()
	for _, disk := range []struct{ kind, options string }{
		{"ext4", "loop,commit=300"}, {"xfs", "loop"}, {"btrfs", "loop,commit=300"},
	} {
		t.Run(disk.kind, func(t *testing.T) {
			image := diskImage(t, disk.kind, 320)
			dir := mount(t, "-t", disk.kind, "-o", disk.options, image)
			s := newScenario(t, dir, "rings: [{name: all, delay: 0h}]")
			s.snapshot(exitDone, 6)
			s.sh("cd up && echo three >source/etc/motd && git commit -qam three")
			s.snapshot(exitDone, 7).says("^made " + hourTag(7))
			before := s.tags()
			s.exits(exitDone, "mark", "bad", hourTag(6))
			s.exits(exitDone, "killswitch", "on", "stop")
			s.write("control", "never synced\n")

			disk2 := filepath.Join(openDir(t), "after")
			s.sh("cp --sparse=always " + image + " " + disk2)
			unmount(t, dir)
			after := mount(t, "-t", disk.kind, "-o", disk.options, disk2)
			rel, err := filepath.Rel(dir, s.dir)
			must(t, err)
			s.dir = filepath.Join(after, rel)
			s.base = tag.Base{Path: filepath.Join(s.dir, "base")}
			s.upstream = filepath.Join(s.dir, "up")
			if data, err := os.ReadFile(s.path("control")); string(data) == "never synced\n" {
				t.Errorf("the power was not cut: %s is there (%v)", s.path("control"), err)
			}
			s.same(before)
			s.exits(exitDone, "verify")
			if got := readOptional(t, s.path("tagstate")); !strings.HasPrefix(got, hourTag(6)+" bad") {
				t.Errorf("the mark is lost: %q", got)
			}
			s.exits(exitDone, "killswitch", "status").says("on since .*: stop")
			if got := s.gets(7, "dev1.example.com"); got != "tags/"+hourTag(7) {
				t.Errorf("a host gets %q", got)
			}
			s.sh("rm -r up") // its own writes were never synced, and cannot be had any more
			must(t, makeUpstream(s.upstream, s.env))
			s.configure()
			s.recovers(8)
		})
	}
}

// TestScenario06CrashWhileATagIsDeleted kills prune when some of the files of a tag are gone.
func TestScenario06CrashWhileATagIsDeleted(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "tags: {keep: {within: 2h, last: 1}}", "rings: [{name: all, delay: 1h}]")
	const files = 1500
	s.sh(fmt.Sprintf("cd up && mkdir many && cd many && seq %d | xargs touch && git add -A && git commit -qm many", files))
	halfDeleted := func() bool {
		left, err := os.ReadDir(s.base.Trash())
		return err == nil && slices.ContainsFunc(left, func(e os.DirEntry) bool {
			names, err := os.ReadDir(filepath.Join(s.base.Trash(), e.Name(), "many"))
			return err == nil && 0 < len(names) && len(names) < files
		})
	}
	hour := 0
	for ; hour < 100 && !halfDeleted(); hour += 4 { // what is over too soon is tried again
		for i := range 4 {
			s.snapshot(exitDone, hour+i, "--no-prune")
		}
		p := s.command("etchtag", "prune", "--rehearse", hourAt(hour+3)).start()
		for running := true; running && !halfDeleted(); {
			select {
			case <-p.over:
				running = false
			default:
			}
		}
		_ = p.cmd.Process.Kill()
		p.end()
	}
	if !halfDeleted() {
		t.Fatal("no tag was seen half deleted")
	}
	s.statusSays(hour-1, "debris", "sweeps")
	rest := s.tags()
	for name := range rest {
		s.exits(exitDone, "verify", name)
	}
	if rest[hourTag(hour-4)] != nil {
		t.Errorf("%s can still be seen", hourTag(hour-4))
	}
	s.exits(exitDone, "prune", "--rehearse", hourAt(hour-1))
	s.same(rest)
	s.intact(rest)
	s.recovers(hour)
}
