package main

import (
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/etch/etchtag/tagstate/lines"
	"github.com/urfave/cli/v2"
)

// maxRange is how many tags one range may mark: ten years of hours.
const maxRange = 10 * 366 * 24

func (a *app) markCommand() *cli.Command {
	return &cli.Command{
		Name:      "mark",
		Usage:     "say that tags are good, bad (roll back) or badfwd (roll forward), or clear that",
		ArgsUsage: "good|bad|badfwd|clear TAG...",
		Description: "First says what that does: which tags get the mark, how many more inherit it because they have the\n" +
			"same content, and what each ring gets before and after. Refused, unless --force is given, if a ring\n" +
			"that is served would get nothing, or if it names hours to come beyond the next one. If what it does\n" +
			"cannot be worked out, the mark is made all the same, and the exit status is 3.\n\n" +
			"Works for tags that do not exist too, so that a whole stretch of hours can be marked at once.\n" +
			"Marks go to this server's own tagstate file; those in the working copy's are shared by all\n" +
			"servers and are changed by a commit.\n\n" +
			"Examples:\n   etchtag mark bad etchautotag-20261122-0900 --reason 'breaks ntp'\n" +
			"   etchtag mark badfwd --from etchautotag-20261122-0900 --to etchautotag-20261122-1300 --dry-run\n" +
			"   etchtag mark clear etchautotag-20261122-0900",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "mark every hour from `TAG`, with --to"},
			&cli.StringFlag{Name: "to", Usage: "up to and including `TAG`"},
			&cli.StringFlag{Name: "reason", Usage: "a `COMMENT` for those who read the file later"},
			&cli.BoolFlag{Name: "dry-run", Usage: "say what it would do, and change nothing"},
			forceFlag(), rehearseFlag(),
		},
		Action: a.mark,
	}
}

func (a *app) mark(c *cli.Context) error {
	m, err := a.newMarking(c)
	if err != nil {
		return err
	}
	// Whoever reads what it says may go away before the mark is made.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	there := m.site.there(m.names)
	if c.Bool("dry-run") {
		if err := m.rehearse(); err != nil {
			return err
		}
		a.say(c, "nothing is changed")
		return incomplete(m.problems(c.Context)...)
	}
	err = m.site.Edit(c.Context, m.file, m.change)
	switch {
	case m.refused != nil:
		return m.refused
	case err != nil && !errors.Is(err, lines.ErrNotDurable):
		return err
	}
	a.say(c, "written to %s", m.file)
	if gone := m.site.stillThere(there); gone != nil && m.state != tagstate.None {
		return gone
	}
	return incomplete(append([]error{err}, m.problems(c.Context)...)...)
}

func markState(word string) (tagstate.State, error) {
	switch state := tagstate.State(word); state {
	case tagstate.Good, tagstate.Bad, tagstate.BadFwd:
		return state, nil
	}
	if word == "clear" {
		return tagstate.None, nil
	}
	return "", decide.Usagef("mark takes good, bad, badfwd or clear, and then tags, not %q", word)
}

// markedNames lists the tags that the command line names, one by one and as a range.
func (m *marking) markedNames(c *cli.Context) ([]string, error) {
	var names []string
	for _, arg := range c.Args().Tail() {
		name, err := m.tagArgument(arg)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	if c.IsSet("from") != c.IsSet("to") {
		return nil, decide.Usagef("--from and --to go together")
	}
	if c.IsSet("from") {
		inRange, err := m.tagRange(c.String("from"), c.String("to"))
		if err != nil {
			return nil, err
		}
		names = append(names, inRange...)
	}
	if len(names) == 0 {
		return nil, decide.Usagef("mark takes at least one tag, or --from and --to; see %s --help", c.Command.HelpName)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// tagArgument reads the name of a tag that can be marked.
func (m *marking) tagArgument(arg string) (string, error) {
	name, err := tagArgument(arg)
	if err == nil {
		err = m.valid(name)
	}
	if err != nil {
		return "", decide.Usage(err)
	}
	return name, nil
}

// tagRange lists every aligned name from one tag to another, both included.
func (m *marking) tagRange(from, to string) ([]string, error) {
	var ends [2]time.Time
	for i, arg := range []string{from, to} {
		name, err := m.tagArgument(arg)
		if err != nil {
			return nil, err
		}
		ends[i], _ = tag.ParseName(name)
	}
	if ends[0].After(ends[1]) {
		return nil, decide.Usagef("--from %s comes after --to %s", from, to)
	}
	every := m.site.Config.Tags.Every
	if ends[1].Sub(ends[0]) >= maxRange*every {
		return nil, decide.Usagef("--from %s --to %s is more than %d tags", from, to, maxRange)
	}
	var names []string
	for t := ends[0]; !t.After(ends[1]); t = t.Add(every) {
		names = append(names, tag.Name(t))
	}
	return append(names, m.unaligned(ends)...), nil
}
