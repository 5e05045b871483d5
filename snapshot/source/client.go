package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clientGrace is how long a client's output is waited for after it was killed.
const clientGrace = 2 * time.Second

// maxClientText is how much of a client's complaint an error quotes, in bytes.
const maxClientText = 2 << 10

// client runs the command line client of a version control system.
type client struct {
	program string
	pkg     string        // the Debian package that has it
	dir     string        // where it runs
	env     []string      // NAME=VALUE, in addition to our own environment
	timeout time.Duration // for one run; 0: no limit
	secrets []string      // never to be seen in an error
}

// ClientError says that a client could not be run, or failed.
type ClientError struct {
	Program string
	Args    []string // without secrets
	Text    string   // what it wrote to standard error, its end
	Err     error
}

func (e *ClientError) Error() string {
	s := e.Program + " " + strings.Join(e.Args, " ") + ": " + e.Err.Error()
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

func (e *ClientError) Unwrap() error { return e.Err }

// run runs the client with stdin as its standard input, and returns its standard output. No client outlives run,
// nor does any program that it started.
func (c client) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	if c.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.timeout,
			fmt.Errorf("no end after %s: %w", c.timeout, context.DeadlineExceeded))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.program, args...)
	cmd.Dir = c.dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8"), c.env...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	setApart(cmd)
	cmd.Cancel = func() error { return killAll(cmd) }
	err := cmd.Start()
	if err == nil {
		err = waitApart(cmd)
	}
	if err == nil {
		return stdout.Bytes(), nil
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = notInstalled(c.program, c.pkg)
	}
	text := strings.TrimSpace(stderr.String())
	if over := len(text) - maxClientText; over > 0 {
		text = "..." + text[over:]
	}
	return stdout.Bytes(), &ClientError{c.program, c.hideAll(args), c.hide(text), err}
}

// setApart gives a program a session of its own: it has no terminal to ask for a password then, and is one group to kill
// with what it starts. If some of that holds on to its output, this is not waited for without end. If we are killed, so is
// the program: the next run may work in the same working copy. (Linux minds the thread that starts it. Go ends none that
// no goroutine is locked to.)
//
// A supervisor (see package supervise) would be another process for each of the eight that an update by svn takes.
// We know what clients start: ssh, which stays in their session, touches no file of ours and ends with them.
func setApart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = clientGrace
}

// waitApart waits for the end of a program that was set apart. One that ended with status 0 has succeeded, whoever holds
// its output; what it has left in its session is killed.
func waitApart(cmd *exec.Cmd) error {
	for unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	_ = killAll(cmd) // as long as nobody has waited for the program its number is nobody else's
	if err := cmd.Wait(); !errors.Is(err, exec.ErrWaitDelay) {
		return err
	}
	return nil
}

// killAll kills a program that was set apart, with all that it has started.
func killAll(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

func notInstalled(program, pkg string) error {
	return fmt.Errorf("%s is not installed: install the package %s", program, pkg)
}

// hide removes secrets from a text.
func (c client) hide(text string) string { return redact(text, c.secrets...) }

func (c client) hideAll(texts []string) []string {
	hidden := make([]string, len(texts))
	for i, t := range texts {
		hidden[i] = c.hide(t)
	}
	return hidden
}
