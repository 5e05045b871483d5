package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/etch/etchtag/tagstate/lines"
	"github.com/urfave/cli/v2"
)

// editWait is how long an edit waits for another to end. Edits take milliseconds.
const editWait = 10 * time.Second

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
	err = m.site.edit(c.Context, m.file, m.change)
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

// ownTagstate is this server's own file: the last one that updates of the working copy do not touch.
func (s *site) ownTagstate() (string, error) {
	for _, path := range slices.Backward(s.Config.Tagstate) {
		if !s.inWorkingCopy(path) {
			return filepath.Join(s.Base.Path, path), nil
		}
	}
	return "", errors.New("every file that tagstate names in the configuration lies in the working copy, where a mark " +
		"would be overwritten: commit the mark there, or add this server's own file to the list")
}

func (s *site) inWorkingCopy(path string) bool {
	rel, err := filepath.Rel(s.Base.WorkingCopy, path)
	return err == nil && filepath.IsLocal(rel)
}

// edit changes one of the base's small files.
func (s *site) edit(ctx context.Context, file string, change func([]byte) ([]byte, error)) error {
	if err := s.refuseUpstreamsLink(file); err != nil {
		return err
	}
	if err := s.env(s.app.now, nil).Prepare(); err != nil {
		return err
	}
	return s.editor(file).Edit(ctx, change)
}

func (s *site) editor(file string) lines.Editor {
	return lines.Editor{Path: file, Lock: s.Base.TagstateLock(), Wait: editWait, Step: s.app.step}
}

// refuseUpstreamsLink refuses to edit what a link leads to whose end, or which itself, is upstream's to choose: it could
// be any file of this machine. A link that the administrator has made is followed.
func (s *site) refuseUpstreamsLink(file string) error {
	target, err := os.Readlink(file)
	if err != nil {
		return nil // no link
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(file), target)
	}
	inside := func(trunk, path string) bool {
		rel, err := filepath.Rel(trunk, path)
		return err == nil && filepath.IsLocal(rel)
	}
	trunk, trunkErr := filepath.EvalSymlinks(s.Base.Trunk())
	dir, dirErr := filepath.EvalSymlinks(filepath.Dir(target))
	if inside(s.Base.Trunk(), target) || trunkErr == nil && dirErr == nil && inside(trunk, dir) || s.baseIsWorkingCopy() {
		return fmt.Errorf("%s is a link to %s, and so upstream decides which file is edited: put a file in its place", file, target)
	}
	return nil
}
