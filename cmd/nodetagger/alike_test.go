package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"pgregory.net/rapid"
)

// programs is the directory of both programs, which are built for the first test that wants them.
var programs string

var build = sync.OnceValue(func() (err error) {
	if programs, err = os.MkdirTemp("", "programs"); err != nil {
		return err
	}
	out, err := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", programs, ".", "../etchtag").CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return errors.Join(os.Mkdir(filepath.Join(programs, "link"), 0o755),
		os.Symlink("../etchtag", filepath.Join(programs, "link/nodetagger")),
		os.Symlink("nodetagger", filepath.Join(programs, "another")))
})

func TestMain(m *testing.M) {
	code := m.Run()
	if programs != "" {
		os.RemoveAll(programs)
	}
	os.Exit(code)
}

// forms are the forms in which the answer can be had, below the directory of the programs.
var forms = []string{"nodetagger", "another", "link/nodetagger"}

// server is a base from which an etch server serves.
type server struct {
	tagtest.Base
	env []string
}

func newServer(t testing.TB) *server {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	b := tagtest.New(t)
	return &server{b, []string{"ETCHTAG_BASE=" + b.Path, "HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}}
}

// ask returns all that a program says.
func (s *server) ask(program string, words ...string) string {
	s.Helper()
	cmd := exec.Command(program, words...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = &stdout, &stderr, s.env, s.Path
	if err := cmd.Run(); cmd.ProcessState == nil {
		s.Fatal(err)
	}
	return fmt.Sprintf("exit status %d\n%s-- stderr --\n%s", cmd.ProcessState.ExitCode(), &stdout, &stderr)
}

// answer asks in every form, and fails the test if the answers are not the same to the byte.
func (s *server) answer(t tagtest.Fataler, words ...string) string {
	s.Helper()
	ask := map[string]func() string{}
	for _, name := range forms {
		ask[name] = func() string { return s.ask(filepath.Join(programs, name), words...) }
	}
	if len(words) == 1 { // else etchtag has words of its own for it
		ask["etchtag nodetagger"] = func() string {
			return s.ask(filepath.Join(programs, "etchtag"), "nodetagger", "--", words[0])
		}
	}
	want := ask["nodetagger"]()
	for name, ask := range ask {
		got := ask()
		for range 3 {
			if got == want {
				break
			}
			want, got = s.ask(filepath.Join(programs, "nodetagger"), words...), ask() // an hour may have begun in between
		}
		if got != want {
			t.Fatalf("%q: nodetagger says:\n%s\n%s says:\n%s", words, want, name, got)
		}
	}
	return want
}

// now is the tag of the present hour.
func now() time.Time { return time.Now().UTC().Truncate(time.Hour) }

// situations are bases in which there is something to say.
var situations = []struct {
	name  string
	make  func(s *server)
	wants string // what must stand in the answer
}{
	{"all is well", func(s *server) {}, "exit status 0\ntags/etchautotag-"},
	{"no tags", func(s *server) { s.Must(os.RemoveAll(s.Tags())) }, "exit status 1"},
	{"no base", func(s *server) { s.env[0] += "/absent" }, "there is no base"},
	{"a file for a base", func(s *server) { s.Write("file", ""); s.env[0] += "/file" }, "is no directory"},
	{"the killswitch", func(s *server) { s.Write("killswitch", "stop") }, "exit status 0\n"},
	{"a pin", func(s *server) { s.Write("pins", "dev1 trunk\n") }, "exit status 0\ntrunk\n"},
	{"a bump", func(s *server) { s.Write("pins", now().Format("prod1 trunk-20060102-1504\n")) }, "exit status 0\n"},
	{"a pin that climbs", func(s *server) { s.Write("pins", "dev1 ../x\n") }, "cannot be followed"},
	{"a pin to nothing", func(s *server) { s.Write("pins", "dev1 tags/gone\n") }, "cannot be followed"},
	{"a bump of no day", func(s *server) { s.Write("pins", "dev1 trunk-20261340-0900\n") }, "cannot be followed"},
	{"pins that cannot be read", func(s *server) { s.Mkdir("pins") }, "exit status 1"},
	{"marks that cannot be read", func(s *server) { s.Mkdir("tagstate") }, "exit status 1"},
	{"all is bad", func(s *server) {
		for hour := range 8 {
			s.mark("tagstate", hour, "bad")
		}
	}, "no acceptable tag"},
	{"a word that is none", func(s *server) { s.mark("trunk/tagstate", 0, "BAD") }, "exit status 0\n"},
	{"broken YAML", func(s *server) { s.Write("etchtag.yml", "tags: {every: 1h\n") }, "exit status 2"},
	{"many mistakes", func(s *server) {
		s.Write("etchtag.yml", "rings: [{name: a}, {name: a, delay: -1h}]\ntagstate: []\nserver_user: a b\n")
	}, "etchtag.yml:1: rings[0].delay"},
	{"a mistake elsewhere", func(s *server) { s.Write("etchtag.yml", "server_user: a b\nhooks: [1]\n") }, "exit status 0\n"},
	{"a misspelt key", func(s *server) { s.Write("etchtag.yml", "ring: []\n") }, `did you mean "rings"`},
	{"a configuration that is none", func(s *server) { s.Mkdir("etchtag.yml") }, "exit status 2"},
	{"another working copy", func(s *server) {
		s.Write("etchtag.yml", "working_copy:\n  path: wc\n")
		s.Write("pins", "dev1 wc\n")
		s.Must(os.Rename(s.Join("trunk"), s.Join("wc")))
	}, "exit status 0\nwc\n"},
	{"a file inventory", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: file, path: hosts.yml}]\n")
		s.Write("hosts.yml", "dev1: {groups: [dev], tag: trunk}\n")
	}, "exit status 0\ntrunk\n"},
	{"a broken file inventory", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: file, path: hosts.yml}]\n")
		s.Write("hosts.yml", "dev1: [\n")
	}, "hosts.yml"},
	{"a command", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: command, command: [sh, -c, 'echo \"groups: [dev]\"']}]\n")
	}, "exit status 0\n"},
	{"a command that fails", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: command, command: [sh, -c, 'echo no >&2; sleep 1000 >/dev/null 2>&1 & exit 3']}]\n")
	}, "exit status 3"},
	{"a command that is late", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: command, command: [sh, -c, 'exec sleep 1000'], timeout: 20ms}]\n")
	}, "20ms"},
	{"a nodegrouper", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: nodegrouper, from: trunk}]\n")
		s.Write("trunk/nodegrouper", "#!/bin/sh\necho dev\n")
		s.Must(os.Chmod(s.Join("trunk/nodegrouper"), 0o755))
	}, "exit status 0\n"},
	{"a server that is not there", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: nventory, server: 'http://127.0.0.1:1/'}]\n")
	}, "connection refused"},
	{"what a server said before", func(s *server) {
		s.Write("etchtag.yml", "inventory: [{kind: etch}, {kind: nventory, server: 'http://127.0.0.1:1/', stale: 1h}]\ncache_dir: "+s.Join("cache")+"\n")
	}, "connection refused"},
}

