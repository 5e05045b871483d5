package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) explainCommand() *cli.Command {
	return &cli.Command{
		Name:      "explain",
		Usage:     "show which tag a host gets, and why",
		ArgsUsage: "HOST",
		Description: "The very decision of nodetagger, with its reasons.\n\n" +
			"Examples:\n   etchtag explain web1.example.com\n" +
			"   etchtag explain web1.example.com --at 2026-11-22T09:30:00Z --json",
		Flags:  []cli.Flag{atFlag(), jsonFlag()},
		Action: a.explain,
	}
}

func (a *app) explain(c *cli.Context) error {
	if err := needArgs(c, 1, 1); err != nil {
		return err
	}
	host := c.Args().First()
	if err := tagging.ValidateHost(host); err != nil {
		return decide.Usage(err)
	}
	clock, err := a.clock(c, "at")
	if err != nil {
		return err
	}
	site, err := a.deciding(c)
	if err != nil {
		return err
	}
	now := clock()
	hosts, err := site.Hosts(now)
	var d *tagging.Decision
	if err != nil {
		d = &tagging.Decision{Host: strings.ToLower(host), At: now, Failure: err.Error()}
	} else {
		d = hosts.Decide(c.Context, host)
	}
	if c.Bool("json") {
		err = a.printJSON(newDecisionJSON(d))
	} else {
		err = printDecision(a.stdout, d, a.colours(a.stdout))
	}
	if err == nil && d.Failure != "" {
		return errSilent
	}
	return err
}

type decisionJSON struct {
	Host      string     `json:"host"`
	Ring      string     `json:"ring"`
	RingWhy   string     `json:"ring_why"`
	Groups    []string   `json:"groups"`
	Delay     string     `json:"delay"`
	At        time.Time  `json:"at"`
	Nominal   string     `json:"nominal"`
	BaseTag   string     `json:"base_tag"`
	Direction string     `json:"direction"`
	Path      string     `json:"path"`
	Failure   string     `json:"failure"`
	Steps     []stepJSON `json:"steps"`
}

type stepJSON struct {
	Tag       string `json:"tag"`
	State     string `json:"state"`
	StateFrom string `json:"state_from"`
	Accepted  bool   `json:"accepted"`
	Why       string `json:"why"`
}

func newDecisionJSON(d *tagging.Decision) decisionJSON {
	j := decisionJSON{d.Host, d.Ring, d.RingWhy, append([]string{}, d.Groups...), d.Delay.String(), d.At.UTC(),
		d.Nominal, d.BaseTag, string(d.Direction), d.Path, d.Failure, []stepJSON{}}
	for _, s := range d.Steps {
		j.Steps = append(j.Steps, stepJSON{s.Tag, string(s.State), s.StateFrom, s.Accepted, s.Why})
	}
	return j
}

// printDecision writes a decision for people: what went in, the candidates in the order in which they were
// tried, and the answer last, where the eye ends.
func printDecision(w io.Writer, d *tagging.Decision, colour bool) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("host", "%s", d.Host)
	if d.Ring != "" {
		row("groups", "%s", orNone(strings.Join(d.Groups, ", ")))
		row("ring", "%s, delay %s (%s)", d.Ring, tag.FormatDuration(d.Delay), d.RingWhy)
	}
	row("time", "%s", d.At.UTC().Format("2006-01-02 15:04:05 UTC"))
	if d.Nominal != "" {
		row("nominal tag", "%s", d.Nominal)
		base := orNone(d.BaseTag)
		if d.BaseWhy != "" {
			base += ": " + d.BaseWhy
		}
		row("base tag", "%s", base)
	}
	if d.Direction != "" {
		row("direction", "%s", describeDirection(d))
	}
	for _, n := range d.Notes {
		row("note", "%s", n)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := printSteps(w, d.Steps, colour); err != nil {
		return err
	}
	answer := term.Paint(colour, term.Bold, "gets "+d.Path)
	if d.Failure != "" {
		answer = term.Paint(colour, term.Red, "gets nothing: ") + d.Failure
	}
	_, err := fmt.Fprintf(w, "\n%s\n", answer)
	return err
}

func describeDirection(d *tagging.Decision) string {
	switch d.Direction {
	case tagging.Pinned:
		return "none: the host is pinned"
	case tagging.Bumped:
		return "none: the host is bumped to the working copy"
	case tagging.Forward:
		return "forward: of the acceptable tags after the base tag the one that was published first"
	}
	if d.BaseWhy != "" {
		return "back after all: what the ring would get if there were nothing from the base tag on"
	}
	return "back: the newest acceptable tag up to the nominal one"
}

func printSteps(w io.Writer, steps []tagging.Step, colour bool) error {
	if len(steps) == 0 {
		return nil
	}
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, s := range steps {
		sign, why := "passed", s.Why
		if s.Accepted {
			sign = "taken"
		}
		if s.StateFrom != "" {
			why += " (" + s.StateFrom + ")"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", sign, s.Tag, why)
	}
	return t.Flush()
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
