package supervise

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// family is a program with all that it has started, below a process that has no other child and gets those that lose
// their parent.
type family struct {
	pid    int
	over   chan struct{}      // closed when the program itself has ended
	status syscall.WaitStatus // how it did, after that
	gone   chan struct{}      // closed when nothing is left
	died   chan struct{}      // one of them has died, and may have left children to us

	reaping sync.Mutex // while it is held the number of a child stays the number of that child
}

// begin starts a program.
func begin(path string, argv []string, dir string, env []string, files [3]*os.File) (*family, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("become a subreaper: %w", err)
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{
		Dir: dir, Env: env, Files: []uintptr{files[0].Fd(), files[1].Fd(), files[2].Fd()},
		Sys: &syscall.SysProcAttr{
			Setsid: true,
			// If somebody kills us, at least the program itself ends. (Linux minds the thread that starts it. Go ends none that
			// no goroutine is locked to.)
			Pdeathsig: syscall.SIGKILL,
		},
	})
	if err != nil {
		return nil, &fs.PathError{Op: "fork/exec", Path: path, Err: err}
	}
	f := &family{pid: pid, over: make(chan struct{}), gone: make(chan struct{}), died: make(chan struct{}, 1)}
	go f.reap()
	return f, nil
}

// reap takes note of the end of each child until there is none.
func (f *family) reap() {
	defer close(f.gone)
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != nil && err != unix.EINTR {
			return // there is no child
		}
		f.reaping.Lock()
		var status syscall.WaitStatus
		pid, _ := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		f.reaping.Unlock()
		if pid == f.pid {
			f.status = status
			close(f.over)
		}
		select {
		case f.died <- struct{}{}:
		default:
		}
	}
}

func (f *family) ended() <-chan struct{} { return f.over }

func (f *family) outcome() error { return exitError(f.status) }

// end kills until nothing is left. Whoever is killed leaves its children to us, and cannot have another one: Linux lets
// no process fork that is about to be killed. So it comes to an end even if they start each other all the time.
func (f *family) end(ctx context.Context) error {
	for !isChildless() {
		f.kill()
		select {
		case <-f.gone:
		case <-ctx.Done():
			return &LeftError{describe(children())}
		case <-f.died:
		case <-time.After(10 * time.Millisecond): // the list may lack some if others died while it was read
		}
	}
	<-f.gone
	return nil
}

// isChildless reports whether we have no child, not even one that has died.
func isChildless() bool {
	return unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil) == unix.ECHILD
}

// kill kills all children.
func (f *family) kill() {
	f.reaping.Lock()
	defer f.reaping.Unlock()
	for _, pid := range children() {
		_ = syscall.Kill(pid, syscall.SIGKILL) // whom we may not kill is left in the end
	}
}

// children lists our children, each with the thread that started it, or that Linux gave it to.
func children() []int {
	const tasks = "/proc/self/task/"
	threads, _ := os.ReadDir(tasks)
	var pids []int
	for _, thread := range threads {
		text, _ := os.ReadFile(tasks + thread.Name() + "/children") // else the thread has ended
		for _, word := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// describe says what processes those are.
func describe(pids []int) []string {
	var all []string
	for _, pid := range pids {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		all = append(all, fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(string(name))))
	}
	return all
}
