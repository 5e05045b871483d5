package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/staged"
	"golang.org/x/sys/unix"
)

// page is what a file takes at least, in bytes.
const page = 4096

// TestScenario03DiskFull lets the disk be full at one write after the other: a tmpfs that is as large as what it holds
// and a few pages, a tmpfs that somebody fills while a tag is made, and a btrfs with a quota, of which the free space
// says nothing.
func TestScenario03DiskFull(t *testing.T) {
	t.Parallel()
	t.Run("update on a tmpfs", updateOnAFullDisk)
	t.Run("snapshot on a tmpfs that becomes full", snapshotOnADiskThatBecomesFull)
	t.Run("snapshot under a quota", snapshotUnderAQuota)
}

// updateOnAFullDisk has an update fail at each page that it needs.
func updateOnAFullDisk(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=32m", "etchtag")
	resize := func(bytes uint64) {
		t.Helper()
		if out, err := exec.Command("mount", "-o", fmt.Sprintf("remount,size=%d", bytes), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	s := newScenario(t, dir, "rings: [{name: all, delay: 0h}]", "tags: {keep: {within: 1h, last: 1}}")
	for hour := 4; hour <= 6; hour++ {
		s.snapshot(exitDone, hour, "--no-prune")
	}
	s.sh("cd up && mkdir more && for i in 1 2 3 4; do echo $i >more/$i; done && git add -A && git commit -qm three && git gc -q")
	before := s.tags()
	failures := 0
	for pages := uint64(0); ; pages++ {
		free, err := staged.FreeSpace(dir)
		must(t, err)
		resize(free.TotalBytes - free.FreeBytes + pages*page)
		o := s.run("update")
		s.same(before)
		if pages == 0 {
			s.worksOnAFullDisk(before)
		}
		if o.code == exitDone {
			break
		}
		failures++
		if o.code != exitFailed {
			t.Fatalf("%d pages are free: exit status %d: %s", pages, o.code, o.stderr)
		}
		o.says("no space left on device")
	}
	if failures < 5 {
		t.Errorf("the update failed only %d times", failures)
	}
	resize(32 << 20)
	s.recovers(7)
}

// worksOnAFullDisk proves that everything works that has to while the disk is full, without changing anything.
func (s *scenario) worksOnAFullDisk(tags map[string]map[string]string) {
	s.t.Helper()
	s.snapshot(exitFailed, 7).says("not enough space below .*: the tag takes about .* must stay free, but only .* of .* are")
	s.same(tags)
	s.exits(exitDone, "list").says(hourTag(6))
	s.exits(exitDone, "explain", "dev1.example.com", "--at", hourAt(6))
	s.exits(exitDone, "prune", "--dry-run", "--rehearse", hourAt(6)).says("remove +" + hourTag(4))
	if got := s.gets(6, "dev1.example.com"); got != "tags/"+hourTag(6) {
		s.t.Errorf("a host gets %q", got)
	}
	if o := s.run("killswitch", "on", "the disk is full"); o.code != exitDone && o.code != exitIncomplete {
		s.t.Errorf("killswitch: exit status %d: %s", o.code, o.stderr)
	}
	if _, err := os.Stat(s.path("killswitch")); err != nil {
		s.t.Error(err)
	}
	s.exits(exitDone, "killswitch", "off")
	s.statusSays(6, "space", "^problem: .* free")
	s.exits(exitDone, "prune", "--rehearse", hourAt(6))
	delete(tags, hourTag(4))
	s.same(tags)
	s.intact(tags)
}

// snapshotOnADiskThatBecomesFull has somebody else take the space after it was found to be enough.
func snapshotOnADiskThatBecomesFull(t *testing.T) {
	dir := mount(t, "-t", "tmpfs", "-o", "size=16m", "etchtag")
	s := newScenario(t, dir, "rings: [{name: all, delay: 0h}]")
	s.snapshot(exitDone, 6)
	before := s.tags()
	s.configure("rings: [{name: all, delay: 0h}]", "tags: {check: [sh, -c, 'cat /dev/zero >"+s.dir+"/filler; true']}")
	s.snapshot(exitFailed, 7).says("no space left on device")
	s.same(before)
	s.intact(before)
	must(t, os.Remove(filepath.Join(s.dir, "filler")))
	s.configure("rings: [{name: all, delay: 0h}]")
	s.recovers(7)
}

// snapshotUnderAQuota has a snapshot fail at one write after the other, until the quota suffices.
func snapshotUnderAQuota(t *testing.T) {
	needPrograms(t, "btrfs")
	disk := loopMount(t, "btrfs", 256)
	dir := filepath.Join(disk, "subvolume")
	btrfs := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("btrfs", args...).CombinedOutput(); err != nil {
			t.Fatalf("btrfs %q: %v: %s", args, err, out)
		}
	}
	btrfs("quota", "enable", disk)
	btrfs("subvolume", "create", dir)
	id, err := exec.Command("btrfs", "inspect-internal", "rootid", dir).Output()
	must(t, err)
	limit := func(bytes string) { btrfs("qgroup", "limit", bytes, "0/"+strings.TrimSpace(string(id)), disk) }
	s := newScenario(t, dir, "rings: [{name: all, delay: 0h}]")
	s.snapshot(exitDone, 6)
	s.sh("cd up && mkdir more && for i in 1 2 3 4 5 6; do head -c 20000 /dev/urandom >more/$i; done && git add -A && git commit -qm three")
	s.exits(exitDone, "update")
	before := s.tags()
	failures := 0
	for step := uint64(0); ; step++ {
		must(t, syncFS(disk))
		limit(fmt.Sprint(s.bytes() + step*6*page))
		o := s.run("snapshot", "--rehearse", hourAt(7))
		if o.code == exitDone {
			break
		}
		failures++
		if o.code != exitFailed {
			t.Fatalf("step %d: exit status %d: %s", step, o.code, o.stderr)
		}
		o.says("disk quota exceeded")
		s.same(before)
		if step == 0 {
			s.exits(exitDone, "list").says(hourTag(6))
			if got := s.gets(7, "dev1.example.com"); got != "tags/"+hourTag(6) {
				t.Errorf("a host gets %q", got)
			}
		}
		limit("none")
		s.exits(exitDone, "prune", "--rehearse", hourAt(6)) // which sweeps what could not be removed
		s.intact(before)
	}
	if failures < 3 {
		t.Errorf("the snapshot failed only %d times", failures)
	}
	limit("none")
	s.intact(before)
	s.recovers(8)
}

// bytes is how much the quota group of the scenario's subvolume refers to.
func (s *scenario) bytes() uint64 {
	s.t.Helper()
	var size uint64
	text := s.sh("btrfs qgroup show --raw -f -F . | awk 'END {print $2}'")
	if _, err := fmt.Sscan(text, &size); err != nil {
		s.t.Fatalf("%q: %v", text, err)
	}
	return size
}

func syncFS(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// TestScenario04InodesExhausted has an ext4 in which fewer inodes are left than a tag takes.
func TestScenario04InodesExhausted(t *testing.T) {
	t.Parallel()
	dir := loopMount(t, "ext4", 16, "-N", "512")
	s := newScenario(t, dir, "rings: [{name: all, delay: 0h}]")
	s.snapshot(exitDone, 6)
	before := s.tags()
	must(t, os.Mkdir(filepath.Join(s.dir, "filler"), 0o755))
	const left = 7
	for n := 0; ; n++ {
		space, err := staged.FreeSpace(dir)
		must(t, err)
		if space.FreeInodes == left {
			break
		}
		must(t, os.WriteFile(filepath.Join(s.dir, "filler", fmt.Sprint(n)), nil, 0o644))
	}
	s.snapshot(exitFailed, 7).says(`not enough inodes below .*: the tag takes \d+ and \d+ must stay free, but only \d of \d+ are`)
	r := &recorder{}
	s.inProcess(r, "snapshot", "--rehearse", hourAt(7))
	for _, step := range r.steps {
		if slices.Contains(stagedWrites, step.label) {
			t.Errorf("something was staged: %s", step)
		}
	}
	s.same(before)
	s.intact(before)
	s.statusSays(7, "inodes", "^(warning|problem): ")
	if got := s.gets(7, "dev1.example.com"); got != "tags/"+hourTag(6) {
		t.Errorf("a host gets %q", got)
	}
	must(t, os.RemoveAll(filepath.Join(s.dir, "filler")))
	s.recovers(7)
}
