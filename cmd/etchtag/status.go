package main

import (
	"fmt"

	"github.com/etch/etchtag/cmd/internal/health"
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
	findings := s.facts(c.Context, clock()).Findings()
	healthy := findings[0].Level < health.Warning
	switch {
	case c.Bool("json"):
		err = a.printJSON(struct {
			Healthy  bool             `json:"healthy"`
			Findings []health.Finding `json:"findings"`
		}{healthy, findings})
	case !healthy || !c.Bool("quiet"):
		err = a.printFindings(findings)
	}
	if err == nil && !healthy {
		err = incompleteError{errSilent}
	}
	return err
}

func (a *app) printFindings(findings []health.Finding) error {
	colours := map[health.Level]string{health.OK: term.Green, health.Note: term.Dim, health.Warning: term.Yellow,
		health.Problem: term.Red}
	width, names := 0, 0
	for _, f := range findings {
		width, names = max(width, len(f.Level.String())), max(names, len(f.What))
	}
	for _, f := range findings {
		says := f.Says
		if f.Do != "" {
			says += ": " + f.Do
		}
		name := f.Level.String()
		_, err := fmt.Fprintf(a.stdout, "%s%*s  %-*s  %s\n", term.Paint(a.colours(a.stdout), colours[f.Level], name),
			width-len(name), "", names, f.What, term.OneLine(says))
		if err != nil {
			return err
		}
	}
	return nil
}
