package main

import (
	"context"
	"fmt"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/tagging"
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
			site, err := a.site(c)
			if err != nil {
				return err
			}
			return a.answer(c.Context, site, c.Args().First(), clock())
		},
	}
}

// runNodetagger is the program under the name nodetagger, as the etch server calls it: exactly one
// argument, which is a host whatever it looks like, and no library between.
func (a *app) runNodetagger(ctx context.Context, line []string) int {
	err := func() error {
		if len(line) != 2 {
			return decide.Usagef("nodetagger takes one argument, the host's name, not %d", len(line)-1)
		}
		site, err := a.openSite(decide.FindBase(a.getenv, a.link), "", configOptional)
		if err != nil {
			return err
		}
		return a.answer(ctx, site, line[1], a.now().UTC())
	}()
	return a.end(ctx, err)
}

// answer prints the path that a host gets.
func (a *app) answer(ctx context.Context, s *site, host string, now time.Time) error {
	if err := tagging.ValidateHost(host); err != nil {
		return decide.Usage(err)
	}
	r, err := s.Resolver(now)
	if err != nil {
		return fmt.Errorf("no tag for %s: %w", host, err)
	}
	d := r.Decide(ctx, host, now)
	if d.Failure != "" {
		return fmt.Errorf("no tag for %s: %s; etchtag explain %s shows why", host, d.Failure, host)
	}
	_, err = fmt.Fprintln(a.stdout, d.Path)
	return err
}
