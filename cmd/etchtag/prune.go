package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/urfave/cli/v2"
)

func (a *app) pruneCommand() *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "remove old tags that nobody needs",
		Description: "A tag goes only if it is old enough, enough newer ones exist, no ring gets it or got it within the last\n" +
			"hour, no host is pinned to it and nobody has kept it. --dry-run shows the reason for each tag.\n\n" +
			"Examples:\n   etchtag prune --dry-run\n   etchtag prune",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Usage: "show what would be done, and do nothing"},
			lockWaitFlag(), rehearseFlag(), jsonFlag(),
		},
		Action: a.prune,
	}
}

func (a *app) prune(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	clock, err := a.clock(c, "rehearse")
	if err != nil {
		return err
	}
	site, err := a.site(c)
	if err != nil {
		return err
	}
	env := site.Env(clock, nil)
	var plan snapshot.Plan
	var failed []error
	if c.Bool("dry-run") {
		plan, err = snapshot.PreviewPrune(c.Context, env, site, site.Keep())
	} else {
		plan, failed, err = snapshot.Prune(c.Context, env, site, site.Keep(), c.Duration("lock-wait"))
	}
	if err != nil {
		return err
	}
	if err := a.printPlan(c, plan, failed); err != nil {
		return err
	}
	nothing := "nothing"
	if len(plan.Remove) > 0 {
		nothing = "nothing more"
	}
	for _, reason := range plan.Blocked {
		failed = append(failed, fmt.Errorf("%s is removed: %s", nothing, reason))
	}
	return incomplete(failed...)
}

// printPlan prints what was done of a plan, or is to be done, but not what failed.
func (a *app) printPlan(c *cli.Context, plan snapshot.Plan, failed []error) error {
	if c.Bool("json") {
		return a.printJSON(struct {
			Keep   []verdictJSON `json:"keep"`
			Remove []verdictJSON `json:"remove"`
		}{newVerdictsJSON(plan.Keep), newVerdictsJSON(plan.Remove)})
	}
	if c.Bool("dry-run") {
		return printVerdicts(a.stdout, plan)
	}
	for _, v := range plan.Remove {
		a.say(c, "removed %s: %s", v.Name, strings.Join(v.Reasons, "; "))
	}
	if len(plan.Remove) == 0 && len(failed) == 0 {
		a.say(c, "nothing to remove among %s", term.Count(len(plan.Keep), "tag"))
	}
	return nil
}

type verdictJSON struct {
	Name    string   `json:"name"`
	Reasons []string `json:"reasons"`
}

func newVerdictsJSON(verdicts []snapshot.Verdict) []verdictJSON {
	out := []verdictJSON{}
	for _, v := range verdicts {
		out = append(out, verdictJSON(v))
	}
	return out
}

func printVerdicts(w io.Writer, plan snapshot.Plan) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, v := range plan.Keep {
		fmt.Fprintf(t, "keep\t%s\t%s\n", v.Name, strings.Join(v.Reasons, "; "))
	}
	for _, v := range plan.Remove {
		fmt.Fprintf(t, "remove\t%s\t%s\n", v.Name, strings.Join(v.Reasons, "; "))
	}
	return t.Flush()
}
