package snapshot

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// witness is a named pipe that a check and all that it starts hold open.
type witness struct {
	path string
	fd   int
}

func newWitness(t *testing.T) witness {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return witness{path, fd}
}

// check is a check of shell commands.
func (w witness) check(commands string) []string {
	return []string{"sh", "-c", `exec 3>"$0"; ` + commands, w.path}
}

// seesNobody fails the test if somebody has the pipe open now, or if nobody has said that he is ready.
func (w witness) seesNobody(t *testing.T) {
	t.Helper()
	heard := make([]byte, 100)
	n, _ := unix.Read(w.fd, heard)
	end, err := unix.Read(w.fd, make([]byte, 1)) // unix.EAGAIN: there could be more
	if n <= 0 || string(heard[:n]) != "ready\n" || end != 0 || err != nil {
		t.Errorf("heard %q, and then: %v", heard[:max(n, 0)], err)
	}
}

func TestNothingThatACheckHasStartedOutlivesIt(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]string{
		"with its output":         "setsid sleep 1000 &",
		"without output":          "setsid sleep 1000 >/dev/null 2>&1 &",
		"a daemon that edits":     "(setsid sh -c 'while sleep 1000; do echo late >nodes.yml; done' >/dev/null 2>&1 &);",
		"one that does not stop":  "(trap '' HUP TERM; while :; do sleep 1000; done) >/dev/null 2>&1 &",
		"one that sees us depart": "(while kill -0 $$; do :; done; sleep 1000) >/dev/null 2>&1 &",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, w := newFixture(t), newWitness(t)
			f.Check = w.check(start + " echo ready >&3; exit 0")
			f.verify(f.take(TakeOptions{}).Name, "r1")
			w.seesNobody(t)
		})
	}
}

func TestOnlyACheckItselfRefusesATree(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"echo why; exit 1":              `the check "sh -c echo why; exit 1" refuses the tree: exit status 1` + "\nwhy",
		"echo why; kill $$":             "did not come to an end: signal: terminated\nwhy",
		"sleep 1000 & echo why; exit 1": "refuses the tree: exit status 1\nwhy",
	} {
		f := newFixture(t)
		f.Check = []string{"sh", "-c", script}
		if _, err := f.Take(t.Context(), TakeOptions{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", script, err)
		}
	}
	f := newFixture(t)
	f.Check = []string{filepath.Join(t.TempDir(), "none")}
	if _, err := f.Take(t.Context(), TakeOptions{}); !errors.Is(err, os.ErrNotExist) || strings.Contains(err.Error(), "refuses") {
		t.Errorf("a check that is missing: got %v", err)
	}
}

func TestTheBeginningOfALongOutputIsInTheError(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Check = []string{"sh", "-c", "echo why; head -c 1000000 /dev/zero | tr '\\0' x; echo end; exit 1"}
	_, err := f.Take(t.Context(), TakeOptions{})
	if err == nil || !strings.Contains(err.Error(), "\nwhy\nxxx") || len(err.Error()) > checkOutput+1000 {
		t.Errorf("got %.100s", err)
	}
}

func TestACheckIsInterrupted(t *testing.T) {
	t.Parallel()
	f, w := newFixture(t), newWitness(t)
	f.Check = w.check("setsid sleep 1000 & echo ready >&3; sleep 1000")
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("terminated signal received")
	ended := make(chan error)
	go func() {
		_, err := f.Take(ctx, TakeOptions{})
		ended <- err
	}()
	pipe, err := os.Open(w.path) // when it is at work
	if err != nil {
		t.Fatal(err)
	}
	pipe.Close()
	cancel(reason)
	if err := <-ended; !errors.Is(err, reason) || !strings.Contains(err.Error(), "was interrupted") {
		t.Errorf("got %v", err)
	}
	if n, err := unix.Read(w.fd, make([]byte, 100)); err != nil { // 0 is the end; what it may have said is none of our business
		t.Errorf("somebody is left: %d, %v", n, err)
	}
}
