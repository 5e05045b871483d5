package main

import (
	"context"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/urfave/cli/v2"
)

func lockWaitFlag() cli.Flag {
	return &cli.DurationFlag{Name: "lock-wait", Usage: "wait up to `DURATION` for another run to end, such as 10m"}
}

func (a *app) updateCommand() *cli.Command {
	return &cli.Command{
		Name:  "update",
		Usage: "bring the working copy to upstream's newest revision",
		Description: "Local edits and untracked files are set aside below tags/.etchtag/discarded first.\n\n" +
			"Examples:\n   etchtag update\n   etchtag --quiet update --lock-wait 1m",
		Flags:  []cli.Flag{lockWaitFlag(), jsonFlag()},
		Action: a.update,
	}
}

func (a *app) update(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	site, err := a.site(c)
	if err != nil {
		return err
	}
	show := a.newProgress(c)
	outcome, err := site.updateWorkingCopy(c.Context, a.now, show, c.Duration("lock-wait"))
	show.End()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return a.printJSON(struct {
			Revision  string   `json:"revision"`
			Previous  string   `json:"previous"`
			Changed   int      `json:"changed"`
			Rewritten bool     `json:"rewritten"`
			Discarded string   `json:"discarded"`
			Warnings  []string `json:"warnings"`
		}{outcome.Revision.ID, outcome.Previous, outcome.Changed, outcome.Rewritten, outcome.Discarded,
			append([]string{}, outcome.Warnings...)})
	}
	switch {
	case outcome.Revision.ID == outcome.Previous && outcome.Changed == 0:
		a.say(c, "already at %s", term.ShortID(outcome.Revision.ID))
	case outcome.Revision.ID == outcome.Previous:
		a.say(c, "already at %s; %s put right", term.ShortID(outcome.Revision.ID), term.Count(outcome.Changed, "file"))
	default:
		a.say(c, "updated to %s: %s changed", term.ShortID(outcome.Revision.ID), term.Count(outcome.Changed, "file"))
	}
	return nil
}

// updateWorkingCopy brings the working copy to upstream's newest revision.
func (s *site) updateWorkingCopy(ctx context.Context, clock func() time.Time, show *term.Progress, wait time.Duration) (source.Outcome, error) {
	return snapshot.Update(ctx, s.Env(clock, show), s.Source(clock, show), s, wait)
}
