package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etch/etchtag/cmd/internal/build"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) snapshotCommand() *cli.Command {
	return &cli.Command{
		Name:  "snapshot",
		Usage: "update the working copy and publish it as the present hour's tag",
		Description: "If the hour's tag is there already, it stays as it is. If upstream cannot be asked, the last\n" +
			"revision that was fetched is published, marked stale, and the exit status is 3. If that is not whole\n" +
			"any more because an update was cut off, what the newest tag has is published again instead.\n\n" +
			"Examples:\n   etchtag snapshot\n   etchtag --quiet snapshot --lock-wait 10m\n" +
			"   etchtag snapshot --hour 2026-11-22T09:00:00Z --revision 3f2a9c1",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "no-update", Usage: "publish the last revision that was fetched"},
			&cli.BoolFlag{Name: "no-prune", Usage: "keep old tags"},
			lockWaitFlag(),
			timeFlag("hour", "make the missing tag of this past `TIME`; needs --revision"),
			&cli.StringFlag{Name: "revision", Usage: "publish this `REVISION`; needs --hour"},
			rehearseFlag(), jsonFlag(),
		},
		Action: a.snapshot,
	}
}

// repoUpdateLine translates the command line of the script repo_update, whose only argument, git, told
// it what etchtag finds out by itself.
func repoUpdateLine(line []string) []string {
	out := []string{"etchtag", "snapshot", "--lock-wait", "10m"}
	for _, word := range line[1:] {
		if word != "git" {
			out = append(out, word)
		}
	}
	return out
}

func (a *app) snapshot(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	started := time.Now()
	clock, err := a.clock(c, "rehearse")
	if err != nil {
		return err
	}
	site, err := a.site(c)
	if err != nil {
		return err
	}
	options, err := site.takeOptions(c, clock())
	if err != nil {
		return err
	}
	show := a.newProgress(c)
	r, err := site.take(c.Context, clock, show, options)
	show.End()
	if err != nil {
		return err
	}
	if c.Bool("json") {
		if err := a.printJSON(newSnapshotJSON(r, time.Since(started))); err != nil {
			return err
		}
	} else {
		a.say(c, "%s", describeSnapshot(r, time.Since(started)))
	}
	return incomplete(problems(r)...)
}

// take makes the present hour's tag, and warns of marks that wait for the next ones.
func (s *site) take(ctx context.Context, clock func() time.Time, show *term.Progress, o snapshot.TakeOptions) (snapshot.Result, error) {
	env := s.Env(clock, show)
	o.Cadence, o.Layout, o.Check, o.Keep = s.Config.Cadence(), staged.Layout(s.Config.Tags.Files), s.Config.Tags.Check, s.Keep()
	o.Progress = build.StagingProgress(show)
	r, err := snapshot.Take(ctx, env, s.Source(clock, show), s, o)
	if states, readErr := s.States(); err == nil && readErr == nil {
		for _, g := range s.marksToCome(states, clock()) {
			env.Warn(g.What + "; if that is a mistake, " + g.Undo)
		}
	}
	return r, err
}

// problems are what keeps a run that did its work from being all well.
func problems(r snapshot.Result) []error {
	all := r.LeftOver
	switch {
	case r.Stale && !r.Created:
		all = append(all, errors.New("the update failed; the hour's tag is there already"))
	case r.Again != "":
		all = append(all, fmt.Errorf("the working copy has no whole revision, so what %s has is published again, marked stale", r.Again))
	case r.Stale:
		all = append(all, errors.New("the update failed, so what is published is the last revision that was fetched, marked stale"))
	}
	return all
}

// takeOptions checks the flags of snapshot against each other and the present.
func (s *site) takeOptions(c *cli.Context, now time.Time) (snapshot.TakeOptions, error) {
	o := snapshot.TakeOptions{LockWait: c.Duration("lock-wait"), NoUpdate: c.Bool("no-update"),
		NoPrune: c.Bool("no-prune"), Revision: c.String("revision")}
	hour, given, err := parseTime(c, "hour")
	if err != nil {
		return o, err
	}
	if given != (o.Revision != "") {
		return o, decide.Usagef("--hour and --revision go together: a missed hour is never made from what is new today")
	}
	if given {
		if !s.Config.Cadence().Aligned(hour) {
			return o, decide.Usagef("--hour %s is not a time of a tag: they are made every %s",
				c.String("hour"), tag.FormatDuration(s.Config.Tags.Every))
		}
		if hour.After(now) {
			return o, decide.Usagef("--hour %s is in the future", c.String("hour"))
		}
		o.Hour = hour
	}
	return o, nil
}

type snapshotJSON struct {
	Name       string   `json:"name"`
	Revision   string   `json:"revision"`
	Tree       string   `json:"tree"`
	Created    bool     `json:"created"`
	Stale      bool     `json:"stale"`
	Files      int      `json:"files"`
	Bytes      int64    `json:"bytes"`
	DurationMS int64    `json:"duration_ms"`
	Pruned     []string `json:"pruned"`
}

func newSnapshotJSON(r snapshot.Result, took time.Duration) snapshotJSON {
	return snapshotJSON{r.Name, r.Revision, r.Tree, r.Created, r.Stale, r.Files, r.Bytes,
		took.Milliseconds(), append([]string{}, r.Pruned...)}
}

func describeSnapshot(r snapshot.Result, took time.Duration) string {
	if !r.Created {
		return r.Name + " is there already"
	}
	text := fmt.Sprintf("made %s from %s: %s, %s, in %s", r.Name, term.ShortID(r.Revision),
		term.Count(r.Files, "file"), tag.FormatBytes(uint64(r.Bytes)), took.Round(time.Millisecond))
	if r.Stale {
		text += ", stale"
	}
	if len(r.Pruned) > 0 {
		text += fmt.Sprintf("; removed %s", term.Count(len(r.Pruned), "old tag"))
	}
	return text
}
