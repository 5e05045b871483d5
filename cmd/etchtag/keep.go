package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagstate"
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
	err = s.edit(c.Context, s.layout.Kept(), func(old []byte) ([]byte, error) {
		kept := withoutKept(old, names)
		if !release {
			kept = withKept(kept, names, c.String("reason"))
		}
		return kept, nil
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

// readKept reads which tags somebody keeps: the reason by the tag's name. A line that names no tag is a warning, since
// someone means to keep something by it.
func (s *site) readKept() (map[string]string, []tagstate.Warning, error) {
	data, err := tagstate.Read(s.layout.Kept())
	if err != nil {
		return nil, nil, err
	}
	kept := map[string]string{}
	var warnings []tagstate.Warning
	for l := range tagstate.Lines(data) {
		name := keptName(l)
		if _, err := tagging.ParseName(name); err != nil {
			warnings = append(warnings, tagstate.Warning{
				Position: tagstate.Position{File: filepath.Base(s.layout.Kept()), Line: l.Number}, Message: err.Error()})
			continue
		}
		reason := strings.TrimSpace(l.Value + " " + l.Rest)
		kept[name] = orElse(reason, "no reason given")
	}
	return kept, warnings, nil
}

// kept is readKept for whoever removes tags: what is kept is not known while a line names no tag.
func (s *site) kept() (map[string]string, error) {
	kept, warnings, err := s.readKept()
	if err == nil && len(warnings) > 0 {
		err = errors.New(warnings[0].String())
	}
	return kept, err
}

func keptName(l tagstate.Line) string { return strings.TrimPrefix(l.Key, "tags/") }

// withoutKept removes the lines of some tags and leaves every other byte as it is.
func withoutKept(data []byte, names []string) []byte {
	removed := map[int]bool{}
	for l := range tagstate.Lines(data) {
		removed[l.Number] = slices.Contains(names, keptName(l))
	}
	var out []byte
	for number := 1; len(data) > 0; number++ {
		line := data[:lineLength(data)]
		if !removed[number] {
			out = append(out, line...)
		}
		data = data[len(line):]
	}
	return out
}

// lineLength is how many bytes the first line has with its end, which is one of those that tagstate.Lines knows.
func lineLength(data []byte) int {
	switch end := bytes.IndexAny(data, "\r\n"); {
	case end < 0:
		return len(data)
	case bytes.HasPrefix(data[end:], []byte("\r\n")):
		return end + 2
	default:
		return end + 1
	}
}

// withKept adds a line for each tag.
func withKept(data []byte, names []string, reason string) []byte {
	if len(data) > 0 && !bytes.HasSuffix(data, []byte("\n")) {
		data = append(data, '\n')
	}
	reason = strings.Join(strings.Fields(reason), " ")
	for _, name := range names {
		data = append(data, strings.TrimSpace(name+" "+reason)+"\n"...)
	}
	return data
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
