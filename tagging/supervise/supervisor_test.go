package supervise

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestManyProgramsAtOnce(t *testing.T) {
	t.Parallel()
	for i := range 20 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			w := newWitness(t)
			c := w.watched("setsid sleep 1000 >/dev/null 2>&1 & echo ready >&3; echo $1")
			c.Args = append(c.Args, strconv.Itoa(i))
			var out bytes.Buffer
			c.Stdout = &out
			if err := c.Run(t.Context()); err != nil || out.String() != strconv.Itoa(i)+"\n" {
				t.Errorf("got %q, %v", &out, err)
			}
			w.seesNobody(t)
		})
	}
}

// scriptVariable makes TestRunsAScript, and with it this program, run a script.
const scriptVariable = "SUPERVISE_TEST_SCRIPT"

func TestRunsAScript(t *testing.T) {
	if script := os.Getenv(scriptVariable); script != "" {
		c := shell(script)
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		t.Log(c.Run(t.Context()))
	}
}

// runner is this program as one that runs a script, in a process to be killed.
func (w *witness) runner(t *testing.T, script string, before ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	words := append(before, self, "-test.run=^TestRunsAScript$", "-test.v")
	cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "FIFO="+w.path, scriptVariable+`=exec 3>"$FIFO"; `+script)
	return cmd
}

func TestNothingOutlivesUs(t *testing.T) {
	t.Parallel()
	for name, script := range families {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWitness(t)
			runner := w.runner(t, script+"; sleep 1000; sleep 1000")
			if err := runner.Start(); err != nil {
				t.Fatal(err)
			}
			w.awaitReady(t)
			if err := runner.Process.Kill(); err != nil {
				t.Error(err)
			}
			_ = runner.Wait()
			if _, err := io.Copy(io.Discard, w.pipe); err != nil { // ends when nobody holds it open
				t.Error(err)
			}
		})
	}
}

// A program that takes its supervisor with it has not succeeded, because nobody knows what is left of it.
func TestSupervisorThatIsKilled(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"kill -9 $PPID; exit 0", "kill -9 $PPID; exec sleep 1000"} {
		if err := shell(script).Run(t.Context()); !errors.Is(err, errUnsupervised) {
			t.Errorf("%s: got %v", script, err)
		}
	}
}

// A service manager sends its signals to everybody.
func TestSupervisorOutlivesSignals(t *testing.T) {
	t.Parallel()
	err := shell("for s in TERM INT HUP QUIT; do kill -$s $PPID; done; exit 7").Run(t.Context())
	if got := errorText(err); got != "exit status 7" {
		t.Errorf("got %q", got)
	}
}

// Root without CAP_KILL may not end what belongs to somebody else.
func TestWhatCannotBeEndedIsNamed(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("needs root")
	}
	w := newWitness(t)
	out, err := w.runner(t, "setpriv --reuid=65534 --clear-groups sh -c 'echo pid $$; exec sleep 1000' & echo ready >&3",
		"setpriv", "--bounding-set=-kill", "--inh-caps=-kill").Output()
	var pid int
	if _, after, found := strings.Cut(string(out), "pid "); found {
		_, _ = fmt.Sscan(after, &pid)
	}
	if pid == 0 {
		t.Fatalf("got %v: %s", err, out)
	}
	if !strings.Contains(string(out), fmt.Sprintf("cannot be ended: process %d (sleep)", pid)) {
		t.Errorf("got %v: %s", err, out)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}