// mark marks the tag that is so many hours old.
func (s *server) mark(file string, hours int, word string) {
	f, err := os.OpenFile(s.Join(file), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	s.Must(err)
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s %s\n", tag.Name(now().Add(-time.Duration(hours)*time.Hour)), word)
	s.Must(err)
}

func TestProgramsAnswerAlike(t *testing.T) {
	t.Parallel()
	for _, situation := range situations {
		t.Run(situation.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.Write("trunk/nodes.yml", "dev1: [dev]\nprod1: [web]\n")
			s.Write("trunk/nodegroups.yml", "")
			for hour := range 8 {
				at := now().Add(-time.Duration(hour) * time.Hour)
				s.Tag(tag.Name(at), at, fmt.Sprint("contents of ", hour/2))
			}
			situation.make(s)
			if said := s.answer(t, "dev1"); !strings.Contains(said, situation.wants) {
				t.Errorf("nothing says %q:\n%s", situation.wants, said)
			}
			s.answer(t, "prod1")
		})
	}
}

func TestProgramsTakeTheSameWords(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, words := range [][]string{{}, {"a", "b"}, {""}, {"-h"}, {"--help"}, {"--version"}, {"help"}, {"--"}, {"a b"}, {"../x"}, {"A.b"},
		{"\xff"}, {"\x1b[2J"}, {"a\nb"}, {strings.Repeat("a", 254)}, {"--generate-bash-completion"}} {
		s.answer(t, words...)
	}
}

// Each finds the base by the link through which it is called.
func TestProgramsFindTheirBase(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := now()
	s.Tag(tag.Name(at), at, "contents")
	s.Write("etchtag.yml", "inventory: []\nrings: [{name: all, delay: 0h}]\n")
	s.env = s.env[1:]
	for _, name := range forms {
		s.Link(filepath.Join(programs, name), "nodetagger")
		if got, want := s.ask(s.Join("nodetagger"), "dev1"), "exit status 0\ntags/"+tag.Name(at)+"\n-- stderr --\n"; got != want && now() == at {
			t.Errorf("a link to %s: %s", name, got)
		}
		s.Must(os.Remove(s.Join("nodetagger")))
	}
}

