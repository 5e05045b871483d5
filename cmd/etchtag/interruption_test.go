package main

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"github.com/urfave/cli/v2"
)

// A derived context ends, too, and both say which signal it was.
func TestASignalEndsWhatWaitsForIt(t *testing.T) {
	i := &interruption{}
	defer i.end()
	if err := i.Err(); err != nil {
		t.Fatalf("before anything happened: %v", err)
	}
	derived, cancel := context.WithCancel(i)
	defer cancel()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-i.Done()
	<-derived.Done()
	for _, ctx := range []context.Context{i, derived} {
		if ctx.Err() != context.Canceled {
			t.Errorf("the error is %v", ctx.Err())
		}
		if cause := context.Cause(ctx).Error(); cause != "terminated signal received" {
			t.Errorf("the cause is %q", cause)
		}
	}
}

func TestOnlyCommandsThatActCatchSignalsBeforeTheyBegin(t *testing.T) {
	for _, c := range (&app{}).cli().Commands {
		i := &interruption{}
		if err := c.Before(cli.NewContext(nil, nil, &cli.Context{Context: i})); err != nil {
			t.Fatal(err)
		}
		if reader := slices.Contains(readers, c.Name); reader == (i.caught != nil) {
			t.Errorf("%s: a reader: %t, catches signals before it begins: %t", c.Name, reader, i.caught != nil)
		}
		i.end()
	}
}
