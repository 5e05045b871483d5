package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) listCommand() *cli.Command {
	return &cli.Command{
		Name:        "list",
		Usage:       "list the tags, newest first, with what is known of each",
		Description: "Examples:\n   etchtag list\n   etchtag list --json | jq -r '.tags[0].name'",
		Flags:       []cli.Flag{atFlag(), jsonFlag()},
		Action:      a.list,
	}
}

func (a *app) showCommand() *cli.Command {
	return &cli.Command{
		Name:        "show",
		Usage:       "show all that is known of one tag",
		ArgsUsage:   "TAG",
		Description: "Example:\n   etchtag show etchautotag-20261122-0900",
		Flags:       []cli.Flag{atFlag(), jsonFlag()},
		Action:      a.show,
	}
}

// tagRecord is what list and show say of a tag.
type tagRecord struct {
	Name      string     `json:"name"`
	Time      time.Time  `json:"time"`
	State     string     `json:"state"`
	StateFrom string     `json:"state_from"`
	Revision  string     `json:"revision"`
	Tree      string     `json:"tree"`
	Source    string     `json:"source"`
	Published *time.Time `json:"published"` // null if there is no manifest
	Files     int        `json:"files"`
	Bytes     int64      `json:"bytes"`
	Manifest  bool       `json:"manifest"`
	Stale     bool       `json:"stale"`
	Kept      string     `json:"kept"`
	Rings     []string   `json:"rings"`

	note   string // what is odd about it
	marked bool   // already when it was published
}

// tagRecords describes all tags, newest first.
func (s *site) tagRecords(m *tagging.Moment) ([]tagRecord, error) {
	kept, err := tagging.LoadKept(s.Base.Kept())
	if err != nil {
		return nil, err
	}
	rings := map[string][]string{}
	for _, ring := range m.Rings {
		if d := m.RingTag(ring); d.Failure == "" {
			rings[d.Tag()] = append(rings[d.Tag()], ring.Name)
		}
	}
	records := make([]tagRecord, 0, len(m.Index.Tags))
	for _, t := range slices.Backward(m.Index.Tags) {
		state, from := m.State(t)
		rec := tagRecord{Name: t.Name, Time: t.Time, State: string(state), StateFrom: from,
			Kept: kept.Reasons[t.Name], Rings: append([]string{}, rings[t.Name]...)}
		header, ok, err := t.Header()
		switch {
		case err != nil:
			rec.note = "its manifest cannot be read: " + err.Error()
		case !ok:
			rec.note = "unverified"
		default:
			rec.Manifest, rec.Published = true, &header.Published
			rec.Revision, rec.Tree, rec.Source = header.Revision, header.Tree, header.Source
			rec.Files, rec.Bytes, rec.Stale = header.Files, header.Bytes, header.Stale
			rec.marked = header.Marked
		}
		records = append(records, rec)
	}
	return records, nil
}

// notes gathers what a person should see about a tag.
func (t tagRecord) notes(s *site, now time.Time) string {
	var notes []string
	for _, n := range []struct {
		applies bool
		text    string
	}{
		{t.note != "", t.note},
		{t.Stale, "stale"},
		{t.marked, "published marked"},
		{t.Source == tag.Adopted, "adopted"},
		{t.Time.After(now), "in the future"},
		{!s.Config.Cadence().Aligned(t.Time), "unaligned: no ring gets it"},
		{t.Kept != "", "kept: " + t.Kept},
		{strings.HasPrefix(t.StateFrom, "etchautotag-"), "as " + t.StateFrom},
	} {
		if n.applies {
			notes = append(notes, n.text)
		}
	}
	return strings.Join(notes, "; ")
}

