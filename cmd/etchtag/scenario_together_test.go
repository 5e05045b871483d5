package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestScenario05ManyAtOnce starts two snapshots, a prune and 50 resolvers at once, again and again. TestKillLoop does
// the like for as long as it is told, and kills them.
func TestScenario05ManyAtOnce(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "tags: {keep: {within: 2h, last: 1}}", oneRing)
	s.snapshot(exitDone, 0)
	motd := map[string]string{"tags/" + hourTag(0): "two\n"}
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	for hour := 1; hour <= rounds; hour++ {
		text := fmt.Sprintln("round", hour)
		s.sh(fmt.Sprintf("cd up && echo round %d >source/etc/motd && git commit -qam %d", hour, hour))
		motd["tags/"+hourTag(hour)] = text
		snapshots := []*process{
			s.command("etchtag", "snapshot", "--no-prune", "--rehearse", hourAt(hour)).start(),
			s.command("etchtag", "snapshot", "--rehearse", hourAt(hour)).start()}
		prune := s.command("etchtag", "prune", "--rehearse", hourAt(hour)).start()
		var resolvers []*process
		for range 50 {
			resolvers = append(resolvers, s.command("etchtag", "nodetagger", "dev1.example.com", "--at", hourAt(hour)).start())
		}
		for _, p := range resolvers {
			o := p.end()
			path := strings.TrimSuffix(o.stdout, "\n")
			got, err := os.ReadFile(filepath.Join(s.base.Path, path, "source/etc/motd"))
			if o.code != exitDone || err != nil || string(got) != motd[path] {
				t.Errorf("a host gets %q, with %q (%v): exit status %d: %s", path, got, err, o.code, o.stderr)
			}
		}
		made := 0
		for _, p := range snapshots {
			switch o := p.end(); o.code {
			case exitDone:
				made += strings.Count(o.stdout, "made "+hourTag(hour))
			case exitBusy:
				o.says("another run holds the lock")
			default:
				t.Errorf("snapshot: exit status %d: %s", o.code, o.stderr)
			}
		}
		if o := prune.end(); o.code != exitDone && o.code != exitBusy {
			t.Errorf("prune: exit status %d: %s", o.code, o.stderr)
		}
		if exists := s.tags()[hourTag(hour)] != nil; made > 1 || exists != (made == 1) {
			t.Errorf("%d snapshots say that they made %s; it is there: %v", made, hourTag(hour), exists)
		}
		s.intact(nil)
		s.snapshot(exitDone, hour, "--no-prune") // if all of them lost to the prune
	}
	s.loserExitsAtOnce(rounds + 1)
	s.recovers(rounds + 2)
}

// heldSnapshot starts a snapshot that does not come to its end before release is called.
func (s *scenario) heldSnapshot(hour int) (p *process, release func()) {
	s.t.Helper()
	fifo, reached := filepath.Join(s.dir, "fifo"), filepath.Join(s.dir, "reached")
	must(s.t, syscall.Mkfifo(fifo, 0o600))
	config := readOptional(s.t, s.path("etchtag.yml"))
	s.write("etchtag.yml", "tags: {check: [sh, -c, 'exec 3>"+reached+"; cat "+fifo+"']}\n"+
		strings.Join(withoutTags(strings.SplitAfter(config, "\n")), ""))
	p = s.command("etchtag", "snapshot", "--rehearse", hourAt(hour)).start()
	for _, err := os.Stat(reached); err != nil; _, err = os.Stat(reached) {
		select {
		case <-p.over:
			s.t.Fatalf("it did not get so far: %s", p.end().stderr)
		case <-time.After(time.Millisecond):
		}
	}
	return p, func() {
		s.t.Helper()
		must(s.t, os.WriteFile(fifo, nil, 0))
		must(s.t, os.Remove(fifo))
		must(s.t, os.Remove(reached))
		s.write("etchtag.yml", config)
	}
}

// withoutTags leaves out the line of a configuration that is about tags.
func withoutTags(lines []string) []string {
	var rest []string
	for _, line := range lines {
		if !strings.HasPrefix(line, "tags:") {
			rest = append(rest, line)
		}
	}
	return rest
}

// loserExitsAtOnce proves that whoever does not get the lock gives up while the winner has it.
func (s *scenario) loserExitsAtOnce(hour int) {
	s.t.Helper()
	before := s.tags()
	winner, release := s.heldSnapshot(hour)
	for _, words := range [][]string{{"snapshot"}, {"update"}, {"prune"}, {"verify", "--repair"}} {
		s.exits(exitBusy, words...).says("another run holds the lock")
	}
	s.exits(exitDone, "list")
	s.statusSays(hour, "lock", fmt.Sprintf("held by process %d ", winner.cmd.Process.Pid))
	s.same(before)
	release()
	if o := winner.end(); o.code != exitDone || !strings.Contains(o.stdout, "made "+hourTag(hour)) {
		s.t.Errorf("the winner: exit status %d: %s", o.code, o.stderr)
	}
	s.intact(nil)
}

// TestScenario20HoursMissedAndOverrun misses hours, has a snapshot take longer than an hour, and asks the resolver on
// the stroke of it.
func TestScenario20HoursMissedAndOverrun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", oneRing)
	s.snapshot(exitDone, 5)
	s.snapshot(exitDone, 6)
	for hour := 6; hour <= 9; hour++ { // 7, 8 and 9 are missed
		if got := s.gets(hour, "dev1.example.com"); got != "tags/"+hourTag(6) {
			t.Errorf("at %s a host gets %q", hourAt(hour), got)
		}
	}
	s.snapshot(exitDone, 10)
	for _, missed := range []int{7, 8, 9} {
		if s.tags()[hourTag(missed)] != nil {
			t.Errorf("%s was made of what is new today", hourTag(missed))
		}
	}
	s.statusSays(10, "gaps", "3 tags missing")

	// It has not ended when the next is due.
	before := s.tags()
	slow, release := s.heldSnapshot(11)
	s.snapshot(exitBusy, 12)
	for _, hour := range []int{11, 12} {
		if got := s.gets(hour, "dev1.example.com"); got != "tags/"+hourTag(10) {
			t.Errorf("at %s a host gets %q", hourAt(hour), got)
		}
	}
	s.same(before)
	release()
	if o := slow.end(); o.code != exitDone {
		t.Errorf("exit status %d: %s", o.code, o.stderr)
	}
	if got := s.gets(12, "dev1.example.com"); got != "tags/"+hourTag(11) {
		t.Errorf("a host gets %q", got)
	}
	s.intact(before)

	// The update takes longer than an hour: the tag is that of the hour in which it ends, and is made once.
	s.snapshotWhile(t, hourTime(12), hourTime(13).Add(10*time.Minute)).says("^made " + hourTag(13))
	before = s.tags()
	if before[hourTag(12)] != nil {
		t.Errorf("%s was made after its time", hourTag(12))
	}
	s.snapshot(exitDone, 13).says(hourTag(13) + " is there already")
	s.same(before)
	for at, want := range map[time.Duration]int{-time.Second: 11, 0: 11, 10 * time.Minute: 13} { // when it was published
		o := s.exits(exitDone, "nodetagger", "dev1.example.com", "--at", hourTime(13).Add(at).Format(time.RFC3339))
		if o.stdout != "tags/"+hourTag(want)+"\n" {
			t.Errorf("%v after the stroke of the hour a host gets %q", at, o.stdout)
		}
	}
	s.recovers(14)
}
