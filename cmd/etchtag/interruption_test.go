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
	unseen := slices.Clone(readers)
	var look func(c *cli.Command, name string)
	look = func(c *cli.Command, name string) {
		for _, sub := range c.Subcommands {
			look(sub, name+" "+sub.Name)
		}
		i := &interruption{}
		defer i.end()
		if err := c.Before(cli.NewContext(nil, nil, &cli.Context{Context: i})); err != nil {
			t.Fatal(err)
		}
		at := slices.Index(unseen, name)
		if reads := at >= 0 || len(c.Subcommands) > 0; reads == (i.caught != nil) {
			t.Errorf("%s: a reader: %t, catches signals before it begins: %t", name, reads, i.caught != nil)
		}
		if at >= 0 {
			unseen = slices.Delete(unseen, at, at+1)
		}
	}
	for _, c := range (&app{}).cli().Commands {
		look(c, c.Name)
	}
	if len(unseen) > 0 {
		t.Errorf("there are no commands %q", unseen)
	}
}
