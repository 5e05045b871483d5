package supervise

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// supervises is the name by which this program is called as a supervisor. A directory follows, and the path and the words
// of the program that it is to run there. No file has such a name, and nobody types it.
const supervises = "etchtag: supervises"

// The descriptors of a supervisor, besides those of the program.
const (
	orderFD  = 3 // its end is the order to end everything: it comes from us, or from our end
	reportFD = 4
)

// report is what a supervisor says: first how the program ended, or why it could not be started, and at the end of
// everything what is left of it. The program's end goes unsaid if the order came before it.
type report struct {
	Ended    bool
	Status   syscall.WaitStatus
	Op, Path string // what has failed, with Errno
	Errno    syscall.Errno

	Gone bool // everything has ended, but for what is left
	Left *LeftError
}

// init is the whole life of a supervisor. It is no function for main to call, because a program that forgot to do so, such
// as a test, would not supervise but begin anew with all its usual work.
func init() {
	if len(os.Args) > 3 && os.Args[0] == supervises {
		supervise(os.Args[1], os.Args[2], os.Args[3:])
		syscall.Exit(0) // without what os.Exit has to do: the race detector would wait for a second
	}
}

// supervise runs a program.
func supervise(dir, path string, argv []string) {
	order, reports := os.NewFile(orderFD, "order"), os.NewFile(reportFD, "reports")
	unix.CloseOnExec(orderFD)
	unix.CloseOnExec(reportFD)
	_ = os.WriteFile("/proc/self/comm", []byte("etchtag"), 0) // ps would call us "exe"
	outlive(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	out := json.NewEncoder(reports)
	f, err := begin(path, argv, dir, os.Environ(), [3]*os.File{os.Stdin, os.Stdout, os.Stderr})
	if err != nil {
		_ = out.Encode(newFailure(err))
		return
	}
	letGo()
	ordered := make(chan struct{})
	go func() {
		defer close(ordered)
		_, _ = io.Copy(io.Discard, order)
	}()
	select {
	case <-f.over:
		_ = out.Encode(report{Ended: true, Status: f.status})
		<-ordered
	case <-ordered:
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxEnding)
	defer cancel()
	left, _ := errors.AsType[*LeftError](f.end(ctx))
	_ = out.Encode(report{Gone: true, Left: left})
}

// outlive keeps us alive when a service manager, say, sends a signal to everybody. The program gets its own.
func outlive(signals ...os.Signal) {
	for _, s := range signals {
		if !signal.Ignored(s) {
			signal.Notify(make(chan os.Signal, 1), s)
		}
	}
}

// letGo gives up the program's standard input and output, so that their end can be seen.
func letGo() {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return // then they end when we do
	}
	for fd := range 3 {
		_ = unix.Dup3(int(null.Fd()), fd, 0)
	}
}

// newFailure is the report of a program that could not be started.
func newFailure(err error) report {
	r := report{Ended: true, Gone: true, Op: "start", Errno: syscall.EINVAL}
	errors.As(err, &r.Errno)
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		r.Op, r.Path = failed.Op, failed.Path
	}
	return r
}

// supervised is a program under a supervisor of its own.
type supervised struct {
	cmd   *exec.Cmd
	order io.Closer
	over  chan struct{} // closed when the program has ended
	err   error         // how it did, after that
	gone  chan struct{} // closed when everything has ended
	left  error         // what has not, after that
}

// startSupervised starts a supervisor, with all the words that it is called by.
func startSupervised(words, env []string, files [3]*os.File) (*supervised, error) {
	theirOrder, order, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirOrder.Close()
	reports, theirReports, err := os.Pipe()
	if err != nil {
		order.Close()
		return nil, err
	}
	defer theirReports.Close()
	s := &supervised{order: order, over: make(chan struct{}), gone: make(chan struct{})}
	s.cmd = &exec.Cmd{Path: "/proc/self/exe", Args: words, Env: env, Stdin: files[0], Stdout: files[1], Stderr: files[2],
		ExtraFiles: []*os.File{theirOrder, theirReports}, SysProcAttr: &syscall.SysProcAttr{Setsid: true}}
	if err := s.cmd.Start(); err != nil {
		order.Close()
		reports.Close()
		return nil, fmt.Errorf("start a supervisor: %w", err)
	}
	go s.listen(reports)
	return s, nil
}

// errUnsupervised says that somebody has killed a supervisor.
var errUnsupervised = errors.New("its supervisor is gone, and what it has started may go on")

// listen takes note of what the supervisor reports, until it has ended.
func (s *supervised) listen(reports *os.File) {
	defer close(s.gone)
	ended := sync.OnceFunc(func() { close(s.over) })
	defer ended()
	s.err, s.left = errUnsupervised, errUnsupervised
	for in := json.NewDecoder(reports); ; {
		var r report
		if err := in.Decode(&r); err != nil {
			break
		}
		if r.Ended {
			s.err = exitError(r.Status)
			if r.Errno != 0 {
				s.err = &fs.PathError{Op: r.Op, Path: r.Path, Err: r.Errno}
			}
			ended()
		}
		if r.Gone {
			s.left = nil
			if r.Left != nil {
				s.left = r.Left
			}
		}
	}
	reports.Close()
	_ = s.cmd.Wait() // has nothing to add
}

func (s *supervised) ended() <-chan struct{} { return s.over }

func (s *supervised) outcome() error { return s.err }

// end gives the order to end everything.
func (s *supervised) end(ctx context.Context) error {
	s.order.Close()
	select {
	case <-s.gone:
		return s.left
	case <-ctx.Done():
		return &LeftError{[]string{fmt.Sprintf("%d (its supervisor)", s.cmd.Process.Pid)}}
	}
}
