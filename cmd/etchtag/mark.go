package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagstate"
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
		Description: "Works for tags that do not exist too, so that a whole stretch of hours can be marked at once.\n" +
			"Marks go to this server's own tagstate file; those in the working copy's are shared by all\n" +
			"servers and are changed by a commit.\n\n" +
			"Examples:\n   etchtag mark bad etchautotag-20261122-0900 --reason 'breaks ntp'\n" +
			"   etchtag mark badfwd --from etchautotag-20261122-0900 --to etchautotag-20261122-1300\n" +
			"   etchtag mark clear etchautotag-20261122-0900",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "from", Usage: "mark every hour from `TAG`, with --to"},
			&cli.StringFlag{Name: "to", Usage: "up to and including `TAG`"},
			&cli.StringFlag{Name: "reason", Usage: "a `COMMENT` for those who read the file later"},
		},
		Action: a.mark,
	}
}

func (a *app) mark(c *cli.Context) error {
	state, err := markState(c.Args().First())
	if err != nil {
		return err
	}
	s, err := a.site(c)
	if err != nil {
		return err
	}
	names, err := s.markedNames(c)
	if err != nil {
		return err
	}
	file, err := s.ownTagstate()
	if err != nil {
		return err
	}
	if err := s.writeMarks(c.Context, file, names, state, c.String("reason")); err != nil {
		return notDurable(err)
	}
	for _, name := range names {
		a.say(c, "%s: %s in %s", name, describeMark(state), file)
	}
	if err := a.reportMark(c, s, names, state); err != nil {
		return incompleteError{fmt.Errorf("that is written, but: %w", err)}
	}
	return nil
}

func markState(word string) (tagstate.State, error) {
	switch state := tagstate.State(word); state {
	case tagstate.Good, tagstate.Bad, tagstate.BadFwd:
		return state, nil
	}
	if word == "clear" {
		return tagstate.None, nil
	}
	return "", usagef("mark takes good, bad, badfwd or clear, and then tags, not %q", word)
}

func describeMark(s tagstate.State) string {
	if s == tagstate.None {
		return "cleared"
	}
	return "marked " + string(s)
}

