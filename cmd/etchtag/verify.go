package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/etch/etchtag/cmd/internal/build"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) verifyCommand() *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "compare tags with their manifests: is each file as it was published?",
		ArgsUsage: "[TAG...]",
		Description: "Without TAG all tags are verified that have a manifest. Each line of the answer is a tag, what is\n" +
			"wrong, and where: changed, missing, extra, mode, link (it leads elsewhere), owner (not who published the tag),\n" +
			"manifest (itself damaged), unread. The exit status is 4 if a tag has drifted, 3 if nothing worse is the\n" +
			"matter than that something could not be read or a TAG has no manifest, and else 0.\n\n" +
			"--repair rebuilds each drifted tag from the revision that it was made from, exchanges the two in one step,\n" +
			"and sets the drifted one aside: etchtag discarded shows it. The exit status is 4 if one cannot be repaired.\n\n" +
			"--adopt writes manifests of tags that repo_update made, as they are now. First make sure that they are right.\n" +
			"Manifests show which tags have the same content, and a mark is handed on to all of them. So it says first\n" +
			"what changes, and is refused, unless --force is given, if a ring that is served would get nothing.\n\n" +
			"Examples:\n   etchtag verify\n   etchtag --quiet verify etchautotag-20261122-0900\n" +
			"   etchtag verify --json | jq -r '.tags[] | select(.status == \"drifted\").name'\n" +
			"   etchtag verify --repair --lock-wait 10m\n   etchtag verify --adopt --dry-run",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "repair", Usage: "rebuild the tags that have drifted"},
			&cli.BoolFlag{Name: "adopt", Usage: "write manifests of tags that have none"},
			&cli.BoolFlag{Name: "dry-run", Usage: "with --adopt: say what would change, and change nothing"},
			forceFlag(), lockWaitFlag(), jsonFlag(),
		},
		Action: a.verify,
	}
}

func (a *app) verify(c *cli.Context) error {
	if c.Bool("repair") && c.Bool("adopt") {
		return decide.Usagef("--repair and --adopt are for different tags: those with and those without a manifest")
	}
	if c.IsSet("lock-wait") && !c.Bool("repair") && !c.Bool("adopt") {
		return decide.Usagef("--lock-wait is for --repair and --adopt: to verify takes no lock")
	}
	for _, flag := range []string{"dry-run", "force"} {
		if c.IsSet(flag) && !c.Bool("adopt") {
			return decide.Usagef("--%s is for --adopt", flag)
		}
	}
	site, err := a.site(c)
	if err != nil {
		return err
	}
	index, err := tag.ReadIndex(site.Base)
	if err != nil {
		return err
	}
	options := snapshot.VerifyOptions{LockWait: c.Duration("lock-wait")}
	if options.Tags, err = site.tagArguments(c, index); err != nil {
		return err
	}
	show := a.newProgress(c)
	options.Progress = func(done, total int) { show.Report("verify", int64(done), int64(total)) }
	v, err := site.runVerify(c, options, show)
	show.End()
	if printErr := a.printVerification(c, v); err == nil {
		err = printErr
	}
	if err != nil {
		return err
	}
	if c.Bool("dry-run") && len(v.reports)+len(v.leftOver) == 0 {
		if !c.Bool("json") {
			a.say(c, "nothing is changed")
		}
		return nil
	}
	if c.NArg() == 0 && !c.Bool("adopt") {
		v.unrecorded = unrecorded(index)
	}
	return a.concludeVerification(c, v)
}

// verification is what came of all tags.
type verification struct {
	reports    []snapshot.TagReport
	leftOver   []error // from runs that died
	unrecorded int     // tags without a manifest that nobody asked for
}

func (s *site) runVerify(c *cli.Context, o snapshot.VerifyOptions, show *term.Progress) (v verification, err error) {
	switch {
	case c.Bool("repair"):
		o.Staging = build.StagingProgress(show)
		v.reports, v.leftOver, err = snapshot.Repair(c.Context, s.Env(s.app.now, show), s.Source(s.app.now, show), o)
	case c.Bool("adopt"):
		return s.adopt(c, o, show)
	default:
		v.reports, err = snapshot.Verify(c.Context, s.Base, o)
	}
	return v, err
}

// tagArguments reads the names of tags that exist; nil if there are none on the command line.
func (s *site) tagArguments(c *cli.Context, index *tag.Index) ([]string, error) {
	var names []string
	for _, arg := range c.Args().Slice() {
		name, err := tagArgument(arg)
		if err != nil {
			return nil, err
		}
		if index.Find(name) == nil {
			return nil, decide.Usagef("there is no tag %s in %s; etchtag list shows those that there are", name, s.Base.Tags())
		}
		names = append(names, name)
	}
	return names, nil
}

