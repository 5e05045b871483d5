package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/etch/etchtag/snapshot/runtest"
)

// TestScenario16HostileHostName asks for hosts that are none, in each way that a name can come in.
func TestScenario16HostileHostName(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	s := newScenario(t, "", "inventory: [{kind: command, command: [bin/lookup]}]", oneRing)
	s.write("bin/lookup", "#!/bin/sh\ntouch "+s.dir+"/looked-up\necho '{groups: []}'\n")
	must(t, os.Chmod(s.path("bin/lookup"), 0o755))
	s.snapshot(exitDone, 6)
	s.sh("rm -f looked-up")
	before := s.outside()
	for _, host := range []string{"a;touch executed", "$(touch executed)", "`touch executed`", "a|b", "a&b", "a>executed", "a b", "a\nb", "\n",
		"a\tb", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", ".a", "-a", "--help", "*", "?", "{a,b}", "~", "!", "a'b",
		`a"b`, "", " ", "é", "\xff", "\x1b[31m", "%s%n", strings.Repeat("a", 254), strings.Repeat("a", 10_000), "a\x00b", "\x00"} {
		for _, words := range [][]string{{s.path("nodetagger"), host}, {"nodetagger", host}, {"etchtag", "nodetagger", "--", host},
			{"etchtag", "explain", "--json", "--", host}} {
			var o outcome
			if strings.Contains(host, "\x00") { // no process can be started with it
				var stdout, stderr strings.Builder
				a := app{stdout: &stdout, stderr: &stderr, getenv: func(name string) string {
					return map[string]string{"ETCHTAG_BASE": s.base.Path}[name]
				}, now: time.Now}
				oneCommand.Lock()
				o = outcome{code: a.run(words), stdout: stdout.String(), stderr: stderr.String()}
				oneCommand.Unlock()
			} else {
				o = s.command(words...).start().end()
			}
			if o.code != exitUsage || o.stdout != "" || o.stderr == "" || len(o.stderr) > 1000 || strings.ContainsAny(o.stderr, "\x00\x1b") {
				t.Errorf("%.40q: exit status %d, %q: %.1000q", words, o.code, o.stdout, o.stderr)
			}
		}
	}
	if now := s.outside(); now != before {
		t.Errorf("there was\n%s, and is now\n%s", before, now)
	}
	if got := s.gets(6, "dev1.example.com"); got != "tags/"+hourTag(6) {
		t.Errorf("a host gets %q", got)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "looked-up")); err != nil {
		t.Errorf("the inventory is never asked: %v", err)
	}
}

// TestScenario17NoAcceptableTag has nothing that may be served.
func TestScenario17NoAcceptableTag(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", "rings: [{name: careful, delay: 0h, groups: [dev], require: good}, {name: all, delay: 0h}]")
	for hour := 4; hour <= 6; hour++ {
		s.sh(fmt.Sprintf("cd up && echo %d >source/etc/motd && git commit -qam %d", hour, hour))
		s.snapshot(exitDone, hour)
	}
	before := s.tags()
	none := func(what, host string, reasons ...string) {
		t.Helper()
		if got := s.gets(6, host); got != "" {
			t.Errorf("%s: %s gets %q", what, host, got)
		}
		s.exits(exitFailed, "nodetagger", host, "--at", hourAt(6)).says(append(reasons, "no acceptable tag for ring")...)
		s.exits(exitFailed, "explain", host, "--at", hourAt(6)).says(reasons...)
		if healthy, says := s.status(6); healthy || !strings.Contains(fmt.Sprint(says), "gets nothing") {
			t.Errorf("%s: the status is %v: %q", what, healthy, says)
		}
		s.exits(exitDone, "killswitch", "on", what)
		s.exits(exitDone, "killswitch", "status").says("on since .*: " + what)
		s.exits(exitDone, "killswitch", "off")
		s.intact(before)
	}
	none("none is good", "dev1.example.com", "not marked good|needs good|requires good|only good")
	s.exits(exitDone, "mark", "good", hourTag(5))
	if got := s.gets(6, "dev1.example.com"); got != "tags/"+hourTag(5) {
		t.Errorf("a host gets %q", got)
	}
	s.exits(exitDone, "mark", "badfwd", hourTag(6), "--force")
	none("badfwd and nothing newer", "prod1.example.com", hourTag(6)+", which is badfwd")
	s.exits(exitDone, "mark", "bad", "--from", hourTag(4), "--to", hourTag(6), "--force")
	none("all are bad", "prod1.example.com", "bad")
	none("all are bad", "dev1.example.com", "bad")
	s.sh("cd up && echo good >source/etc/motd && git commit -qam good")
	s.exits(exitDone, "mark", "clear", "--from", hourTag(4), "--to", hourTag(6))
	s.recovers(7)
}

