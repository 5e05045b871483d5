package remote

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// clientWitness is a named pipe that a client and all that it starts hold open as descriptor 3.
type clientWitness struct {
	path string
	pipe *os.File
}

func newClientWitness(t *testing.T) clientWitness {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	return clientWitness{path, pipe}
}

// seesTheEnd waits until nobody holds the pipe open.
func (w clientWitness) seesTheEnd(t *testing.T) {
	t.Helper()
	if _, err := io.Copy(io.Discard, w.pipe); err != nil {
		t.Error(err)
	}
}

func TestNothingInTheSessionOfAClientOutlivesIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		commands string
		timeout  time.Duration
		want     string // of the error
	}{
		"it succeeds":            {commands: "sleep 1000 >/dev/null 2>&1 & exit 0"},
		"a child has its output": {commands: "sleep 1000 & exit 0"},
		"it fails":               {commands: "sleep 1000 & exit 3", want: "exit status 3"},
		"it has no more time":    {commands: "sleep 1000", timeout: 50 * time.Millisecond, want: "no end after 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newClientWitness(t)
			c := Client{Program: "sh", Timeout: test.timeout}
			out, err := c.Run(t.Context(), "", "-c", "exec 3>"+w.path+"; echo said; "+test.commands)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) ||
				err == nil && string(out) != "said\n" {
				t.Errorf("got %q, %v", out, err)
			}
			w.seesTheEnd(t)
		})
	}
}

func TestClientHasSucceededWhoeverHasItsOutput(t *testing.T) {
	t.Parallel()
	w := newClientWitness(t)
	release := filepath.Join(t.TempDir(), "release")
	if err := unix.Mkfifo(release, 0o600); err != nil {
		t.Fatal(err)
	}
	c := Client{Program: "sh"}
	out, err := c.Run(t.Context(), "", "-c", "exec 3>"+w.path+"; setsid sh -c 'echo begun >$0; exec cat $0' "+release+
		" & read begun <"+release+"; echo said; exit 0")
	if err != nil || string(out) != "said\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if err := os.WriteFile(release, nil, 0); err != nil {
		t.Error(err)
	}
	w.seesTheEnd(t)
}

func TestClientIsInterrupted(t *testing.T) {
	t.Parallel()
	w := newClientWitness(t)
	reason := errors.New("terminated signal received")
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := Client{Program: "sh"}.Run(ctx, "", "-c", "exec 3>"+w.path+"; sleep 1000")
		ended <- err
	}()
	begun, err := os.Open(w.path)
	if err != nil {
		t.Fatal(err)
	}
	begun.Close()
	cancel(reason)
	if err := <-ended; !errors.Is(err, reason) {
		t.Errorf("got %v", err)
	}
	w.seesTheEnd(t)
}

// clientVariable makes TestClientEndsWithUs run a script, in a process to be killed.
const clientVariable = "SOURCE_TEST_CLIENT"

// The next run may work in the same working copy.
func TestClientEndsWithUs(t *testing.T) {
	if script := os.Getenv(clientVariable); script != "" {
		_, err := Client{Program: "sh"}.Run(t.Context(), "", "-c", script)
		t.Fatal(err)
	}
	t.Parallel()
	w := newClientWitness(t)
	we := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$")
	we.Env = append(os.Environ(), clientVariable+"=exec 3>"+w.path+"; exec sleep 1000")
	if err := we.Start(); err != nil {
		t.Fatal(err)
	}
	begun, err := os.Open(w.path)
	if err != nil {
		t.Fatal(err)
	}
	begun.Close()
	_ = we.Process.Kill()
	_ = we.Wait()
	w.seesTheEnd(t)
}