func (a *app) list(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	site, hosts, err := a.reading(c)
	if err != nil {
		return err
	}
	records, err := site.tagRecords(hosts.Moment)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return a.printJSON(struct {
			Tags    []tagRecord `json:"tags"`
			Foreign []string    `json:"foreign"`
		}{records, append([]string{}, hosts.Index.Foreign...)})
	}
	if len(records) == 0 {
		a.log.Info("there are no tags yet; etchtag snapshot makes one")
	}
	if err := site.printTags(a.stdout, records, hosts.Now()); err != nil {
		return err
	}
	for _, name := range hosts.Index.Foreign {
		a.log.Info(fmt.Sprintf("%q in %s is no tag of ours and is never touched", name, site.Base.Tags()))
	}
	return nil
}

// reading opens what the commands need that only read.
func (a *app) reading(c *cli.Context) (*site, *tagging.Hosts, error) {
	clock, err := a.clock(c, "at")
	if err != nil {
		return nil, nil, err
	}
	s, err := a.site(c)
	if err != nil {
		return nil, nil, err
	}
	hosts, err := s.Hosts(clock())
	return s, hosts, err
}

func (s *site) printTags(to io.Writer, records []tagRecord, now time.Time) error {
	if len(records) == 0 {
		return nil
	}
	w := bufio.NewWriter(to)
	table := term.Columns{W: w}
	rows := make([]term.Row, 0, 1+len(records))
	rows = append(rows, term.Row{Cells: []string{"TAG", "AGE", "STATE", "REVISION", "FILES", "SIZE", "RINGS", "NOTE"}, Colour: s.app.onTerminal(term.Dim)})
	for _, r := range records {
		files, size := "-", "-"
		if r.Manifest {
			files, size = tag.FormatCount(int64(r.Files)), tag.FormatBytes(uint64(r.Bytes))
		}
		line := term.Row{Cells: []string{r.Name, term.Age(now.Sub(r.Time)), orDash(r.State), orDash(term.ShortID(r.Revision)), files, size,
			orDash(strings.Join(r.Rings, ",")), r.notes(s, now)}}
		if r.State == "bad" || r.State == "badfwd" {
			line.Colour = s.app.onTerminal(term.Red)
		}
		rows = append(rows, line)
	}
	for _, r := range rows {
		if err := table.Add(r); err != nil {
			return err
		}
	}
	if err := table.End(); err != nil {
		return err
	}
	return w.Flush()
}

func (a *app) show(c *cli.Context) error {
	if err := needArgs(c, 1, 1); err != nil {
		return err
	}
	site, hosts, err := a.reading(c)
	if err != nil {
		return err
	}
	name, err := tagArgument(c.Args().First())
	if err != nil {
		return err
	}
	records, err := site.tagRecords(hosts.Moment)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(records, func(t tagRecord) bool { return t.Name == name })
	if at < 0 {
		return fmt.Errorf("there is no tag %s in %s; etchtag list shows those that there are", name, site.Base.Tags())
	}
	if c.Bool("json") {
		return a.printJSON(records[at])
	}
	return site.printTag(a.stdout, records[at], hosts.Now())
}

func (s *site) printTag(w io.Writer, r tagRecord, now time.Time) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	row("tag", r.Name)
	row("directory", s.Base.Dir(r.Name))
	row("age", term.Age(now.Sub(r.Time)))
	state := orDash(r.State)
	if r.StateFrom != "" {
		state += " (" + r.StateFrom + ")"
	}
	row("state", state)
	row("rings", orNone(strings.Join(r.Rings, ", ")))
	if r.Manifest {
		row("revision", cmp.Or(r.Revision, "not known")+" ("+r.Source+")")
		row("tree", r.Tree)
		row("published", r.Published.UTC().Format("2006-01-02 15:04:05 UTC"))
		row("contents", term.Count(r.Files, "file")+", "+tag.FormatBytes(uint64(r.Bytes)))
	}
	row("note", r.notes(s, now))
	return t.Flush()
}

// tagArgument reads a tag's name from the command line, where it may stand as a path.
func tagArgument(arg string) (string, error) {
	name := strings.TrimSuffix(arg, "/")
	name = name[strings.LastIndexByte(name, '/')+1:]
	if _, err := tag.ParseName(name); err != nil {
		return "", decide.Usage(err)
	}
	return name, nil
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