// TestScenario18PinsToNowhere pins hosts to what they cannot have.
func TestScenario18PinsToNowhere(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", oneRing, "inventory: [{kind: file, path: hosts.yml}]")
	s.write("hosts.yml", "listed.example.com: {groups: [], tag: tags/gone}\n")
	s.snapshot(exitDone, 6)
	before := s.tags()
	s.sh("mkdir outside base/tags/release-7 && ln -s ../../outside base/tags/out && ln -s ../.. base/trunk/up && ln -s /etc base/tags/etc && touch base/tags/file")
	paths := []string{hourTag(7), "tags/" + hourTag(7), "/etc", "/etc/", s.path("trunk"), "..", "../x", "../outside", "tags/../..", "trunk/../../x",
		"tags/../../outside", "tags/out", "tags/etc", "trunk/up", "trunk/up/outside", "tags/file", "tags/.etchtag", "tags/.etchtag/stage",
		"tags//.etchtag/stage", "tags/./.etchtag/trash", "trunk-20260230-0000"}
	var pins strings.Builder
	for i, path := range paths {
		fmt.Fprintf(&pins, "host%d.example.com %s\n", i, path)
	}
	s.write("pins", pins.String())
	for i, path := range paths {
		host := fmt.Sprintf("host%d.example.com", i)
		if got := s.gets(6, host); got != "" {
			t.Errorf("pinned to %q a host gets %q", path, got)
			continue
		}
		o := s.exits(exitFailed, "nodetagger", host, "--at", hourAt(6))
		if !strings.Contains(o.stderr, fmt.Sprintf("%q", path)) || !strings.Contains(o.stderr, fmt.Sprintf("pins:%d", i+1)) {
			t.Errorf("pinned to %q: %s", path, o.stderr)
		}
	}
	s.exits(exitFailed, "nodetagger", "listed.example.com").says(`"tags/gone" of listed\.example\.com \(.*hosts\.yml`)
	if got := s.gets(6, "dev1.example.com"); got != "tags/"+hourTag(6) {
		t.Errorf("a host that is not pinned gets %q", got)
	}
	s.statusSays(6, "pin", `climbs out of the base`)
	must(t, os.Remove(s.path("pins")))
	s.statusSays(6, "pin", `tags/gone`)
	s.intact(before)
	s.write("hosts.yml", "listed.example.com: {groups: []}\n")
	s.recovers(7)
}

// tagstateTrouble is what can be the matter with a file of marks, of which the last word was that 06:00 is bad.
type tagstateTrouble struct {
	name  string
	make  func(path string) error
	gets  int    // the hour whose tag is served; 0 for none
	says  string // what the status says of it, if anything
	about string // of what the status says it
	user  bool   // an unprivileged user asks
	large bool
}