// A copy, beside which there is no etchtag, finds the one that init has linked to.
func TestNodetaggerFindsEtchtag(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.Write("etchtag.yml", "inventory: [{kind: nventory, server: 'http://127.0.0.1:1/'}]\n")
	copied := s.Join("nodetagger")
	s.Must(exec.Command("cp", filepath.Join(programs, "nodetagger"), copied).Run())
	said := s.ask(copied, "dev1")
	if !strings.Contains(said, "exit status 1\n-- stderr --\netchtag: error: no tag for dev1: an inventory of kind nventory takes") ||
		!strings.Contains(said, s.Etchtag()) {
		t.Error(said)
	}
	s.Link(filepath.Join(programs, "etchtag"), s.Etchtag())
	if said, want := s.ask(copied, "dev1"), s.ask(filepath.Join(programs, "link/nodetagger"), "dev1"); said != want {
		t.Errorf("%s\nand etchtag: %s", said, want)
	}
}

// Worlds are drawn as the resolver's tests draw them, but around the present, because the programs know no other time.
func TestProgramsAnswerAlikeInEveryWorld(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	rapid.Check(t, func(r *rapid.T) {
		s := newServer(t)
		defer os.RemoveAll(filepath.Dir(s.Path))
		s.draw(r)
		s.answer(r, rapid.SampledFrom([]string{"dev1", "web1", "web2"}).Draw(r, "host"))
	})
}

// draw makes tags, marks, pins and a configuration.
func (s *server) draw(r *rapid.T) {
	every := rapid.SampledFrom([]time.Duration{time.Hour, time.Hour, 30 * time.Minute, 2 * time.Hour}).Draw(r, "every")
	var names []string
	for at := now().Add(-8 * time.Hour); at.Before(now().Add(2 * time.Hour)); at = at.Add(30 * time.Minute) {
		name := tag.Name(at)
		names = append(names, name)
		if rapid.IntRange(0, 2).Draw(r, "is there") == 0 {
			continue
		}
		s.Mkdir("tags/" + name)
		if tree := rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(r, "tree"); tree != "" {
			late := rapid.SampledFrom([]time.Duration{0, 5 * time.Second, 20 * time.Minute, 3 * time.Hour}).Draw(r, "late")
			sum := sha256.Sum256([]byte(tree))
			m := tag.Manifest{Header: tag.Header{Name: name, Published: at.Add(late), Tree: hex.EncodeToString(sum[:]),
				Marked: rapid.IntRange(0, 3).Draw(r, "marked") == 0}, Entries: []tag.Entry{tagtest.Entry('f', "file", tree)}}
			s.Write(s.Manifest(name), tagtest.Text(r, &m))
		}
	}
	for _, file := range []string{"tagstate", "trunk/tagstate"} {
		var text strings.Builder
		for range rapid.IntRange(0, 4).Draw(r, "marks") {
			fmt.Fprintf(&text, "%s %s\n", rapid.SampledFrom(names).Draw(r, "tag"),
				rapid.SampledFrom([]string{"good", "bad", "badfwd", "badfwd", "BAD"}).Draw(r, "word"))
		}
		s.Write(file, text.String())
	}
	s.Write("trunk/nodes.yml", "dev1: [dev]\nweb1: [web]\n")
	s.Write("trunk/nodegroups.yml", rapid.SampledFrom([]string{"", "web: [dev]\n", "web: [\n"}).Draw(r, "groups"))
	s.Write("pins", rapid.SampledFrom([]string{"", "", "web1 trunk\n", "web2 " + now().Format("trunk-20060102-1504\n"), "web1\n",
		"web1 tags/" + names[0] + "\n"}).Draw(r, "pins"))
	ring := fmt.Sprintf("{name: early, delay: %dm, groups: [dev], percent: %d}", 15*rapid.IntRange(0, 20).Draw(r, "early"),
		rapid.SampledFrom([]int{0, 50, 100}).Draw(r, "percent"))
	last := fmt.Sprintf("{name: last, delay: %dm%s}", 15*rapid.IntRange(0, 20).Draw(r, "last"),
		rapid.SampledFrom([]string{"", "", ", require: good"}).Draw(r, "require"))
	s.Write("etchtag.yml", rapid.SampledFrom([]string{"", "server_user: a b\n", "schedule: {update: never}\n", "rigns: []\n", "webserver:\n  port: 1\n"}).Draw(r, "more")+
		fmt.Sprintf("tags:\n  every: %s\n  files: hardlink\nrings:\n  - %s\n  - %s\n", every, ring, last)+
		rapid.SampledFrom([]string{"", "inventory:\n- {kind: etch, from: trunk}\n", "inventory: []\n"}).Draw(r, "inventory"))
}
