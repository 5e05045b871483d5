package main

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// traceSyncs runs a command once more, and adds the time that it waits for the disk to what the samples say. On
// memory, or without strace, nothing is added.
func (b *bench) traceSyncs(ctx context.Context, samples []sample, argv []string) error {
	if !b.disk || !b.has("strace") {
		return nil
	}
	if err := b.settle(); err != nil {
		return err
	}
	trace := filepath.Join(b.programs, "trace")
	strace := []string{"strace", "-f", "--seccomp-bpf", "-qq", "-T", "-o", trace, "-e", "trace=syncfs,fsync,fdatasync"}
	if err := b.quietly(ctx, append(strace, argv...)); err != nil {
		return err
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		return err
	}
	for i := range samples {
		samples[i].synced += tracedTime(string(data))
	}
	return nil
}

// tracedTime is the sum of the times in angle brackets that end the lines of strace -T.
func tracedTime(trace string) time.Duration {
	var sum float64
	for l := range strings.Lines(trace) {
		l = strings.TrimSpace(l)
		if i := strings.LastIndexByte(l, '<'); i >= 0 && strings.HasSuffix(l, ">") {
			if t, err := strconv.ParseFloat(l[i+1:len(l)-1], 64); err == nil {
				sum += t
			}
		}
	}
	return time.Duration(sum * float64(time.Second))
}
