package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/etch/etchtag/cmd/internal/build"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/urfave/cli/v2"
)

func (a *app) nodetaggerCommand() *cli.Command {
	return &cli.Command{
		Name:      "nodetagger",
		Usage:     "print which tag a host gets, for the etch server",
		ArgsUsage: "HOST",
		Description: "Prints one line, the path relative to the base, and nothing else; or fails, and prints\n" +
			"nothing. For the reasons see etchtag explain.\n\n" +
			"Example:\n   etchtag nodetagger web1.example.com",
		Flags: []cli.Flag{atFlag()},
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			clock, err := a.clock(c, "at")
			if err != nil {
				return err
			}
			site, err := a.deciding(c)
			if err != nil {
				return err
			}
			path, err := site.Answer(c.Context, c.Args().First(), clock())
			return a.printPath(path, err)
		},
	}
}

// deciding reads what the configuration that the command line names says of decisions.
func (a *app) deciding(c *cli.Context) (*decide.Site, error) {
	s, err := decide.Open(cmp.Or(c.String("base"), decide.FindBase(a.getenv, a.link)), c.String("config"), build.Kinds(a.getenv), a.now)
	if err != nil {
		return nil, err
	}
	s.Alone = a.alone
	return s, nil
}

// runNodetagger is the program under the name nodetagger. There is no library between the etch server and the answer.
func (a *app) runNodetagger(ctx context.Context, line []string) int {
	n := decide.Nodetagger{Kinds: build.Kinds(a.getenv), Getenv: a.getenv, Clock: a.now, Alone: a.own}
	path, err := n.Answer(ctx, line)
	return a.end(ctx, a.printPath(path, err))
}

// printPath prints the path that a host gets, unless there is none.
func (a *app) printPath(path string, err error) error {
	if err == nil {
		_, err = fmt.Fprintln(a.stdout, path)
	}
	return err
}
