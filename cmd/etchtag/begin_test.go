package main

import (
	"context"
	"slices"
	"testing"

	"github.com/urfave/cli/v2"
)

// doneContext notes whether somebody has asked for its end, which is when an interruption begins to catch signals.
type doneContext struct {
	context.Context
	asked bool
}

func (c *doneContext) Done() <-chan struct{} {
	c.asked = true
	return c.Context.Done()
}

func TestOnlyCommandsThatActCatchSignalsBeforeTheyBegin(t *testing.T) {
	unseen := slices.Clone(readers)
	var look func(c *cli.Command, name string)
	look = func(c *cli.Command, name string) {
		for _, sub := range c.Subcommands {
			look(sub, name+" "+sub.Name)
		}
		i := &doneContext{Context: t.Context()}
		if err := c.Before(cli.NewContext(nil, nil, &cli.Context{Context: i})); err != nil {
			t.Fatal(err)
		}
		at := slices.Index(unseen, name)
		if reads := at >= 0 || len(c.Subcommands) > 0; reads == i.asked {
			t.Errorf("%s: a reader: %t, catches signals before it begins: %t", name, reads, i.asked)
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
