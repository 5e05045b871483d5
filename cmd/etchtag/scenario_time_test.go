package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/tagging/tag"
)

// oneRing is a configuration in which every host gets the newest tag.
const oneRing = "rings: [{name: all, delay: 0h}]"

// year is how many hours a clock goes wrong that is a year ahead.
const year = 365 * 24

// TestScenario07ClockIsWrong has the clock be a year ahead, go back by two hours, and step at the end of an hour.
func TestScenario07ClockIsWrong(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", oneRing, "tags: {keep: {within: 2h, last: 1}}")
	for hour := 2; hour <= 6; hour++ {
		s.snapshot(exitDone, hour, "--no-prune")
	}
	before := s.tags()

	// A year ahead: the tag of that hour is made, and nothing goes.
	s.snapshot(exitIncomplete, year).says("^made "+hourTag(year), "not removed: the newest tag before this run, .*: the clock jumped")
	s.exits(exitIncomplete, "prune", "--rehearse", hourAt(2*year)).says("the clock jumped")
	s.intact(before)
	if n := len(s.tags()); n != len(before)+1 {
		t.Errorf("there are %d tags", n)
	}

	// The clock is right again: the tag of the future is never a candidate, is never removed, and is said.
	s.statusSays(7, "future", hourTag(year))
	if got := s.gets(6, "dev1.example.com"); got != "tags/"+hourTag(6) {
		t.Errorf("a host gets %q", got)
	}
	s.snapshot(exitDone, 7, "--no-prune")
	s.exits(exitDone, "prune", "--rehearse", hourAt(7))
	if s.tags()[hourTag(year)] == nil {
		t.Error("the tag of the future is gone")
	}
	before = s.tags()

	// Two hours back: the tags of those hours are there, and are said to be of the future.
	s.sh("cd up && echo three >source/etc/motd && git commit -qam three")
	s.snapshot(exitDone, 5).says(hourTag(5) + " is there already")
	s.same(before)
	s.statusSays(5, "future", hourTag(7))
	if got := s.gets(5, "dev1.example.com"); got != "tags/"+hourTag(5) {
		t.Errorf("a host gets %q", got)
	}

	// It steps while a snapshot runs: the time after the update counts, and only that.
	s.snapshotWhile(t, hourTime(8).Add(-time.Second), hourTime(8)).says("^made " + hourTag(8))
	before = s.tags()
	s.snapshotWhile(t, hourTime(9), hourTime(9).Add(-time.Second)).says(hourTag(8) + " is there already")
	s.same(before)
	s.recovers(9)
}

// snapshotWhile makes a tag with a clock that steps once the lock is taken.
func (s *scenario) snapshotWhile(t *testing.T, from, to time.Time) outcome {
	t.Helper()
	now := from
	r := &recorder{fail: func(step faultStep) error {
		if step.label == "take lock" {
			now = to
		}
		return nil
	}}
	o := s.inProcessAt(func() time.Time { return now }, r, "snapshot")
	if o.code != exitDone || !now.Equal(to) {
		t.Fatalf("exit status %d, the clock says %s: %s", o.code, now, o.stderr)
	}
	return o
}

// TestScenario08DaylightSaving lives through days on which clocks are changed, with snapshot in one time zone after the
// other, and the resolver in the next.
func TestScenario08DaylightSaving(t *testing.T) {
	t.Parallel()
	zones := []string{"Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Kiritimati", "UTC"}
	days := []string{"2026-03-29", "2026-10-25"} // Berlin has 23 hours on the one, and 25 on the other
	for _, day := range runtest.Pick(days, len(days), 1) {
		t.Run(day, func(t *testing.T) {
			s := newScenario(t, "", oneRing)
			midnight, err := time.Parse(time.DateOnly, day)
			must(t, err)
			var want []string
			for hour := range 24 {
				at := midnight.Add(time.Duration(hour) * time.Hour)
				want = append(want, tag.Name(at))
				there, here := zones[hour%len(zones)], zones[(hour+1)%len(zones)]
				zone, err := time.LoadLocation(there)
				if err != nil {
					t.Fatalf("tzdata is not installed: %v", err)
				}
				run := func(zone string, words ...string) outcome {
					t.Helper()
					p := s.command(append([]string{"etchtag"}, words...)...)
					p.cmd.Env = append(p.cmd.Env, "TZ="+zone)
					return p.start().end()
				}
				run(there, "snapshot", "--rehearse", at.Add(time.Minute).In(zone).Format(time.RFC3339)).says("^made " + want[hour])
				o := run(here, "nodetagger", "dev1.example.com", "--at", at.Add(59*time.Minute).Format(time.RFC3339))
				if o.code != exitDone || o.stdout != "tags/"+want[hour]+"\n" {
					t.Errorf("%s in %s: a host gets %q: %s", at, here, o.stdout, o.stderr)
				}
			}
			if got := slices.Sorted(maps.Keys(s.tags())); !slices.Equal(got, want) {
				t.Errorf("the tags of the day are %q", got)
			}
			s.intact(nil)
		})
	}
	t.Run("now", func(t *testing.T) { // with the real clock
		s := newScenario(t, "", oneRing)
		for _, zone := range zones {
			p := s.command("etchtag", "snapshot")
			p.cmd.Env = append(p.cmd.Env, "TZ="+zone)
			first := tag.Name(time.Now().Truncate(time.Hour))
			o := p.start().end()
			last := tag.Name(time.Now().Truncate(time.Hour))
			if o.code != exitDone || !strings.Contains(o.stdout, first) && !strings.Contains(o.stdout, last) {
				t.Errorf("in %s: exit status %d: %s", zone, o.code, o.stdout)
			}
		}
	})
}

