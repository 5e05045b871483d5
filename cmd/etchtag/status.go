package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging"
	"github.com/urfave/cli/v2"
)

func (a *app) statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "say whether all is well, and what to do where it is not",
		Description: "One line for each thing, worst first. The exit status is 0 only if all is well, else 3.\n\n" +
			"Examples:\n   etchtag status\n   etchtag --quiet status || echo look after etchtag",
		Flags:  []cli.Flag{atFlag(), jsonFlag()},
		Action: a.status,
	}
}

// level says how bad a finding is.
type level int

const (
	levelOK level = iota
	levelNotice
	levelWarning
	levelProblem
)

var levelNames = map[level]string{levelOK: "ok", levelNotice: "note", levelWarning: "warning", levelProblem: "PROBLEM"}

func (l level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(levelNames[l])), nil }

// finding is one line of the status.
type finding struct {
	Level level  `json:"level"`
	What  string `json:"what"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
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
	colour := a.colours(a.stdout)
	colours := map[level]string{levelOK: green, levelNotice: dim, levelWarning: yellow, levelProblem: red}
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, f := range findings {
		says := f.Says
		if f.Do != "" {
			says += ": " + f.Do
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", levelNames[f.Level], f.What, strings.ReplaceAll(says, "\n", " "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		fmt.Fprintln(a.stdout, paint(colour, colours[findings[i].Level], word)+" "+rest)
	}
	return nil
}

// findings examines everything; what cannot be read is a finding too.
func (s *site) findings(ctx context.Context, now time.Time) []finding {
	out := []finding{s.killswitchFinding(now), s.updateFinding(now)}
	out = append(out, s.spaceFindings()...)
	r, err := s.resolver(now)
	if err != nil {
		return append(out, finding{levelProblem, "resolver", err.Error(), "until this is mended no client is served"})
	}
	out = append(out, s.tagFindings(r, now)...)
	out = append(out, ringFindings(r, now)...)
	out = append(out, inventoryFindings(ctx, r)...)
	for _, w := range r.States.Warnings() {
		out = append(out, finding{levelWarning, "tagstate", w.String(), ""})
	}
	for _, w := range r.Pins.Warnings {
		out = append(out, finding{levelWarning, "pins", w.String(), ""})
	}
	return append(out, s.pinFindings(r)...)
}

func (s *site) killswitchFinding(now time.Time) finding {
	k := tagging.Killswitch{Path: s.layout.Killswitch()}
	state, err := k.Status()
	switch {
	case err != nil:
		return finding{levelProblem, "killswitch", err.Error(), ""}
	case state.On:
		return finding{levelProblem, "killswitch", fmt.Sprintf("on for %s: %q", age(now.Sub(state.Since)), state.Message),
			"etchtag killswitch off lets the etch server serve again"}
	}
	return finding{levelOK, "killswitch", "off", ""}
}

func (s *site) updateFinding(now time.Time) finding {
	const what = "update"
	u, err := snapshot.ReadLastUpdate(s.layout)
	switch {
	case err != nil:
		return finding{levelWarning, what, err.Error(), ""}
	case u.Time.IsZero():
		return finding{levelWarning, what, "the working copy has never been updated by etchtag", "etchtag update"}
	case u.Failure != "" && u.Success.IsZero():
		return finding{levelProblem, what, "never succeeded; the last one failed: " + u.Failure, ""}
	case u.Failure != "":
		return finding{levelProblem, what, fmt.Sprintf("the last one failed %s ago, and none has succeeded for %s: %s",
			age(now.Sub(u.Time)), age(now.Sub(u.Success)), u.Failure), ""}
	case now.Sub(u.Time) > 2*s.config.Tags.Every:
		return finding{levelWarning, what, fmt.Sprintf("the last one was %s ago", age(now.Sub(u.Time))),
			"is cron, the timer or etchtag run at work?"}
	}
	return finding{levelOK, what, fmt.Sprintf("%s ago, at %s", age(now.Sub(u.Time)), shortID(u.Revision)), ""}
}

// spaceFindings says how many more tags fit.
func (s *site) spaceFindings() []finding {
	const what = "space"
	space, err := snapshot.FreeSpace(s.layout.Tags())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return []finding{{levelWarning, what, err.Error(), ""}}
	}
	f := finding{levelOK, what, fmt.Sprintf("%s of %s free", humanize.IBytes(space.FreeBytes),
		humanize.IBytes(space.TotalBytes)), ""}
	if space.FreeBytes < space.TotalBytes/20 {
		f.Level, f.Do = levelWarning, "make room, or keep fewer tags"
	}
	out := []finding{f}
	if space.TotalInodes > 0 && space.FreeInodes < space.TotalInodes/20 {
		out = append(out, finding{levelWarning, "inodes", fmt.Sprintf("%d of %d free", space.FreeInodes,
			space.TotalInodes), "make room, or keep fewer tags"})
	}
	return out
}

// tagFindings looks at the tags as a sequence in time.
func (s *site) tagFindings(r *tagging.Resolver, now time.Time) []finding {
	var out []finding
	every := s.config.Tags.Every
	var past []*tagging.Tag
	counts := map[string]int{}
	newestStale := false
	for _, t := range r.Index.Tags {
		header, ok, err := t.Header()
		switch {
		case t.Time.After(now):
			out = append(out, finding{levelWarning, "future", t.Name + " lies in the future and is not served before its time",
				"was the clock wrong?"})
			continue
		case err != nil:
			out = append(out, finding{levelProblem, "manifest", err.Error(), ""})
		case !ok:
			counts["unverified"]++
		case header.Stale:
			counts["stale"]++
		}
		newestStale = ok && header.Stale
		if s.config.cadence().Aligned(t.Time) {
			past = append(past, t)
		}
	}
	out = append(out, newestFinding(past, now, every))
	if gaps := missing(past, now, every); len(gaps) > 0 {
		out = append(out, finding{levelWarning, "gaps", fmt.Sprintf("%s missing within the last day, such as %s",
			count(len(gaps), "tag"), gaps[0]), "etchtag snapshot --hour TIME --revision REV makes one"})
	}
	if n := counts["stale"]; n > 0 {
		f := finding{levelNotice, "stale", count(n, "tag") + " made of an older revision, since the update had failed", ""}
		if newestStale {
			f.Level = levelWarning
		}
		out = append(out, f)
	}
	if n := counts["unverified"]; n > 0 {
		out = append(out, finding{levelNotice, "unverified", count(n, "tag") + " without a manifest, as repo_update made them", ""})
	}
	if last := s.config.Rings[len(s.config.Rings)-1]; s.config.Tags.Keep.Within < last.Delay &&
		time.Duration(s.config.Tags.Keep.Last)*every < last.Delay {
		out = append(out, finding{levelWarning, "keep", "tags may be pruned before ring " + last.Name + " is due for them",
			"set tags.keep.within or last to more than its delay of " + tagging.FormatDuration(last.Delay)})
	}
	if n := len(r.Index.Foreign); n > 0 {
		out = append(out, finding{levelNotice, "foreign", fmt.Sprintf("%s of others among the tags: %q",
			count(n, "name"), r.Index.Foreign), ""})
	}
	return append(out, s.debrisFinding()...)
}

func newestFinding(past []*tagging.Tag, now time.Time, every time.Duration) finding {
	if len(past) == 0 {
		return finding{levelProblem, "tags", "there are none", "etchtag snapshot"}
	}
	newest := past[len(past)-1]
	text := fmt.Sprintf("%s, the newest is %s, %s old", count(len(past), "tag"), newest.Name, age(now.Sub(newest.Time)))
	switch late := now.Sub(newest.Time); {
	case late >= 3*every:
		return finding{levelProblem, "tags", text, "is cron, the timer or etchtag run at work?"}
	case late >= 2*every:
		return finding{levelWarning, "tags", text, "etchtag snapshot"}
	}
	return finding{levelOK, "tags", text, ""}
}

// missing lists the names of the last day for which there is no tag, between the oldest and the newest.
func missing(past []*tagging.Tag, now time.Time, every time.Duration) []string {
	have := map[string]bool{}
	for _, t := range past {
		have[t.Name] = true
	}
	var gaps []string
	if len(past) == 0 {
		return nil
	}
	first := now.Add(-24 * time.Hour).Truncate(every)
	if past[0].Time.After(first) {
		first = past[0].Time
	}
	for t := first; t.Before(past[len(past)-1].Time); t = t.Add(every) {
		if name := tagging.Name(t); !have[name] {
			gaps = append(gaps, name)
		}
	}
	return gaps
}

// debrisFinding reports what a dead run left and the next will sweep.
func (s *site) debrisFinding() []finding {
	var n int
	for _, dir := range []string{s.layout.Stage(), s.layout.Trash()} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil // they are closed to everyone but the publisher
		}
		n += len(entries)
	}
	if n == 0 {
		return nil
	}
	return []finding{{levelNotice, "debris", count(n, "directory entry") + " of a run that is at work or has died", "the next run sweeps it"}}
}

// ringFindings says what each ring gets.
func ringFindings(r *tagging.Resolver, now time.Time) []finding {
	var out []finding
	for _, ring := range r.Rings {
		d := r.RingTag(ring, now)
		if d.Failure != "" {
			out = append(out, finding{levelProblem, "ring " + ring.Name, "gets nothing: " + d.Failure, ""})
			continue
		}
		out = append(out, finding{levelOK, "ring " + ring.Name, "gets " + d.Tag(), ""})
	}
	return out
}

// inventoryFindings asks every inventory about a host that does not exist: one that fails, fails every host.
func inventoryFindings(ctx context.Context, r *tagging.Resolver) []finding {
	var out []finding
	for _, inv := range r.Inventories {
		answer, err := inv.Lookup(ctx, "host.invalid")
		if err != nil {
			out = append(out, finding{levelProblem, "inventory", err.Error(), "until this is mended no host is served"})
			continue
		}
		f := finding{levelOK, "inventory", inv.Name() + " answers", ""}
		if len(answer.Notes) > 0 {
			f = finding{levelNotice, "inventory", inv.Name() + ": " + strings.Join(answer.Notes, "; "), ""}
		}
		out = append(out, f)
	}
	return out
}

// pinFindings reports pins of the pins file that lead nowhere: their hosts are served nothing.
func (s *site) pinFindings(r *tagging.Resolver) []finding {
	var out []finding
	for _, pin := range r.Pins.All() {
		if pin.IsBump() {
			continue
		}
		if err := s.layout.CheckPath(pin.Path); err != nil {
			out = append(out, finding{levelProblem, "pin", fmt.Sprintf("%s (%s) is served nothing: %v", pin.Host, pin.From, err), ""})
		}
	}
	return out
}
