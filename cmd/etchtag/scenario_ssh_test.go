package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
)

// sshd is one on a loopback port.
type sshd struct {
	s       *scenario
	dir     string
	address string
}

// serveSSH starts an sshd that serves the scenario's upstream, and whose host keys are still to be made.
func (s *scenario) serveSSH() *sshd {
	s.t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
	}
	needPrograms(s.t, program, "ssh-keygen")
	if os.Geteuid() == 0 {
		must(s.t, os.MkdirAll("/run/sshd", 0o755))
	}
	d := &sshd{s: s, dir: filepath.Join(s.dir, "sshd")}
	must(s.t, os.Mkdir(d.dir, 0o755))
	d.key("user", "ed25519")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.t, err)
	d.address = listener.Addr().String()
	s.t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				file, err := conn.(*net.TCPConn).File()
				if err != nil {
					return
				}
				defer file.Close()
				cmd := exec.CommandContext(s.t.Context(), program, "-i", "-f", filepath.Join(d.dir, "config"))
				cmd.Env, cmd.Stdin, cmd.Stdout = s.env, file, file
				_ = cmd.Run()
			}()
		}
	}()
	me, err := user.Current()
	must(s.t, err)
	s.upstream = fmt.Sprintf("ssh://%s@%s%s/up", me.Username, d.address, s.dir)
	return d
}

// key makes a new key in a file, and returns its public part.
func (d *sshd) key(name, kind string) string {
	d.s.t.Helper()
	file := filepath.Join(d.dir, name)
	_ = os.Remove(file)
	args := []string{"-q", "-t", kind, "-N", "", "-f", file}
	if kind == "rsa" {
		args = append(args, "-b", "2048")
	}
	if out, err := exec.Command("ssh-keygen", args...).CombinedOutput(); err != nil {
		d.s.t.Fatalf("ssh-keygen: %v: %s", err, out)
	}
	return readOptional(d.s.t, file+".pub")
}

// hasKeys gives the server new host keys of some types, and returns their lines for known_hosts.
func (d *sshd) hasKeys(kinds ...string) (lines []string) {
	d.s.t.Helper()
	host, port, err := net.SplitHostPort(d.address)
	must(d.s.t, err)
	config := "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\nLogLevel QUIET\n" +
		"AuthorizedKeysFile " + filepath.Join(d.dir, "user.pub") + "\n"
	for _, kind := range kinds {
		public := d.key("host_"+kind, kind)
		lines = append(lines, fmt.Sprintf("[%s]:%s %s", host, port, public))
		config += "HostKey " + filepath.Join(d.dir, "host_"+kind) + "\n"
	}
	must(d.s.t, os.WriteFile(filepath.Join(d.dir, "config"), []byte(config), 0o644))
	return lines
}

// knows makes the client know hosts by the lines given.
func (d *sshd) knows(lines ...string) {
	d.s.t.Helper()
	must(d.s.t, os.WriteFile(d.known(), []byte(strings.Join(lines, "")), 0o644))
}

func (d *sshd) known() string { return filepath.Join(d.dir, "known_hosts") }

// fingerprint is what ssh-keygen says of a host key of the server.
func (d *sshd) fingerprint(kind string) string {
	d.s.t.Helper()
	out, err := exec.Command("ssh-keygen", "-l", "-f", filepath.Join(d.dir, "host_"+kind+".pub")).Output()
	must(d.s.t, err)
	return strings.Fields(string(out))[1]
}

// TestScenario22SSHHostKeys has a real sshd with keys that are known, unknown, changed, of another type and hashed.
func TestScenario22SSHHostKeys(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	s := newScenario(t, "")
	d := s.serveSSH()
	s.configure(fmt.Sprintf("working_copy: {kind: git, url: %q, auth: {ssh_key: %q, known_hosts: %q}}",
		s.upstream, filepath.Join(d.dir, "user"), d.known()), oneRing)
	refused := func(what, kind string) {
		t.Helper()
		known := readOptional(t, d.known())
		before := s.tags()
		o := s.exits(exitFailed, "update")
		if !strings.Contains(o.stderr, d.fingerprint(kind)) {
			t.Errorf("%s: the fingerprint is not said: %s", what, o.stderr)
		}
		if now := readOptional(t, d.known()); now != known {
			t.Errorf("%s: it is trusted from now on: %q", what, now)
		}
		s.exits(exitFailed, "update") // and so not the second time
		s.intact(before)
	}
	ed := d.hasKeys("ed25519")
	d.knows("# nobody\n")
	refused("unknown", "ed25519")
	if _, err := os.Stat(s.base.Trunk()); !os.IsNotExist(err) {
		t.Errorf("something was cloned: %v", err)
	}
	d.knows(ed...)
	s.snapshot(exitDone, 6)
	before := s.tags()

	now := d.hasKeys("ed25519")
	refused("changed", "ed25519")
	s.exits(exitFailed, "update").says("changed")
	s.snapshot(exitIncomplete, 7).says("^made .*, stale", "changed")
	s.intact(before)
	s.statusSays(7, "update", "^problem: ")
	d.knows(now...)
	s.snapshot(exitDone, 8)

	d.hasKeys("ecdsa")
	refused("of another type", "ecdsa")
	many := d.hasKeys("ecdsa", "ed25519", "rsa")
	for _, line := range many { // each type is asked for that is known
		d.knows(line)
		s.exits(exitDone, "update")
	}

	for _, line := range many[:2] {
		d.knows(line)
		s.sh("ssh-keygen -q -H -f " + d.known())
		if strings.Contains(readOptional(t, d.known()), "127.0.0.1") {
			t.Fatal("known_hosts is not hashed")
		}
		s.exits(exitDone, "update")
	}
	now = d.hasKeys("ed25519")
	refused("hashed, and changed", "ed25519")
	d.knows(now...)
	s.recovers(9)
}
