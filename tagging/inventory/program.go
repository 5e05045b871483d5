package inventory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// DefaultProgramTimeout is how long a program may take to answer if nothing else is asked for.
const DefaultProgramTimeout = 5 * time.Second

// ProgramOptions says how a program is run that is asked about hosts.
type ProgramOptions struct {
	Timeout time.Duration // for one answer; 0: DefaultProgramTimeout
}

func (o ProgramOptions) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultProgramTimeout
	}
	return o.Timeout
}

const (
	maxProgramOutput = 1 << 20         // bytes of an answer
	programGrace     = 2 * time.Second // for a killed program to go
)

// program is a program that is asked about one host a run.
type program struct {
	path    string
	args    []string // those before the host
	dir     string   // where it runs; empty: where we do
	timeout time.Duration
}

// ask runs the program, with the host as its last argument, and returns its standard output. No shell is
// involved. The program has our environment, no terminal and nothing to read.
//
// The answer is complete when the program has ended with status 0 and nobody holds its standard output open
// any more. Until then the deadline runs, at which the program is killed together with its process group;
// and whatever it leaves behind in that group is killed in any case.
func (p program) ask(ctx context.Context, host string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, p.timeout,
		fmt.Errorf("no answer within %s: %w", p.timeout, context.DeadlineExceeded))
	defer cancel()
	r, err := p.start(host)
	if err != nil {
		return "", fmt.Errorf("run %s for %q: %w", p.path, host, explainStart(p.path, err))
	}
	defer r.close()
	output, err := r.output(ctx)
	if err == nil {
		return output, nil
	}
	err = fmt.Errorf("run %s for %q: %w", p.path, host, err)
	if complaint := r.complaint(); complaint != "" {
		err = fmt.Errorf("%w; its standard error: %s", err, complaint)
	}
	return "", err
}

// explainStart says what to do about a program that cannot be started, where the system's error does not.
func explainStart(path string, err error) error {
	info, statErr := os.Stat(path)
	isFile := statErr == nil && info.Mode().IsRegular()
	switch {
	case errors.Is(err, fs.ErrPermission) && isFile && info.Mode()&0o111 == 0:
		return fmt.Errorf("%w: it is not executable: chmod +x it where it comes from", err)
	case errors.Is(err, fs.ErrNotExist) && isFile:
		return fmt.Errorf("%w: the interpreter that its first line names is missing", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: the first line of a script must name its interpreter, such as #!/bin/sh", err)
	}
	return err
}

// running is a program that has been started and not yet been waited for. Until it is, its process number
// belongs to it even if it has ended, so that a signal cannot hit another's group.
type running struct {
	cmd    *exec.Cmd
	stdout *os.File // the end to read from
	stderr *os.File
	tail   tail          // of standard error
	tailed chan struct{} // closed when tail has all that it will get
}

// start starts the program in a session of its own: without a terminal, and leading a process group.
func (p program) start(host string) (*running, error) {
	stdout, stdoutEnd, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdoutEnd.Close()
	stderr, stderrEnd, err := os.Pipe()
	if err != nil {
		stdout.Close()
		return nil, err
	}
	defer stderrEnd.Close()
	cmd := exec.Command(p.path, append(p.args[:len(p.args):len(p.args)], host)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, stdoutEnd, stderrEnd
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	r := &running{cmd: cmd, stdout: stdout, stderr: stderr, tailed: make(chan struct{})}
	if err := cmd.Start(); err != nil {
		stdout.Close()
		stderr.Close()
		return nil, err
	}
	go func() {
		defer close(r.tailed)
		_, _ = io.Copy(&r.tail, stderr) // ends with the last who writes, or by expire
	}()
	return r, nil
}

// output waits for the program and returns what it has written to standard output.
func (r *running) output(ctx context.Context) (string, error) {
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(killed)
		r.kill()
		expire(r.stdout) // one who has left the group may hold it open
	})
	output, err := io.ReadAll(io.LimitReader(r.stdout, maxProgramOutput+1))
	if err == nil && len(output) > maxProgramOutput {
		err = fmt.Errorf("it writes more than %d KiB", maxProgramOutput>>10)
	}
	if err != nil {
		r.kill()
	}
	exited := make(chan struct{})
	go func() {
		defer close(exited)
		r.waitExit()
	}()
	if !closedInTime(ctx, exited) { // stuck in the kernel, as on a file server that does not answer
		go func() {
			<-exited
			_ = r.cmd.Wait()
		}()
		return "", context.Cause(ctx)
	}
	if !stop() {
		<-killed
		err = context.Cause(ctx)
	}
	r.kill() // what it has left behind
	return string(output), errors.Join(err, r.reap(err))
}

// reap waits for a program that has ended. Of one that was killed for the reason err, how it ended is no news.
func (r *running) reap(err error) error {
	ended := r.cmd.Wait()
	if err != nil {
		return nil
	}
	return ended
}

// closedInTime reports whether c is closed before ctx is done, or soon after.
func closedInTime(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-ctx.Done():
	}
	select {
	case <-c:
		return true
	case <-time.After(programGrace):
		return false
	}
}

// kill kills the program's process group.
func (r *running) kill() { _ = syscall.Kill(-r.cmd.Process.Pid, syscall.SIGKILL) }

// waitExit returns when the program has ended, and leaves it to be waited for.
func (r *running) waitExit() {
	for {
		err := unix.Waitid(unix.P_PID, r.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// complaint returns the end of what the program, which has ended, has written to standard error. It does not
// wait for those who may still hold that open.
func (r *running) complaint() string {
	expire(r.stderr)
	<-r.tailed
	_ = r.stderr.SetReadDeadline(time.Time{})
	conn, err := r.stderr.SyscallConn()
	if err != nil {
		return r.tail.String()
	}
	_ = conn.Read(func(fd uintptr) bool {
		rest := make([]byte, 64<<10)
		for range maxPipe / len(rest) {
			n, err := unix.Read(int(fd), rest) // does not block
			if err != nil || n == 0 {
				break
			}
			_, _ = r.tail.Write(rest[:n])
		}
		return true
	})
	return r.tail.String()
}

// maxPipe is how much can be waiting in a pipe, in bytes.
const maxPipe = 1 << 20

// close stops listening.
func (r *running) close() {
	r.stdout.Close()
	expire(r.stderr)
	<-r.tailed
	r.stderr.Close()
}

// expire ends all reading from a pipe.
func expire(pipe *os.File) { _ = pipe.SetReadDeadline(time.Unix(1, 0)) }

// maxComplaint is how much of a program's standard error an error quotes, in bytes.
const maxComplaint = 4 << 10

// tail keeps the last bytes that are written to it.
type tail struct {
	bytes []byte
	cut   bool // there were more
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - maxComplaint; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
		t.cut = true
	}
	return len(p), nil
}

// String returns the text in a form that a terminal prints and does not obey.
func (t *tail) String() string {
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(string(t.bytes), string(unicode.ReplacementChar)))
	text = strings.TrimSpace(text)
	if t.cut {
		return "..." + text
	}
	return text
}
