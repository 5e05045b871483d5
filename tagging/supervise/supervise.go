// Package supervise runs programs that are not ours: a site's checks, the programs that its inventories ask, the clients
// of version control. With a program ends all that it has started, and nothing of that outlives us.
//
// A process group is not enough, because whoever calls setsid leaves it. So each program has a subreaper above it, the
// process to which Linux gives what loses its parent, and this kills until it has no child left. To be a subreaper is a
// matter of a whole process, and one that has several programs at work cannot tell whose children are whose. So each
// program gets a process of its own as its supervisor: this very program, started a second time (see supervisor.go). It
// notices our end by that of a pipe. Out of reach is what others do for a program, such as systemd for systemd-run.
//
// It stands here because nodetagger needs it, which has nothing of snapshot, and it imports nothing of ours.
package supervise

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Command says what is run. The program has a session of its own, and so no terminal to ask.
type Command struct {
	Path   string    // of the program, seen from Dir; without a slash it is looked for in $PATH
	Args   []string  // after its name
	Dir    string    // where it runs; empty: where we do
	Env    []string  // NAME=VALUE; nil: ours
	Stdin  io.Reader // which must not keep its reader waiting; nil: there is nothing to read
	Stdout io.Writer // nil: it is lost; the same as Stderr: both are one stream
	Stderr io.Writer

	// Alone says that until the program has ended this process starts no other, and that it has no other child. Then it
	// can be the supervisor itself, which saves a process. If it is killed, only the program itself ends with it.
	Alone bool
}

const (
	// afterword is how long a program's children may go on writing to its standard output after its end. In bash,
	// "exec > >(sort)" makes one that does.
	afterword = time.Second

	// maxEnding is how long it may take to end all that a program has started.
	maxEnding = 5 * time.Second

	// maxInterrupting is how long that may keep those waiting who have been told to end. It goes on without them.
	maxInterrupting = 1500 * time.Millisecond
)

// Run runs the program, and returns when it has ended with all that it has started. The error is nil if the program ended
// with status 0, whoever held its output open. Otherwise it is an *ExitError, a *LeftError, an error of Stdout or Stderr,
// why the program could not be started, or the cause of ctx's end if that came first.
func (c Command) Run(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	path := c.Path
	if !strings.Contains(path, "/") {
		var err error
		if path, err = exec.LookPath(path); err != nil {
			return err
		}
	}
	s, err := c.openStreams()
	if err != nil {
		return err
	}
	defer s.close()
	p, err := c.start(path, s.theirs)
	s.closeTheirs()
	if err != nil {
		return err
	}
	err = s.await(ctx, p)
	ending, stop := patience(ctx)
	defer stop()
	left := p.end(ending)
	if err != nil {
		return err
	}
	s.drain()
	return cmp.Or(p.outcome(), s.failure(), left)
}

// patience is how long we wait for everything to end: much less if ctx ends, or has ended.
func patience(ctx context.Context) (ending context.Context, stop func()) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*maxEnding) // a supervisor has to say what is left
	undo := context.AfterFunc(ctx, func() { time.AfterFunc(maxInterrupting, cancel) })
	return ending, func() {
		undo()
		cancel()
	}
}

// start starts the program.
func (c Command) start(path string, files [3]*os.File) (process, error) {
	env := (&exec.Cmd{Dir: c.Dir, Env: c.Env}).Environ()
	argv := append([]string{c.Path}, c.Args...)
	if c.Alone && isChildless() { // something may be left of the program before
		return begin(path, argv, c.Dir, env, files)
	}
	return startSupervised(append([]string{supervises, c.Dir, path}, argv...), env, files)
}

// process is a program at work.
type process interface {
	ended() <-chan struct{} // closed when the program itself has ended
	outcome() error         // how it did, after that
	// end ends the program and all that it has started. It returns a *LeftError if that is not done when ctx ends.
	end(ctx context.Context) error
}

// await returns when the program has ended, and nobody goes on writing to its standard output.
func (s *streams) await(ctx context.Context, p process) error {
	select {
	case <-p.ended():
	case <-s.failed:
		return s.failure()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if p.outcome() != nil && ctx.Err() != nil { // what has ended ctx has ended the program, too
		return context.Cause(ctx)
	}
	timer := time.NewTimer(afterword)
	defer timer.Stop()
	select {
	case <-s.answered:
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

// ExitError says that a program ended otherwise than with status 0.
type ExitError struct{ Status syscall.WaitStatus }

// exitError is nil if the status is 0.
func exitError(status syscall.WaitStatus) error {
	if status == 0 {
		return nil
	}
	return &ExitError{status}
}

// Error says how the program ended.
func (e *ExitError) Error() string {
	if !e.Status.Signaled() {
		return fmt.Sprintf("exit status %d", e.Status.ExitStatus())
	}
	text := "signal: " + e.Status.Signal().String()
	if e.Status.CoreDump() {
		text += " (core dumped)"
	}
	return text
}

// LeftError says that a program has started processes that cannot be ended: they belong to another user, or hang in the
// kernel.
type LeftError struct{ Processes []string } // such as "4711 (sleep)", as far as they are known

// Error names the processes.
func (e *LeftError) Error() string {
	return "what it has started cannot be ended: process " + strings.Join(e.Processes, ", ")
}
