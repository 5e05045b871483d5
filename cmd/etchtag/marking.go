package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/etch/etchtag/tagstate/lines"
	"github.com/urfave/cli/v2"
)

// marking is one edit of this server's own marks, which says what it does before it does it.
type marking struct {
	site   *site
	now    time.Time
	state  tagstate.State
	names  []string // sorted
	reason string
	force  bool
	quiet  bool
	file   string // that is edited

	wrongConfig error // what is wrong with the configuration, of which the site has what could be salvaged

	// What change found.
	refused error // why the edit is not made
	unknown error // why it is not known what it does
	still   error // what goes on being marked otherwise
}

func (a *app) newMarking(c *cli.Context) (*marking, error) {
	state, err := markState(c.Args().First())
	if err != nil {
		return nil, err
	}
	clock, err := a.clock(c, "rehearse")
	if err != nil {
		return nil, err
	}
	m := &marking{state: state, reason: c.String("reason"), force: c.Bool("force"), quiet: c.Bool("quiet")}
	if m.site, m.wrongConfig, err = a.siteToMark(c); err != nil {
		return nil, err
	}
	if m.names, err = m.markedNames(c); err != nil {
		return nil, err
	}
	m.now = clock()
	m.file, err = m.site.OwnTagstate()
	return m, err
}

// siteToMark is site, with what can be salvaged if the configuration is wrong: an emergency does not wait for it to be
// mended.
func (a *app) siteToMark(c *cli.Context) (s *site, wrong, err error) {
	s, err = a.site(c)
	if err == nil {
		return s, nil, nil
	}
	base, baseErr := decide.CheckBase(cmp.Or(c.String("base"), decide.FindBase(a.getenv, a.link)))
	if baseErr != nil {
		return nil, nil, err
	}
	path := configPath(base, c.String("config"))
	if _, statErr := os.Lstat(path); statErr != nil {
		return nil, nil, err // the command line names no file
	}
	if usage, ok := errors.AsType[decide.UsageError](err); ok {
		err = usage.Err // the command line is right
	}
	return a.newSite(base, path, config.Salvage(path)), err, nil
}

// valid returns an error for the name of a tag that cannot be marked. If it is not known for sure how often tags are
// made, any can.
func (m *marking) valid(name string) error {
	if m.wrongConfig != nil {
		_, err := tag.ParseName(name)
		return err
	}
	return m.site.Config.Cadence().Valid(name)
}

// unaligned lists the tags between two times whose names the site's cadence, which may be wrong, does not have.
func (m *marking) unaligned(ends [2]time.Time) (names []string) {
	if m.wrongConfig == nil {
		return nil
	}
	index, err := tag.ReadIndex(m.site.Base)
	if err != nil {
		return nil
	}
	for _, t := range index.Tags {
		if !t.Time.Before(ends[0]) && !t.Time.After(ends[1]) {
			names = append(names, t.Name)
		}
	}
	return names
}

// rehearse says what the edit does, and does not make it.
func (m *marking) rehearse() error {
	old, err := lines.Read(m.file)
	if err == nil {
		_, err = m.change(old)
	}
	return err
}

// change is the edit. It says what follows from it, and refuses what it should.
func (m *marking) change(old []byte) ([]byte, error) {
	changes := make([]tagstate.Change, len(m.names))
	for i, name := range m.names {
		changes[i] = tagstate.Change{Tag: name, State: m.state, Comment: m.reason}
	}
	data, err := tagstate.Apply(old, changes, m.valid)
	if err != nil {
		return nil, err
	}
	what := map[tagstate.State]string{tagstate.None: "cleared"}[m.state]
	text := describeTags(cmp.Or(what, string(m.state)), m.names, len(m.site.missing(m.names)), m.site.Config.Cadence())
	var losers []tagging.RingEffect
	before, after, err := m.moments(old, data)
	if m.unknown = err; err == nil {
		effect := tagging.Compare(before, after)
		effect.States = slices.DeleteFunc(effect.States, func(s tagging.StateEffect) bool {
			_, named := slices.BinarySearch(m.names, s.Tag)
			return named
		})
		text += m.site.app.describeEffect(effect, m.site.Config.Cadence())
		losers = effect.Losers()
		m.still = stillMarked(after.Resolver, m.names, m.state)
	}
	if !m.quiet {
		fmt.Fprint(m.site.app.stdout, text)
	}
	if m.refused = m.refuse(losers); m.refused != nil {
		return nil, m.refused
	}
	return data, nil
}

