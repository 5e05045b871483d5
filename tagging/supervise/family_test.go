package supervise

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// witness is a named pipe that all of a program hold open, as descriptor 3. They know its path as FIFO.
type witness struct {
	path  string
	pipe  *os.File
	heard []byte
}

func newWitness(t *testing.T) *witness {
	t.Helper()
	w := &witness{path: filepath.Join(t.TempDir(), "fifo")}
	if err := unix.Mkfifo(w.path, 0o622); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.pipe, err = os.OpenFile(w.path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.pipe.Close() })
	return w
}

// watched is a program that the witness sees.
func (w *witness) watched(script string) Command {
	c := shell(`exec 3>"$FIFO"; ` + script)
	c.Env = append(os.Environ(), "FIFO="+w.path)
	return c
}

// awaitReady returns when somebody has said that he is ready.
func (w *witness) awaitReady(t *testing.T) {
	t.Helper()
	pipe, err := os.Open(w.path) // returns when somebody has it open
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	w.heard = make([]byte, len("ready"))
	if _, err := io.ReadFull(pipe, w.heard); err != nil {
		t.Error(err)
	}
}

// seesNobody fails the test if somebody has the pipe open now, or if nobody has ever said that he is ready.
func (w *witness) seesNobody(t *testing.T) {
	t.Helper()
	conn, err := w.pipe.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Control(func(fd uintptr) {
		buffer := make([]byte, 4096)
		for n := 1; n > 0; {
			n, err = unix.Read(int(fd), buffer)
			w.heard = append(w.heard, buffer[:max(n, 0)]...)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err != nil || !bytes.Contains(w.heard, []byte("ready")) { // unix.EAGAIN: somebody could still write
		t.Errorf("heard %q, and then: %v", w.heard, err)
	}
}

// families are programs that start others, and then say that they are ready.
var families = map[string]string{
	"nobody":                  "echo ready >&3",
	"a child":                 "sleep 1000 & echo ready >&3",
	"a child without output":  "sleep 1000 >/dev/null 2>&1 & echo ready >&3",
	"a session of its own":    "setsid sleep 1000 & echo ready >&3",
	"a daemon":                "(setsid sh -c '(setsid sleep 1000 >/dev/null 2>&1 &)' &); echo ready >&3",
	"a stubborn child":        "(trap '' HUP INT TERM; sleep 1000; sleep 1000) & echo ready >&3",
	"a stopped child":         "sh -c 'kill -STOP $$; sleep 1000' & echo ready >&3",
	"generations":             "setsid sh -c 'sleep 1000 & setsid sh -c \"sleep 1000 & setsid sleep 1000\"' & echo ready >&3",
	"children without number": "(while :; do setsid sleep 1000 & done) >/dev/null 2>&1 & echo ready >&3",
	"each starts the next":    `f() { (f) & }; f >/dev/null 2>&1; echo ready >&3`,
	"another user":            "[ $(id -u) -gt 0 ] || setsid setpriv --reuid=65534 --clear-groups sleep 1000 & echo ready >&3",
}

func TestProgramEndsWithItsFamily(t *testing.T) {
	t.Parallel()
	for name, script := range families {
		for _, end := range []string{"exit 0", "exit 3", "kill -9 $$"} {
			t.Run(name+", "+end, func(t *testing.T) {
				t.Parallel()
				w := newWitness(t)
				if err := w.watched(script + "; " + end).Run(t.Context()); (err == nil) != (end == "exit 0") {
					t.Errorf("got %v", err)
				}
				w.seesNobody(t)
			})
		}
	}
}

func TestProgramIsInterruptedWithItsFamily(t *testing.T) {
	t.Parallel()
	reason := errors.New("the reason")
	for name, script := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			ended := make(chan error)
			go func() { ended <- w.watched(script + "; sleep 1000; sleep 1000").Run(ctx) }()
			w.awaitReady(t)
			cancel(reason)
			if err := <-ended; err != reason {
				t.Errorf("got %v", err)
			}
			w.seesNobody(t)
		})
	}
}

func TestProgramWhoseOutputNobodyTakesIsEnded(t *testing.T) {
	t.Parallel()
	full := errors.New("full")
	w := newWitness(t)
	c := w.watched("echo ready >&3; trap '' PIPE TERM; while :; do yes || :; done")
	c.Stdout = writerFunc(func([]byte) (int, error) { return 0, full })
	if err := c.Run(t.Context()); err != full {
		t.Errorf("got %v", err)
	}
	w.seesNobody(t)
}

// Alone is a promise that something may keep from being true that is not the caller's fault.
func TestProgramOfWhoHasAnotherChild(t *testing.T) {
	t.Parallel()
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if got := errorText(shell("setsid sleep 1000 & exit 3").Run(t.Context())); got != "exit status 3" {
		t.Errorf("got %q", got)
	}
	if err := other.Process.Kill(); err != nil {
		t.Errorf("the other child: %v", err)
	}
	_ = other.Wait()
}
