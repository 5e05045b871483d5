package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
)

// mixtures are sources whose client brings a revision here in several steps. Each has a client that takes the first step,
// kills the process that has called it, and ends.
var mixtures = []struct {
	kind, config string
	programs     []string
	begin        string // makes an upstream, of which everything is "old"
	moveOn       string // makes everything "new"
	client       string
}{
	{
		kind: "svn", programs: []string{"svn", "svnadmin", "svnmucc"},
		config: `working_copy: {kind: svn, url: "file://$DIR/away/tree/trunk"}`,
		begin: `mkdir away; echo old >f
for r in tree vendor; do svnadmin create away/$r; svnmucc -m old -U file://$PWD/away/$r mkdir trunk put f trunk/f; done
svnmucc -m external -U file://$PWD/away/tree propset svn:externals "file://$PWD/away/vendor/trunk ext" trunk`,
		moveOn: `echo new >f; for r in tree vendor; do svnmucc -m new -U file://$PWD/away/$r put f trunk/f; done`,
		client: `[ "$1" = update ] || exec $REAL "$@"
shift; $REAL update --ignore-externals "$@"; kill -9 $PPID`,
	},
	{
		kind: "cvs", programs: []string{"cvs"},
		config: `working_copy: {kind: cvs, url: "$DIR/away/cvs", module: m}`,
		begin: `mkdir -p away/cvs; export CVSROOT=$PWD/away/cvs; cvs -f init
mkdir m; cd m; echo old >f; echo old >g; cvs -f -Q import -m old m v r; cd ..; rm -r m; cvs -f -Q checkout m`,
		moveOn: `export CVSROOT=$PWD/away/cvs; cd m; echo newer >f; echo newer >g; cvs -f -Q commit -m new`,
		client: `case " $* " in *" -n "*) exec $REAL "$@";; *" update "*) ;; *) exec $REAL "$@";; esac
$REAL "$@" f; kill -9 $PPID`,
	},
}

// TestScenario01KilledBetweenTwoParts kills an update when one part of a revision is here and another is not, and lets
// upstream be gone then.
func TestScenario01KilledBetweenTwoParts(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for _, m := range mixtures {
		t.Run(m.kind, func(t *testing.T) {
			t.Parallel()
			needPrograms(t, m.programs...)
			s := newScenario(t, "")
			s.sh(m.begin)
			s.configure(strings.ReplaceAll(m.config, "$DIR", s.dir), oneRing)
			s.exits(exitDone, "update")
			updateDies(s, m.kind, m.client, m.moveOn)
			s.sh("mv away gone")
			if o := s.run("snapshot", "--rehearse", hourAt(5)); o.code != exitFailed {
				t.Errorf("with no tag: exit status %d: %s", o.code, o.stderr)
			} else {
				o.says("no tag can stand in", "there is none")
			}
			s.intact(nil)

			s.sh("mv gone away")
			s.snapshot(exitDone, 6)
			before := s.tags()
			updateDies(s, m.kind, m.client, strings.ReplaceAll(m.moveOn, "new", "more"))
			s.sh("mv away gone")
			for _, words := range [][]string{nil, {"--no-update"}} {
				hour := 7 + len(words)
				s.snapshot(exitIncomplete, hour, words...).says("^made "+hourTag(hour)+" .*, stale", "of no single revision",
					"what "+hourTag(hour-1)+" has is published again")
				if now := s.tags()[hourTag(hour)]; !maps.Equal(now, before[hourTag(6)]) {
					t.Errorf("the stale tag is %q", now)
				}
			}
			s.exits(exitFailed, "update")
			s.statusSays(8, "update", "fail")
			s.intact(before)

			s.sh("mv gone away")
			s.recovers(9)
			if now := s.tags()[hourTag(9)]; maps.Equal(now, before[hourTag(6)]) {
				t.Errorf("the next tag has nothing new: %q", now)
			}
		})
	}
}

// updateDies has upstream move on, and an update be killed that has brought a part of that here.
func updateDies(s *scenario, client, script, moveOn string) {
	s.t.Helper()
	s.sh(moveOn)
	programs := filepath.Join(s.dir, "programs")
	must(s.t, os.MkdirAll(programs, 0o755))
	real := strings.TrimSpace(s.sh("command -v " + client))
	text := fmt.Sprintf("#!/bin/sh\nREAL=%s\n%s\n", real, script)
	must(s.t, os.WriteFile(filepath.Join(programs, client), []byte(text), 0o755))
	env := s.env
	s.env = append([]string{"PATH=" + programs + ":" + os.Getenv("PATH")}, env[1:]...)
	if o := s.run("update"); o.code != -1 {
		s.t.Fatalf("the update was not killed: exit status %d: %s", o.code, o.stderr)
	}
	s.env = env
}
