package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/snapshot/runtest"
)

// pipeWithoutReader is a pipe whose reader has gone.
func pipeWithoutReader(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	must(t, err)
	must(t, r.Close())
	t.Cleanup(func() { w.Close() })
	return w
}

// fullPipe is a pipe whose reader does not read until nothing more goes into it.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	must(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	must(t, unix.SetNonblock(fds[1], true))
	for filler := make([]byte, 4096); ; {
		if _, err := unix.Write(fds[1], filler); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	must(t, unix.SetNonblock(fds[1], false))
	r, w = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return r, w
}

// act is a command that changes something, and how to see that it is done. Before it somebody gives it something to warn
// of.
type act struct {
	before func()
	words  []string
	done   func() bool
}

// acts are commands on a base with the tags of the hours 2 to 5, to be done in this order.
func (s *scenario) acts() []act {
	edit := func(file string) func() {
		return func() { must(s.t, os.WriteFile(s.path(file), []byte("edited\n"), 0o644)) }
	}
	has := func(file, text string) func() bool {
		return func() bool { return strings.Contains(readOptional(s.t, s.path(file)), text) }
	}
	is := func(file string, there bool) func() bool {
		return func() bool {
			_, err := os.Lstat(s.path(file))
			return (err == nil) == there
		}
	}
	drifted := "tags/" + hourTag(5) + "/defaults.yml"
	return []act{
		{edit("trunk/defaults.yml"), []string{"update"}, has("trunk/defaults.yml", "a: 1")},
		{edit("trunk/defaults.yml"), []string{"snapshot", "--no-prune", "--rehearse", hourAt(6)}, is("tags/"+hourTag(6), true)},
		{edit(drifted), []string{"verify", "--repair"}, has(drifted, "a: 1")},
		{nil, []string{"mark", "bad", hourTag(3), "--reason", "why"}, has("tagstate", hourTag(3))},
		{nil, []string{"keep", hourTag(4)}, has("kept", hourTag(4))},
		{nil, []string{"prune", "--rehearse", hourAt(6)}, is("tags/"+hourTag(3), false)},
		{nil, []string{"killswitch", "on", "stop"}, has("killswitch", "stop")},
		{nil, []string{"killswitch", "off"}, is("killswitch", false)},
		{func() { must(s.t, os.Remove(s.path("nodetagger"))) }, []string{"init"}, is("nodetagger", true)},
	}
}

// newActing makes the base for acts.
func newActing(t *testing.T) *scenario {
	t.Helper()
	s := newScenario(t, "", "rings: [{name: all, delay: 0h}]", "tags: {keep: {within: 1h, last: 1}}")
	s.exits(exitDone, "init")
	for hour := 2; hour <= 5; hour++ {
		s.sh("cd up; echo " + hourTag(hour) + " >hour; git add -A; git commit -qm hour")
		s.snapshot(exitDone, hour, "--no-prune")
	}
	return s
}

// acting prepares a command, after what is to be before it.
func (s *scenario) acting(a act) *process {
	s.t.Helper()
	if a.before != nil {
		a.before()
	}
	return s.command(append([]string{"etchtag"}, a.words...)...)
}

// isDone fails the test unless a command has done its work, and says so by its exit status.
func (a act) isDone(o outcome) {
	o.t.Helper()
	if !a.done() || o.code != exitDone {
		o.t.Errorf("%q: done: %t, exit status %d: %s%s", a.words, a.done(), o.code, o.stdout, o.stderr)
	}
}

// until waits until something is true, which it has to be before the process ends.
func (p *process) until(happened func() bool) {
	p.t.Helper()
	for !happened() {
		select {
		case <-p.over:
			p.t.Fatalf("%q has ended before that: %+v", p.cmd.Args, p.end())
		case <-time.After(time.Millisecond):
		}
	}
}

func TestWorkIsDoneWhoeverReads(t *testing.T) {
	t.Parallel()
	for name, prepare := range runtest.PickRows(map[string]func(t *testing.T, cmd *exec.Cmd){
		"read": func(*testing.T, *exec.Cmd) {},
		"readers have gone": func(t *testing.T, cmd *exec.Cmd) {
			cmd.Stdout, cmd.Stderr = pipeWithoutReader(t), pipeWithoutReader(t)
		},
		"readers have gone, SIGPIPE ignored": func(t *testing.T, cmd *exec.Cmd) {
			self, err := os.Executable()
			must(t, err)
			link := filepath.Join(t.TempDir(), "etchtag")
			must(t, os.Symlink(self, link))
			cmd.Path, cmd.Args = "/bin/sh", append([]string{"sh", "-c", `trap "" PIPE; exec "$0" "$@"`, link}, cmd.Args[1:]...)
			cmd.Stdout, cmd.Stderr = pipeWithoutReader(t), pipeWithoutReader(t)
		},
		"nobody reads messages": func(t *testing.T, cmd *exec.Cmd) { _, cmd.Stderr = fullPipe(t) },
	}, 4, 2) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newActing(t)
			for _, act := range s.acts() {
				p := s.acting(act)
				prepare(t, p.cmd)
				act.isDone(p.start().end())
			}
		})
	}
}