// moments decide by the marks as they are, and as they are with other contents of the file that is edited.
func (m *marking) moments(old, fresh []byte) (before, after *tagging.Moment, err error) {
	if m.wrongConfig != nil {
		return nil, nil, m.wrongConfig
	}
	index, err := tag.ReadIndex(m.site.Base)
	if err != nil {
		return nil, nil, err
	}
	var both [2]*tagging.Moment
	for i, data := range [][]byte{old, fresh} {
		states, err := m.site.StatesWith(m.file, data)
		if err != nil {
			return nil, nil, err
		}
		both[i] = m.site.Resolver(states, index).At(m.now)
	}
	return both[0], both[1], nil
}

// refuse says why the edit is not to be made, unless it is forced. To clear is the way back from a mark on hours to come.
func (m *marking) refuse(losers []tagging.RingEffect) error {
	if m.force {
		return nil
	}
	var why []string
	if len(losers) > 0 {
		why = append(why, describeLosers(losers))
	}
	cadence := m.site.Config.Cadence()
	if far := tagging.BeyondNext(m.names, cadence, m.now); len(far) > 0 && m.state != tagstate.None {
		why = append(why, fmt.Sprintf("it names %s of hours to come beyond the next one: %s", term.Count(len(far), "tag"),
			term.Some(stretches(far, cadence))))
	}
	if len(why) == 0 {
		return nil
	}
	return refusal(strings.Join(why, ", and "))
}

// problems are what keeps a mark that is made from being all well. Hosts that are pinned are looked for only then: an
// inventory may take its time to fail.
func (m *marking) problems(ctx context.Context) []error {
	problems := []error{m.still}
	if m.unknown != nil {
		problems = append(problems, fmt.Errorf("what this does is not known: %w", m.unknown))
	}
	if m.wrongConfig == nil {
		problems = append(problems, m.warnOfPins(ctx))
	}
	return problems
}

// warnOfPins tells of hosts that a mark does not move because they are pinned to the tag.
func (m *marking) warnOfPins(ctx context.Context) error {
	if m.state != tagstate.Bad && m.state != tagstate.BadFwd {
		return nil
	}
	hosts, err := m.site.Hosts(m.now)
	var pinned map[string][]string
	if err == nil {
		pinned, err = hosts.PinnedTags(ctx)
	}
	if err != nil {
		return fmt.Errorf("which hosts are pinned to these tags is not known: %w", err)
	}
	var staying []string
	for _, name := range m.names {
		for _, host := range pinned[name] {
			staying = append(staying, fmt.Sprintf("%s with %s", term.Printable(host), name))
		}
	}
	if len(staying) > 0 {
		m.site.app.log.Warn(fmt.Sprintf("the mark does not move %s pinned: %s",
			map[bool]string{true: "1 host that is", false: term.Count(len(staying), "host") + " that are"}[len(staying) == 1], term.Some(staying)))
	}
	return nil
}

// stillMarked reports tags that another file, or a tag with the same content, goes on marking otherwise.
func stillMarked(r *tagging.Resolver, names []string, want tagstate.State) error {
	var by groups
	for _, c := range r.Contraries(names, want) {
		if c.Own.State == tagstate.None {
			by.add(fmt.Sprintf("%s, with the same content as %s", c.State, c.From), c.Tag)
		} else {
			by.add(fmt.Sprintf("marked %s by %s", c.Own.Word, c.Own.File), c.Tag)
		}
	}
	var others []error
	for _, g := range by {
		if len(g.names) > 1 {
			others = append(others, fmt.Errorf("%s go on being %s: %s", term.Count(len(g.names), "tag"), g.what,
				term.Some(stretches(g.names, r.Cadence))))
			continue
		}
		line := ""
		if e := r.States.Get(g.names[0]); e.State != tagstate.None {
			line = fmt.Sprintf(":%d", e.Line)
		}
		others = append(others, fmt.Errorf("%s goes on being %s%s", g.names[0], g.what, line))
	}
	return errors.Join(others...)
}
