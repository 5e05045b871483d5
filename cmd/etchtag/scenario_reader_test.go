package main

import (
	"bufio"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestScenario23PruneWhileClientsRead prunes among pinned tags, links, foreign things and equal times, while clients
// read the oldest tag.
func TestScenario23PruneWhileClientsRead(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", oneRing, "tags: {keep: {within: 2h, last: 1}}")
	s.sh("cd up && mkdir many && cd many && seq 300 | xargs touch && git add -A && git commit -qm many")
	for hour := range 10 {
		s.snapshot(exitDone, hour, "--no-prune")
	}
	s.sh(`cd base/tags; mkdir -p ../../elsewhere/dir release-7 etchautotag-20261122-0060 etchautotag-20261122-01 .hidden && touch file etchautotag-20261121-0100 &&
		ln -s ../../elsewhere etchautotag-20261121-0000 && ln -s ` + hourTag(3) + ` current && ln -s nowhere etchautotag-20261121-0200 &&
		echo x | tee release-7/x ../../elsewhere/dir/x >etchautotag-20261122-0060/x`)
	s.write("pins", "pinned.example.com tags/"+hourTag(1)+"\nlinked.example.com tags/current\n")
	for name := range s.tags() { // their names count, and nothing else
		must(t, os.Chtimes(s.base.Dir(name), statusNow, statusNow))
	}
	foreign := s.foreign()
	before := s.tags()

	oldest := s.base.Dir(hourTag(0))
	open, err := os.Open(filepath.Join(oldest, "defaults.yml"))
	must(t, err)
	defer open.Close()
	stop, walked := make(chan struct{}), make(chan int)
	go func() { walked <- s.readAllTheTime(stop, before) }()
	s.exits(exitDone, "prune", "--rehearse", hourAt(9))
	close(stop)
	if n := <-walked; n == 0 {
		t.Error("nobody has read anything")
	}
	if data, err := io.ReadAll(open); err != nil || string(data) != "a: 1\n" {
		t.Errorf("whoever was reading the oldest tag reads %q, %v", data, err)
	}
	now := s.tags()
	want := []string{hourTag(1), hourTag(3), hourTag(7), hourTag(8), hourTag(9)} // pinned, linked to, young
	if got := slices.Sorted(maps.Keys(now)); !slices.Equal(got, want) {
		t.Errorf("prune left %q, not %q", got, want)
	}
	for name := range now {
		if !maps.Equal(now[name], before[name]) {
			t.Errorf("%s is another one now", name)
		}
	}
	if now := s.foreign(); now != foreign {
		t.Errorf("of what is not ours there was\n%s, and is now\n%s", foreign, now)
	}
	for host, path := range map[string]string{"pinned": "tags/" + hourTag(1), "linked": "tags/current", "dev1": "tags/" + hourTag(9)} {
		if got := s.gets(9, host+".example.com"); got != path {
			t.Errorf("%s gets %q", host, got)
		}
	}
	s.exits(exitDone, "list").says(hourTag(9))
	s.clean()
	s.snapshot(exitDone, 10)
	s.clean()
}

// foreign describes what stands among the tags and is none of ours, and what the links there lead to.
func (s *scenario) foreign() string {
	s.t.Helper()
	return s.sh(`find elsewhere base/tags \( -path base/tags/.etchtag -o -type d -path 'base/tags/etchautotag-20261122-0?00' \) -prune -o ` +
		`-mindepth 1 -printf '%p %M %s %T@ %l\n' | sort`)
}

// readAllTheTime walks the tags until it is told to stop, and says how often. A walk of one that was there before and
// after it has to have found all of it.
func (s *scenario) readAllTheTime(stop chan struct{}, tags map[string]map[string]string) (walks int) {
	for {
		for name, want := range tags {
			select {
			case <-stop:
				return walks
			default:
			}
			files := 0
			opened, err := os.Lstat(s.base.Dir(name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			walkErr := filepath.WalkDir(s.base.Dir(name), func(string, fs.DirEntry, error) error {
				files++
				return nil
			})
			now, err := os.Lstat(s.base.Dir(name))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil || walkErr != nil || !os.SameFile(opened, now) || files != len(want) {
				s.t.Errorf("%s has %d files, not %d: %v %v", name, files, len(want), err, walkErr)
				return walks
			}
			walks++
		}
	}
}

// TestScenario24UnprivilegedAndReadOnly has a user to whom nothing belongs work on a base that is mounted read-only.
func TestScenario24UnprivilegedAndReadOnly(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "tags: {keep: {within: 2h, last: 1}}")
	for hour := -1; hour <= 6; hour++ {
		s.snapshot(exitDone, hour, "--no-prune")
	}
	s.write("pins", "pinned.example.com trunk\n")
	before := s.tags()
	writable := s.base
	s.base.Path = mount(t, "--bind", writable.Path)
	s.sh("mount -o remount,bind,ro " + s.base.Path)
	all := func() string { return s.sh("find base -printf '%p %M %s %T@ %l\n' | sort") }
	was := all()
	s.sh("cd up && echo three >source/etc/motd && git commit -qam three")

	for _, as := range []*syscall.Credential{{Uid: nobody, Gid: nobody}, nil} {
		s.as = as
		for host, delay := range fleet {
			if got := s.gets(6, host); got != "tags/"+hourTag(6-delay) {
				t.Errorf("%s gets %q", host, got)
			}
		}
		if got := s.gets(6, "pinned.example.com"); got != "trunk" {
			t.Errorf("a pinned host gets %q", got)
		}
		s.exits(exitDone, "list").says(hourTag(6))
		s.exits(exitDone, "list", "--json").says(hourTag(2))
		s.exits(exitDone, "show", hourTag(6)).says("revision")
		s.exits(exitDone, "explain", "dev1.example.com", "--at", hourAt(6)).says("^gets tags/" + hourTag(6))
		s.exits(exitDone, "hosts", "--at", hourAt(6)).says("dev1.example.com +dev")
		s.exits(exitDone, "verify")
		s.exits(exitDone, "killswitch", "status")
		s.exits(exitDone, "prune", "--dry-run", "--rehearse", hourAt(6)).says("remove +" + hourTag(-1))
		if _, says := s.status(6); !strings.Contains(says["ring production"], hourTag(2)) {
			t.Errorf("the status says %q", says)
		}

		for _, words := range [][]string{{"snapshot"}, {"update"}, {"mark", "bad", hourTag(6)}, {"mark", "clear", hourTag(6)},
			{"keep", hourTag(6)}, {"killswitch", "on", "stop"}, {"init", "--url", s.upstream},
			{"snapshot", "--hour", hourAt(-2), "--revision", "HEAD"}} {
			s.exits(exitFailed, words...).says(`(?i)` + s.path("") + `.*(read-only file system|permission denied)`)
		}
		if as == nil { // whoever can take the lock removes what can be removed, which is nothing
			o := s.exits(exitIncomplete, "prune", "--rehearse", hourAt(6))
			o.says(hourTag(-1)+".*read-only file system", hourTag(0)+".*read-only file system")
			if o.stdout != "" {
				t.Errorf("prune says %q", o.stdout)
			}
		} else {
			for _, words := range [][]string{{"prune", "--rehearse", hourAt(6)}, {"verify", "--repair"}, {"verify", "--adopt"}, {"discarded"}} {
				s.exits(exitFailed, words...).says("permission denied|read-only file system")
			}
		}
		if now := all(); now != was {
			t.Errorf("there was\n%s, and is now\n%s", was, now)
		}
	}
	s.daemonSaysWhatItLacks()
	s.base = writable
	s.intact(before)
	s.recovers(7)
}

// daemonSaysWhatItLacks runs the scheduler where it can do nothing: it says so, and stops when it is told to.
func (s *scenario) daemonSaysWhatItLacks() {
	s.t.Helper()
	p := s.command("etchtag", "run")
	read, write := io.Pipe()
	p.cmd.Stderr = write
	p.start()
	go func() {
		<-p.over
		write.Close()
	}()
	said := false
	for lines := bufio.NewScanner(read); lines.Scan(); {
		if !said && strings.Contains(lines.Text(), "read-only file system") {
			said = true
			_ = p.cmd.Process.Signal(syscall.SIGTERM)
		}
	}
	if o := p.end(); !said || o.code == -1 {
		s.t.Errorf("run: exit status %d, and it does not say that the file system is read-only", o.code)
	}
}
