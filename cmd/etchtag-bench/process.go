package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"
)

// action is what a contestant does in one round.
type action func(ctx context.Context) (sample, error)

// forgetPeak makes the kernel forget how large this process has been. A process is counted as at least as large
// as the one that started it, until then, so ours must be small when it starts one.
func forgetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // else the peaks are upper bounds
}

// command prepares a process that sees nothing of the user's environment and configuration.
func (b *bench) command(ctx context.Context, argv ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Dir, c.Env = b.dir, b.env
	return c
}

// process is the action of starting one process and waiting for its end. Its output is read, as the etch
// server does, and thrown away.
func (b *bench) process(argv ...string) action {
	return func(ctx context.Context) (sample, error) {
		_, s, err := b.output(ctx, argv...)
		return s, err
	}
}

// output runs one process and returns what it wrote to standard output.
func (b *bench) output(ctx context.Context, argv ...string) (string, sample, error) {
	var out, problems bytes.Buffer
	c := b.command(ctx, argv...)
	c.Stdout, c.Stderr = &out, &problems
	start := time.Now()
	err := c.Run()
	took := time.Since(start)
	if err != nil {
		return "", sample{}, failure(c, err, &problems)
	}
	return out.String(), sample{took: took, cpu: cpu(c), peak: peak(c)}, nil
}

func failure(c *exec.Cmd, err error, problems *bytes.Buffer) error {
	return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, strings.TrimSpace(problems.String()))
}

// peak is the largest resident memory of a process that has ended, in bytes.
func peak(c *exec.Cmd) int64 {
	return c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
}

// cpu is what a process that has ended spent, with those that it started and waited for.
func cpu(c *exec.Cmd) time.Duration { return c.ProcessState.UserTime() + c.ProcessState.SystemTime() }

// pipe is the action of two processes, the first of which writes to the second.
func (b *bench) pipe(from, to []string) action {
	return func(ctx context.Context) (sample, error) {
		r, w, err := os.Pipe()
		if err != nil {
			return sample{}, err
		}
		var problems bytes.Buffer
		writer, reader := b.command(ctx, from...), b.command(ctx, to...)
		writer.Stdout, reader.Stdin, reader.Stderr = w, r, &problems
		start := time.Now()
		err = errors.Join(writer.Start(), reader.Start(), w.Close(), r.Close())
		if err != nil {
			return sample{}, err
		}
		err = errors.Join(writer.Wait(), reader.Wait())
		took := time.Since(start)
		if err != nil {
			return sample{}, failure(reader, err, &problems)
		}
		return sample{took: took, cpu: cpu(writer) + cpu(reader), peak: max(peak(writer), peak(reader))}, nil
	}
}

// sequence is the action of several, one after the other.
func sequence(actions ...action) action {
	return func(ctx context.Context) (sample, error) {
		var all sample
		for _, act := range actions {
			s, err := act(ctx)
			if err != nil {
				return all, err
			}
			all.took += s.took
			all.cpu += s.cpu
			all.synced += s.synced
			all.peak = max(all.peak, s.peak)
		}
		return all, nil
	}
}

// durable is the action until everything that it wrote is on the disk, if there is one.
func (b *bench) durable(act action) action {
	if !b.disk {
		return act
	}
	return sequence(act, func(ctx context.Context) (sample, error) {
		s, err := b.process("sync", "-f", b.dir)(ctx)
		return sample{took: s.took, cpu: s.cpu, synced: s.took}, err
	})
}

// quietly runs processes whose time does not count.
func (b *bench) quietly(ctx context.Context, commands ...[]string) error {
	for _, argv := range commands {
		if _, _, err := b.output(ctx, argv...); err != nil {
			return err
		}
	}
	return nil
}
