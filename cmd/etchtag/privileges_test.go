package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/snapshot/runtest"
)

// TestTheDaemonDropsWhatItDoesNotNeed runs the real program as a daemon, and reads from the kernel what its threads, and
// a program that it starts, may do, after it has made a tag with that.
func TestTheDaemonDropsWhatItDoesNotNeed(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	program := filepath.Join(t.TempDir(), "etchtag")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	base, child := t.TempDir(), filepath.Join(t.TempDir(), "status")
	for name, content := range map[string]string{
		"trunk/defaults.yml": "a: 1\n",
		"etchtag.yml": "working_copy: {kind: dir}\nschedule: {update: \"0 0 1 1 *\"}\n" +
			"tags: {check: [/bin/cp, /proc/self/status, " + child + "]}\n",
	} {
		path := filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	daemon := exec.Command(program, "--base", base, "run")
	log, err := daemon.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	lines, made := bufio.NewScanner(log), false
	var said strings.Builder
	for !made && lines.Scan() {
		fmt.Fprintln(&said, lines.Text())
		made = strings.Contains(lines.Text(), "made etchautotag-")
	}
	if !made {
		t.Errorf("no tag was made:\n%s", &said)
	}
	statuses, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", daemon.Process.Pid))
	if len(statuses) < 2 {
		t.Errorf("the daemon has no threads but %q", statuses)
	}
	for _, path := range append(statuses, child) {
		checkDropped(t, path)
	}
	if err := daemon.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(&said, log); err != nil {
		t.Error(err)
	}
	if err := daemon.Wait(); err != nil || strings.Contains(said.String(), "privileges") {
		t.Errorf("got %v:\n%s", err, &said)
	}
}

// checkDropped reads the status of a process or thread as the kernel writes it.
func checkDropped(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	fields := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		fields[name] = strings.TrimSpace(value)
	}
	if fields["NoNewPrivs"] != "1" {
		t.Errorf("%s: NoNewPrivs is %q", path, fields["NoNewPrivs"])
	}
	own := effectiveCapabilities(t)
	mayShrink := own&(1<<unix.CAP_SETPCAP) != 0
	for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
		got, err := strconv.ParseUint(fields[set], 16, 64)
		if err != nil || got&^keptCapabilities != 0 && (set != "CapBnd" || mayShrink) {
			t.Errorf("%s: %s is %q, want nothing but %016x: %v", path, set, fields[set], keptCapabilities, err)
		}
	}
	want := own & keptCapabilities
	if eff, _ := strconv.ParseUint(fields["CapEff"], 16, 64); os.Geteuid() == 0 && eff != want {
		t.Errorf("%s: CapEff is %016x, want %016x to look after the files of others", path, eff, want)
	}
}

// effectiveCapabilities are those of this process, which the daemon begins with.
func effectiveCapabilities(t *testing.T) uint64 {
	t.Helper()
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		t.Fatal(err)
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32
}