func tagstateTroubles() []tagstateTrouble {
	file := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o644) }
	}
	line := hourTag(6) + " bad\n"
	var wide []byte
	for _, u := range utf16.Encode([]rune("\ufeff" + line)) {
		wide = append(wide, byte(u), byte(u>>8))
	}
	many := strings.Repeat("# a comment that takes its place\n", 10<<20/33)
	return []tagstateTrouble{
		{name: "whole", make: file(line), gets: 5},
		{name: "cut off in the state", make: file(hourTag(6) + " ba"), gets: 5, says: `tagstate:1: "ba" is not a state`, about: "tagstate"},
		{name: "cut off after the name", make: file(hourTag(6)), gets: 5, says: "tagstate:1", about: "tagstate"},
		{name: "cut off in the name", make: file(line[:18]), gets: 6, says: "tagstate:1", about: "tagstate"},
		{name: "in upper case", make: file(strings.ToUpper(line)), gets: 6, says: "tagstate:1", about: "tagstate"},
		{name: "the state in upper case", make: file(hourTag(6) + " BAD\n"), gets: 5, says: `tagstate:1: "BAD" is not a state`, about: "tagstate"},
		{name: "zeros after a power cut", make: file(strings.Repeat("\x00", 100)), gets: 6, says: "tagstate:1", about: "tagstate"},
		{name: "zeros at the end", make: file(line + strings.Repeat("\x00", 100)), gets: 5, says: "tagstate:2", about: "tagstate"},
		{name: "UTF-16", make: file(string(wide)), gets: 6, says: "tagstate:1", about: "tagstate"},
		{name: "Latin-1 and CRLF", make: file("# caf\xe9\r\n" + strings.TrimSpace(line) + " d\xe9sol\xe9\r\n"), gets: 5},
		{name: "a byte-order mark", make: file("\ufeff" + line), gets: 5},
		{name: "10 MB", large: true, make: file(many + line), gets: 5},
		{name: "10 MB in one line", large: true, make: file(strings.Repeat("x", 10<<20) + "\n" + line), gets: 5, says: "tagstate:1", about: "tagstate"},
		{name: "10 MB of nonsense", large: true, make: file(strings.Repeat("non sense\n", 1<<20) + line), gets: 5, says: "tagstate:1", about: "tagstate"},
		{name: "a directory", make: func(path string) error { return os.Mkdir(path, 0o755) }, says: "tagstate", about: "resolver"},
		{name: "a link to nowhere", make: func(path string) error { return os.Symlink("nowhere", path) }, says: "tagstate", about: "resolver"},
		{name: "a link to itself", make: func(path string) error { return os.Symlink("tagstate", path) }, says: "tagstate", about: "resolver"},
		{name: "a fifo", make: func(path string) error { return syscall.Mkfifo(path, 0o644) }, says: "tagstate", about: "resolver"},
		{name: "unreadable", make: func(path string) error { return os.WriteFile(path, []byte(line), 0o600) }, user: true,
			says: "tagstate", about: "resolver"},
	}
}

// TestScenario19TagstateInTrouble spoils either of the two files of marks.
func TestScenario19TagstateInTrouble(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "")
	s.configure("working_copy: {kind: dir}", oneRing)
	s.sh("cp -r up base/trunk && rm -r base/trunk/.git")
	s.snapshot(exitDone, 5)
	s.sh("echo six >base/trunk/defaults.yml")
	s.snapshot(exitDone, 6)
	before := s.tags()
	troubles := tagstateTroubles()
	for _, file := range []string{"tagstate", "trunk/tagstate"} {
		for _, trouble := range runtest.Pick(troubles, len(troubles), 5) {
			if trouble.large && file != "tagstate" {
				continue // they are read in the same way, and once takes long enough
			}
			t.Run(file+" "+trouble.name, func(t *testing.T) {
				if trouble.user {
					needRoot(t, "another user")
					s.as = &syscall.Credential{Uid: nobody, Gid: nobody}
					defer func() { s.as = nil }()
				}
				must(t, trouble.make(s.path(file)))
				defer os.RemoveAll(s.path(file))
				want := ""
				if trouble.gets != 0 {
					want = "tags/" + hourTag(trouble.gets)
				}
				if got := s.gets(6, "dev1.example.com"); got != want {
					t.Errorf("a host gets %q, not %q", got, want)
				}
				healthy, says := s.status(6)
				if !strings.Contains(says[trouble.about], trouble.says) {
					t.Errorf("the status says %q", says)
				}
				if healthy && trouble.says != "" {
					t.Error("the status is that all is well")
				}
			})
		}
	}
	s.intact(before)
	s.recovers(7)
}