// markedNames lists the tags that the command line names, one by one and as a range.
func (s *site) markedNames(c *cli.Context) ([]string, error) {
	var names []string
	for _, arg := range c.Args().Tail() {
		name, err := tagArgument(arg)
		if err == nil {
			err = s.config.Cadence().Valid(name)
		}
		if err != nil {
			return nil, usageError{err}
		}
		names = append(names, name)
	}
	if c.IsSet("from") != c.IsSet("to") {
		return nil, usagef("--from and --to go together")
	}
	if c.IsSet("from") {
		inRange, err := s.tagRange(c.String("from"), c.String("to"))
		if err != nil {
			return nil, err
		}
		names = append(names, inRange...)
	}
	if len(names) == 0 {
		return nil, usagef("mark takes at least one tag, or --from and --to; see %s --help", c.Command.HelpName)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// tagRange lists every aligned name from one tag to another, both included.
func (s *site) tagRange(from, to string) ([]string, error) {
	var ends [2]time.Time
	for i, arg := range []string{from, to} {
		name, err := tagArgument(arg)
		if err == nil {
			err = s.config.Cadence().Valid(name)
		}
		if err != nil {
			return nil, usageError{err}
		}
		ends[i], _ = tagging.ParseName(name)
	}
	var names []string
	for t := ends[0]; !t.After(ends[1]); t = t.Add(s.config.Tags.Every) {
		if names = append(names, tagging.Name(t)); len(names) > maxRange {
			return nil, usagef("--from %s --to %s is more than %d tags", from, to, maxRange)
		}
	}
	if len(names) == 0 {
		return nil, usagef("--from %s comes after --to %s", from, to)
	}
	return names, nil
}

// ownTagstate is this server's own file: the last one that updates of the working copy do not touch.
func (s *site) ownTagstate() (string, error) {
	for _, path := range slices.Backward(s.config.Tagstate) {
		if !s.inWorkingCopy(path) {
			return filepath.Join(s.layout.Base, path), nil
		}
	}
	return "", errors.New("every file that tagstate names in the configuration lies in the working copy, where a mark " +
		"would be overwritten: commit the mark there, or add this server's own file to the list")
}

func (s *site) inWorkingCopy(path string) bool {
	rel, err := filepath.Rel(s.layout.WorkingCopy, path)
	return err == nil && filepath.IsLocal(rel)
}

func (s *site) writeMarks(ctx context.Context, file string, names []string, state tagstate.State, reason string) error {
	changes := make([]tagstate.Change, len(names))
	for i, name := range names {
		changes[i] = tagstate.Change{Tag: name, State: state, Comment: reason}
	}
	return s.edit(ctx, file, func(old []byte) ([]byte, error) {
		return tagstate.Apply(old, changes, s.config.Cadence().Valid)
	})
}

// edit changes one of the base's small files.
func (s *site) edit(ctx context.Context, file string, change func([]byte) ([]byte, error)) error {
	if err := s.refuseUpstreamsLink(file); err != nil {
		return err
	}
	m := s.bareManager()
	if err := m.Prepare(); err != nil {
		return err
	}
	e := tagstate.Editor{Path: file, Lock: s.layout.TagstateLock(), Wait: editWait, Step: s.app.step}
	return e.Edit(ctx, change)
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
	trunk, trunkErr := filepath.EvalSymlinks(s.layout.Trunk())
	dir, dirErr := filepath.EvalSymlinks(filepath.Dir(target))
	if inside(s.layout.Trunk(), target) || trunkErr == nil && dirErr == nil && inside(trunk, dir) || s.baseIsWorkingCopy() {
		return fmt.Errorf("%s is a link to %s, and so upstream decides which file is edited: put a file in its place", file, target)
	}
	return nil
}

// reportMark says what follows from a mark: who shares it, who escapes it, and what the rings get now.
func (a *app) reportMark(c *cli.Context, s *site, names []string, state tagstate.State) error {
	now := a.now().UTC()
	r, err := s.resolver(now)
	if err != nil {
		return err
	}
	for _, t := range r.Index.Tags {
		if _, from := r.State(t); slices.Contains(names, from) {
			a.say(c, "%s has the same content and inherits it from %s", t.Name, from)
		}
	}
	a.reportPinned(c, r, names, state)
	for _, ring := range r.Rings {
		d := r.RingTag(ring, now)
		if d.Failure != "" {
			a.say(c, "ring %s now gets nothing: %s", ring.Name, d.Failure)
			continue
		}
		a.say(c, "ring %s now gets %s", ring.Name, d.Tag())
	}
	return stillMarked(r, names, state)
}

// reportPinned warns of hosts that a mark does not move, since they are pinned to the tag.
func (a *app) reportPinned(c *cli.Context, r *tagging.Resolver, names []string, state tagstate.State) {
	if state != tagstate.Bad && state != tagstate.BadFwd {
		return
	}
	pinned, err := r.PinnedTags(c.Context)
	if err != nil {
		a.log.Warn(fmt.Sprintf("cannot say which hosts are pinned to these tags: %v", err))
		return
	}
	for _, name := range names {
		if hosts := pinned[name]; len(hosts) > 0 {
			a.log.Warn(fmt.Sprintf("%s stays with %s: the mark does not move pinned hosts", name, strings.Join(hosts, ", ")))
		}
	}
}

// stillMarked reports tags that another file, or a tag with the same content, goes on marking otherwise.
func stillMarked(r *tagging.Resolver, names []string, want tagstate.State) error {
	var others []error
	for _, name := range names {
		if e := r.States.Get(name); e.State != want && e.State != tagstate.None {
			others = append(others, fmt.Errorf("%s goes on being marked %s by %s", name, e.Word, e.Position))
			continue
		}
		if t := r.Index.Find(name); t != nil && want == tagstate.None {
			if state, from := r.State(t); state != tagstate.None {
				others = append(others, fmt.Errorf("%s goes on being %s, as it has the same content as %s", name, state, from))
			}
		}
	}
	return errors.Join(others...)
}