// fiveDays is how many hours there is no upstream, or no run.
const fiveDays = 5 * 24

// fleet is a host of each ring of the configuration without a file, and how many hours later it gets a tag.
var fleet = map[string]int{"dev1.example.com": 0, "qa1.example.com": 1, "stg1.example.com": 2, "prod1.example.com": 4}

// TestScenario09FiveDaysWithoutARun has nothing run at all for five days.
func TestScenario09FiveDaysWithoutARun(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "tags: {keep: {within: 24h, last: 2}}")
	for hour := range 7 {
		s.snapshot(exitDone, hour, "--no-prune")
	}
	before := s.tags()
	late := 6 + fiveDays
	for host := range fleet {
		if got := s.gets(late, host); got != "tags/"+hourTag(6) {
			t.Errorf("%s gets %q", host, got)
		}
	}
	s.statusSays(late, "tags", "^problem: .*, the newest is "+hourTag(6))
	s.snapshot(exitIncomplete, late).says("^made "+hourTag(late), "old tags are not removed: .*nothing ran for long")
	s.intact(before)
	if n := len(s.tags()); n != len(before)+1 {
		t.Errorf("there are %d tags, not one more than %d", n, len(before))
	}
	s.recovers(late + 1)
	s.serves(late + 1)
	if s.tags()[hourTag(0)] != nil {
		t.Error("now that all is well again, the oldest tag is not removed")
	}
}

// serves proves that every host of the fleet gets a tag which is there, and none before its ring's time.
func (s *scenario) serves(hour int) {
	s.t.Helper()
	for host, delay := range fleet {
		path := s.gets(hour, host)
		name := strings.TrimPrefix(path, "tags/")
		if s.tags()[name] == nil || name > hourTag(hour-delay) {
			s.t.Errorf("%s gets %q", host, path)
		}
	}
}

// TestScenario09FiveDaysWithoutUpstream has snapshot run every hour for five days while upstream is away.
func TestScenario09FiveDaysWithoutUpstream(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	s := newScenario(t, "", "tags: {keep: {within: 12h, last: 12}}")
	for hour := range 7 {
		s.snapshot(exitDone, hour)
	}
	tree := s.tags()[hourTag(6)]
	s.sh("mv up away")
	for hour := 7; hour < 7+fiveDays; hour++ {
		o := s.inProcess(&recorder{}, "snapshot", "--rehearse", hourAt(hour))
		if o.code != exitIncomplete {
			t.Fatalf("%s: exit status %d: %s", hourAt(hour), o.code, o.stderr)
		}
		if hour%24 == 0 {
			o.says("^made .*, stale", s.upstream)
			s.serves(hour)
			s.statusSays(hour, "update", "^problem: .*the last one failed")
			s.statusSays(hour, "stale", "^warning: ")
		}
	}
	for name, files := range s.tags() {
		if !maps.Equal(files, tree) {
			t.Errorf("%s is %q", name, files)
		}
	}
	if n := len(s.tags()); n > 12+4 {
		t.Errorf("%d tags are kept", n)
	}
	s.sh("mv away up")
	s.recovers(7 + fiveDays)
	if _, says := s.status(7 + fiveDays); strings.HasPrefix(says["update"], "problem") {
		t.Errorf("the status says %q", says)
	}
}