// The answer waits for its reader, after the work and without the lock.
func TestWorkIsDoneBeforeTheAnswerIsRead(t *testing.T) {
	t.Parallel()
	s := newActing(t)
	for _, act := range s.acts() {
		p := s.acting(act)
		answer, theirs := fullPipe(t)
		p.cmd.Stdout = theirs
		p.start().until(act.done)
		must(t, theirs.Close())
		text, err := io.ReadAll(answer)
		if text := bytes.TrimLeft(text, "\x00"); err != nil || len(text) == 0 && act.words[0] != "verify" {
			t.Errorf("%q answers %q, %v", act.words, text, err)
		}
		act.isDone(p.end())
	}
}

func TestAnswerThatNobodyGetsIsNoSuccess(t *testing.T) {
	t.Parallel()
	s := newActing(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	for _, act := range s.acts()[:2] {
		p := s.acting(act)
		p.cmd.Stdout = full
		if o := p.start().end(); o.code != exitIncomplete || !act.done() {
			t.Errorf("%q: done: %t, exit status %d", act.words, act.done(), o.code)
		} else {
			o.says("no space left on device")
		}
	}
	for _, words := range reading {
		p := s.command(append([]string{"etchtag"}, words...)...)
		p.cmd.Stdout = full
		if o := p.start().end(); o.code != exitFailed {
			t.Errorf("%q: exit status %d", words, o.code)
		} else {
			o.says("no space left on device")
		}
	}
}

// reading are commands that change nothing, and have an answer on the base for acts.
var reading = [][]string{{"list"}, {"list", "--json"}, {"show", hourTag(5)}, {"status"}, {"explain", "h"},
	{"nodetagger", "h"}, {"killswitch", "status"}, {"completion", "zsh"}, {"manual"}, {"manual", "tags"}}

// TestAnswerWhoseReaderHasGoneEndsACommandThatReads wants what everybody else does under "| head -1".
func TestAnswerWhoseReaderHasGoneEndsACommandThatReads(t *testing.T) {
	t.Parallel()
	s := newActing(t)
	for _, words := range append([][]string{{"--help"}, {"prune", "--help"}}, reading...) {
		p := s.command(append([]string{"etchtag"}, words...)...)
		p.cmd.Stdout = pipeWithoutReader(t)
		o := p.start().end()
		if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGPIPE || o.stderr != "" {
			t.Errorf("%q: %v: %s", words, p.cmd.ProcessState, o.stderr)
		}
	}
}

func TestExitStatusIsTheSameIfNobodyReads(t *testing.T) {
	t.Parallel()
	s := newActing(t)
	must(t, os.Rename(s.upstream, s.upstream+".away"))
	_, unread := fullPipe(t)
	for _, test := range []struct {
		stderr *os.File
		code   int
		words  []string
	}{
		{pipeWithoutReader(t), exitIncomplete, []string{"etchtag", "snapshot", "--rehearse", hourAt(7)}},
		{pipeWithoutReader(t), exitFailed, []string{"etchtag", "update"}},
		{pipeWithoutReader(t), exitUsage, []string{"etchtag", "snapshot", "--no-such-flag"}},
		{pipeWithoutReader(t), exitUsage, []string{"etchtag", "explain", "no host"}},
		{pipeWithoutReader(t), exitFailed, []string{"etchtag", "show", hourTag(20)}},
		{pipeWithoutReader(t), exitUsage, []string{"nodetagger", "no host"}},
		{unread, exitIncomplete, []string{"etchtag", "snapshot", "--rehearse", hourAt(8)}},
		{unread, exitUsage, []string{"nodetagger"}},
	} {
		p := s.command(test.words...)
		p.cmd.Stderr = test.stderr
		if o := p.start().end(); o.code != test.code {
			t.Errorf("%q: exit status %d, not %d: %s", test.words, o.code, test.code, o.stdout)
		}
	}
}

// TestTheDaemonGoesOnWithoutALog has every line of the daemon's go nowhere.
func TestTheDaemonGoesOnWithoutALog(t *testing.T) {
	t.Parallel()
	for name, stderr := range map[string]func() *os.File{
		"gone":   func() *os.File { return pipeWithoutReader(t) },
		"unread": func() *os.File { _, w := fullPipe(t); return w },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, "")
			p := s.command("etchtag", "run")
			p.cmd.Stdout, p.cmd.Stderr = pipeWithoutReader(t), stderr()
			p.start().until(func() bool { return len(s.tags()) > 0 })
			must(t, errors.Join(p.cmd.Process.Signal(syscall.SIGHUP), p.cmd.Process.Signal(syscall.SIGTERM)))
			if o := p.end(); o.code != exitDone {
				t.Errorf("%v", p.cmd.ProcessState)
			}
		})
	}
}

// Whoever starts the daemon again, unless its exit status is 2, must not take a crash for wrong usage.
func TestACrashOfTheDaemonIsNoWrongUsage(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "")
	p := s.command("etchtag", "run")
	p.start().until(func() bool { return len(s.tags()) > 0 })
	must(t, unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_CORE, &unix.Rlimit{}, nil))
	must(t, p.cmd.Process.Signal(syscall.SIGQUIT))
	p.end()
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGABRT {
		t.Errorf("it ends with: %v", p.cmd.ProcessState)
	}
}