// unrecorded counts the tags without a manifest.
func unrecorded(index *tag.Index) int {
	n := 0
	for _, t := range index.Tags {
		if _, ok, err := t.Header(); !ok && err == nil {
			n++
		}
	}
	return n
}

type findingJSON struct {
	Path   string `json:"path"` // "." is the tag itself; empty for the manifest
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
}

type verifiedJSON struct {
	Name     string        `json:"name"`
	Status   string        `json:"status"`
	Files    int           `json:"files"`
	Bytes    int64         `json:"bytes"`
	Findings []findingJSON `json:"findings"`
	SetAside string        `json:"set_aside"`
	Failure  string        `json:"failure"` // why it was not repaired or adopted
}

func newVerifiedJSON(r snapshot.TagReport) verifiedJSON {
	out := verifiedJSON{Name: r.Name, Status: string(r.Status), Files: r.Files, Bytes: r.Bytes,
		Findings: []findingJSON{}, SetAside: r.SetAside}
	for _, f := range r.Findings {
		out.Findings = append(out.Findings, findingJSON{f.Path, string(f.Kind), f.Detail})
	}
	if r.Failure != nil {
		out.Failure = failure(r).Error()
	}
	return out
}

func (a *app) printVerification(c *cli.Context, v verification) error {
	if c.Bool("json") {
		out := []verifiedJSON{}
		for _, r := range v.reports {
			out = append(out, newVerifiedJSON(r))
		}
		return a.printJSON(struct {
			Tags []verifiedJSON `json:"tags"`
		}{out})
	}
	table := term.Columns{W: a.stdout}
	for _, r := range v.reports {
		for _, f := range r.Findings {
			cells := []string{r.Name, string(f.Kind), term.Printable(cmp.Or(f.Path, "-"))}
			if f.Detail != "" {
				cells[2] += " (" + term.Printable(f.Detail) + ")"
			}
			if err := table.Add(term.Row{Cells: cells}); err != nil {
				return err
			}
		}
	}
	return table.End()
}

// verifyWords says of each status how the summary counts it.
var verifyWords = []struct {
	status snapshot.Status
	text   string
}{
	{snapshot.StatusClean, "clean"},
	{snapshot.StatusRepaired, "repaired"},
	{snapshot.StatusAdopted, "adopted"},
	{snapshot.StatusDrifted, "drifted"},
	{snapshot.StatusUnread, "not read in full"},
	{snapshot.StatusUnverified, "unverified"},
	{snapshot.StatusGone, "pruned meanwhile"},
}

// summary counts what came of the tags.
func (v verification) summary() string {
	counts := map[snapshot.Status]int{}
	files := 0
	for _, r := range v.reports {
		counts[r.Status]++
		files += r.Files
	}
	counts[snapshot.StatusUnverified] += v.unrecorded
	var parts []string
	for _, w := range verifyWords {
		if n := counts[w.status]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, w.text))
		}
	}
	return fmt.Sprintf("%s with %s: %s", term.Count(len(v.reports)+v.unrecorded, "tag"), term.Count(files, "file"),
		cmp.Or(strings.Join(parts, ", "), "nothing to do"))
}

// concludeVerification says on standard error what came of it all, and returns the error that stands for the exit code.
func (a *app) concludeVerification(c *cli.Context, v verification) error {
	done := map[bool]string{false: "repaired", true: "adopted"}[c.Bool("adopt")]
	problems := v.leftOver
	drifted, skipped := false, false
	for _, r := range v.reports {
		problems = append(problems, r.LeftOver...)
		drifted = drifted || r.Status == snapshot.StatusDrifted
		skipped = skipped || r.Status == snapshot.StatusUnread || r.Status == snapshot.StatusUnverified
		if r.Failure != nil {
			problems = append(problems, fmt.Errorf("%s cannot be %s: %w", r.Name, done, failure(r)))
		}
	}
	for _, p := range problems {
		a.log.Warn(p.Error())
	}
	if !drifted && !skipped && len(problems) == 0 {
		a.log.Info(v.summary())
		return nil
	}
	err := errSilent
	if !c.Bool("quiet") {
		err = errors.New(v.summary())
	}
	if !drifted {
		return incompleteError{err}
	}
	if !c.Bool("quiet") && !c.Bool("repair") {
		err = fmt.Errorf("%w; etchtag verify --repair rebuilds what has drifted", err)
	}
	return driftError{err}
}

// failure is why a tag was not repaired or adopted, and what to do next where that can be said.
func failure(r snapshot.TagReport) error {
	if unknown, ok := errors.AsType[*snapshot.UnknownTreeError](r.Failure); ok {
		return fmt.Errorf("%w: if the tag is right as it is, remove %s and call etchtag verify --adopt %s; if not, mark it bad",
			r.Failure, unknown.Manifest, r.Name)
	}
	return r.Failure
}
