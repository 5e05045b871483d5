package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"syscall"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/urfave/cli/v2"
)

// readers are the commands that do no more than read files and ask inventories, some of them often and in a hurry.
var readers = []string{"nodetagger", "explain", "list", "show", "hosts", "status", "completion", "manual",
	"discarded", "discarded show", "killswitch status"}

// beginReading begins a command that only reads. Nothing has to be brought to an end: signals do what they do to any
// program, and a reader of the answer who goes away ends it.
func (a *app) beginReading(*cli.Context) error {
	a.alone = a.own
	return nil
}

// beginActing begins a command that changes something. It catches signals before that, and ends between two steps.
// Whether anybody reads what it says is nothing to the work: the answer waits for its reader after that.
func (a *app) beginActing(c *cli.Context) error {
	c.Context.Done()
	a.alone = false
	term.OutliveReaders()
	if f, ok := a.stdout.(*os.File); ok {
		a.stdout = term.NewOutlet(f, math.MaxInt) // the command has all of its answer in memory anyway
	}
	return nil
}

// endResults waits until the answer of a command that acts is written. It returns an error if that could not be done,
// unless the reader has gone, who does not want it.
func (a *app) endResults(ctx context.Context) error {
	results, ok := a.stdout.(*term.Outlet)
	if !ok {
		return nil
	}
	if err := results.End(ctx); err != nil && !errors.Is(err, syscall.EPIPE) {
		return fmt.Errorf("what is done could not be said: %w", err)
	}
	return nil
}
