package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/urfave/cli/v2"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "say whether all is well, and what to do where it is not",
		Description: "One line for each thing, worst first. The exit status is 0 if all is well, and 3 if there is a\n" +
			"problem or a warning:\n\n" +
			"   PROBLEM  clients are served nothing, or the next tag cannot be made, or anybody can change what\n" +
			"            clients get\n" +
			"   warning  something to look after before it becomes one\n" +
			"   note     good to know, and no reason to be called: what people have decided (tags rolled back,\n" +
			"            files that a group can write), what goes by itself (gaps that no ring comes by any\n" +
			"            more, debris that the next run sweeps, tags of repo_update), and what an unprivileged\n" +
			"            user cannot see\n" +
			"   ok       as it should be\n\n" +
			"Examples:\n   etchtag status\n   etchtag --quiet status || echo look after etchtag",
		Flags:  []cli.Flag{atFlag(), jsonFlag()},
		Action: a.status,
	}
}

// level says how bad a finding is. Only a warning or a problem is a reason to be called in the night, so what lasts
// and cannot be helped, or goes by itself, is a note.
type level int

const (
	levelOK level = iota
	levelNote
	levelWarning
	levelProblem
)

var levelNames = map[level]string{levelOK: "ok", levelNote: "note", levelWarning: "warning", levelProblem: "PROBLEM"}

func (l level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(levelNames[l])), nil }

// finding is one line of the status.
type finding struct {
	Level level  `json:"level"`
	What  string `json:"what"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
}

// cannotSee is the finding for what could not be read: for want of permission it is no more than a note, because
// somebody else can see it.
func cannotSee(what string, err error) finding {
	if errors.Is(err, fs.ErrPermission) {
		return finding{levelNote, what, "cannot be seen: " + err.Error(), "ask as the user who makes tags"}
	}
	return finding{levelWarning, what, err.Error(), "see why it cannot be read"}
}

func (a *app) status(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	clock, err := a.clock(c, "at")
	if err != nil {
		return err
	}
	s, err := a.site(c)
	if err != nil {
		return err
	}
	findings := s.findings(c.Context, clock())
	slices.SortStableFunc(findings, func(a, b finding) int { return cmp.Compare(b.Level, a.Level) })
	healthy := findings[0].Level < levelWarning
	switch {
	case c.Bool("json"):
		err = a.printJSON(struct {
			Healthy  bool      `json:"healthy"`
			Findings []finding `json:"findings"`
		}{healthy, findings})
	case !healthy || !c.Bool("quiet"):
		err = a.printFindings(findings)
	}
	if err == nil && !healthy {
		err = incompleteError{errSilent}
	}
	return err
}

func (a *app) printFindings(findings []finding) error {
	colours := map[level]string{levelOK: term.Green, levelNote: term.Dim, levelWarning: term.Yellow, levelProblem: term.Red}
	width, names := 0, 0
	for _, f := range findings {
		width, names = max(width, len(levelNames[f.Level])), max(names, len(f.What))
	}
	for _, f := range findings {
		says := f.Says
		if f.Do != "" {
			says += ": " + f.Do
		}
		name := levelNames[f.Level]
		_, err := fmt.Fprintf(a.stdout, "%s%*s  %-*s  %s\n", term.Paint(a.colours(a.stdout), colours[f.Level], name),
			width-len(name), "", names, f.What, term.OneLine(says))
		if err != nil {
			return err
		}
	}
	return nil
}

// findings examines everything; what cannot be read is a finding too. There is at least one.
func (s *site) findings(ctx context.Context, now time.Time) []finding {
	out := []finding{s.killswitchFinding(now), s.nodetaggerFinding(), s.updateFinding(now)}
	out = append(out, s.lockFindings(now)...)
	out = append(out, s.accessFindings()...)
	out = append(out, s.discardedFindings(now)...)
	out = append(out, s.keptFindings()...)
	hosts, err := s.Hosts(now)
	if err != nil {
		return append(out, finding{levelProblem, "resolver", err.Error(), "until this is mended no client is served"})
	}
	out = append(out, s.spaceFindings(hosts.Index)...)
	out = append(out, s.tagFindings(hosts.Moment)...)
	out = append(out, s.markFindings(hosts)...)
	out = append(out, ringFindings(hosts.Moment)...)
	out = append(out, s.inventoryFindings(ctx, hosts)...)
	return append(out, s.pinFindings(ctx, hosts)...)
}
