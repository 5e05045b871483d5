// Package remote is how servers are reached by programs that others wrote: the clients of Subversion and CVS, and ssh. It
// reads the files of secrets, keeps secrets out of messages, trusts no server whose key is not known, and ends what hangs.
package remote

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

// MaxClientText is how much of a client's complaint an error quotes, in bytes.
const MaxClientText = 2 << 10

// Client runs the command line client of a version control system.
type Client struct {
	Program string
	Pkg     string        // the Debian package that has it
	Dir     string        // where it runs
	Env     []string      // NAME=VALUE, in addition to our own environment
	Timeout time.Duration // for one run; 0: no limit
	Secrets []string      // never to be seen in an error
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

// Run runs the client with stdin as its standard input, and returns its standard output. No client outlives run,
// nor does any program that it started.
func (c Client) Run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout,
			fmt.Errorf("no end after %s: %w", c.Timeout, context.DeadlineExceeded))
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, c.Program, args...)
	cmd.Dir = c.Dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8"), c.Env...)
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
		err = notInstalled(c.Program, c.Pkg)
	}
	text := strings.TrimSpace(stderr.String())
	if over := len(text) - MaxClientText; over > 0 {
		text = "..." + text[over:]
	}
	return stdout.Bytes(), &ClientError{c.Program, c.HideAll(args), c.Hide(text), err}
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

// Hide removes secrets from a text.
func (c Client) Hide(text string) string { return Redact(text, c.Secrets...) }

// HideAll hides the secrets in each of several texts.
func (c Client) HideAll(texts []string) []string {
	hidden := make([]string, len(texts))
	for i, t := range texts {
		hidden[i] = c.Hide(t)
	}
	return hidden
}
