package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// upstream is a repository with a history, and the server that gives it out.
type upstream struct {
	b       *bench
	dir     string // bare
	url     string // git://
	history *history
	daemon  *exec.Cmd
}

// newUpstream makes a repository at dir, packed as a host of repositories has it. It is not served yet.
func (b *bench) newUpstream(ctx context.Context, dir string, m *model) (*upstream, error) {
	u := &upstream{b: b, dir: dir, history: newHistory(m)}
	if err := b.quietly(ctx, []string{"git", "init", "-q", "--bare", "-b", "main", dir}); err != nil {
		return nil, err
	}
	if err := u.feed(ctx, u.history.all); err != nil {
		return nil, err
	}
	return u, b.quietly(ctx, []string{"git", "-C", dir, "gc", "-q"})
}

// serve starts git daemon on a free port.
func (u *upstream) serve(ctx context.Context) error {
	exec, _, err := u.b.output(ctx, "git", "--exec-path")
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	daemon := u.b.command(ctx, filepath.Join(strings.TrimSpace(exec), "git-daemon"), "--reuseaddr", "--export-all",
		"--base-path="+filepath.Dir(u.dir), "--listen="+address.IP.String(), fmt.Sprintf("--port=%d", address.Port))
	var problems bytes.Buffer
	daemon.Stderr = &problems
	daemon.Cancel = func() error { return daemon.Process.Signal(syscall.SIGTERM) }
	daemon.WaitDelay = 5 * time.Second
	if err := daemon.Start(); err != nil {
		return err
	}
	u.daemon, u.url = daemon, fmt.Sprintf("git://%s/%s", address, filepath.Base(u.dir))
	if err := awaitServer(ctx, address.String()); err != nil {
		u.close()
		return fmt.Errorf("git daemon: %w: %s", err, &problems)
	}
	return nil
}

// freeAddress is a loopback address that nobody listened to a moment ago.
func freeAddress() (*net.TCPAddr, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return l.Addr().(*net.TCPAddr), l.Close()
}

// awaitServer waits until somebody answers.
func awaitServer(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// close ends the server.
func (u *upstream) close() {
	if u.daemon == nil {
		return
	}
	_ = u.daemon.Cancel() // it may have ended already
	_ = u.daemon.Wait()   // says only that it was ended
	u.daemon = nil
}

// commit adds a commit that changes so many files.
func (u *upstream) commit(ctx context.Context, files int) error {
	return u.feed(ctx, func(w io.Writer) error { return u.history.change(w, files) })
}

// feed imports what write writes.
func (u *upstream) feed(ctx context.Context, write func(io.Writer) error) error {
	c := u.b.command(ctx, "git", "-C", u.dir, "fast-import", "--quiet")
	var problems bytes.Buffer
	c.Stderr = &problems
	in, err := c.StdinPipe()
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	w := bufio.NewWriterSize(in, 1<<16)
	err = errors.Join(write(w), w.Flush(), in.Close())
	if waitErr := c.Wait(); waitErr != nil {
		return failure(c, waitErr, &problems)
	}
	return err
}

// served returns the repository of the size that was asked for, which is made and served once.
func (b *bench) served(ctx context.Context) (*upstream, error) {
	if b.upstream != nil {
		return b.upstream, nil
	}
	b.say("making a repository of %d commits ...", b.size.commits)
	dir := filepath.Join(b.dir, "upstream")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	u, err := b.newUpstream(ctx, filepath.Join(dir, "etch.git"), newModel(b.size))
	if err != nil {
		return nil, err
	}
	b.upstream = u
	return u, u.serve(ctx)
}
