package main

import (
	"fmt"
	"strings"

	"github.com/etch/etchtag/tagging"
	"github.com/urfave/cli/v2"
)

func (a *app) keepCommand() *cli.Command {
	return &cli.Command{
		Name:      "keep",
		Usage:     "keep tags from being pruned, until they are released",
		ArgsUsage: "TAG...",
		Description: "The tags and the reasons stand in the file BASE/kept, a tag and its reason a line.\n\n" +
			"Examples:\n   etchtag keep etchautotag-20261122-0900 --reason 'audit of the outage'\n" +
			"   etchtag keep --release etchautotag-20261122-0900",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "reason", Usage: "why, a `COMMENT` for those who wonder later"},
			&cli.BoolFlag{Name: "release", Usage: "let the tags go when they are old"},
		},
		Action: a.keep,
	}
}

func (a *app) keep(c *cli.Context) error {
	if err := needArgs(c, 1, -1); err != nil {
		return err
	}
	s, err := a.site(c)
	if err != nil {
		return err
	}
	var names []string
	for _, arg := range c.Args().Slice() {
		name, err := tagArgument(arg)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	release := c.Bool("release")
	if missing := s.missing(names); len(missing) > 0 && !release {
		return fmt.Errorf("there is no tag %s to keep; etchtag list shows those that there are", strings.Join(missing, ", "))
	}
	err = s.Edit(c.Context, s.Base.Kept(), func(old []byte) ([]byte, error) {
		if release {
			return tagging.Release(old, names), nil
		}
		return tagging.Keep(old, names, c.String("reason")), nil
	})
	if err == nil && !release {
		err = s.stillThere(names)
	}
	if err != nil {
		return notDurable(err)
	}
	for _, name := range names {
		if release {
			a.say(c, "%s may be pruned when it is old", name)
		} else {
			a.say(c, "%s is kept until: etchtag keep --release %s", name, name)
		}
	}
	return nil
}
