package main

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

// adopt records tags that have no manifest. A manifest shows which tags have the same content, and a mark of one is handed
// on to the others: what changes by that is said before, and nobody marks anything in between.
func (s *site) adopt(c *cli.Context, o snapshot.VerifyOptions, show *term.Progress) (v verification, err error) {
	adoption, err := snapshot.Record(c.Context, s.Env(s.app.now, show), s, o)
	if err != nil {
		return v, err
	}
	marks := s.Editor(filepath.Join(s.Base.Path, "tagstate"))
	err = marks.Hold(c.Context, func() error {
		show.End()
		effect, err := s.effectOfAdopting(adoption.Headers())
		if err != nil {
			v.leftOver = append(v.leftOver, fmt.Errorf("what changes for the rings is not known: %w", err))
		}
		s.describeAdoption(c, adoption.Headers(), effect)
		if losers := effect.Losers(); len(losers) > 0 && !c.Bool("force") {
			return refusal(describeLosers(losers))
		}
		if c.Bool("dry-run") {
			return nil
		}
		return adoption.Publish()
	})
	adoption.Close()
	v.reports, v.leftOver = adoption.Reports, append(v.leftOver, adoption.LeftOver...)
	if c.Bool("dry-run") { // what is left is what cannot be adopted
		v.reports = slices.DeleteFunc(v.reports, func(r snapshot.TagReport) bool { return r.Failure == nil })
	}
	return v, err
}

// effectOfAdopting says what changes if tags have these manifests.
func (s *site) effectOfAdopting(headers []*tag.Header) (tagging.Effect, error) {
	states, err := s.States()
	if err != nil {
		return tagging.Effect{}, err
	}
	index, err := tag.ReadIndex(s.Base)
	if err != nil {
		return tagging.Effect{}, err
	}
	adopted := map[string]*tag.Header{}
	for _, h := range headers {
		adopted[h.Name] = h
	}
	tags := make([]*tag.Tag, len(index.Tags))
	for i, t := range index.Tags {
		tags[i] = t
		if h := adopted[t.Name]; h != nil {
			tags[i], err = tag.New(t.Name, t.Link, func() (*tag.Header, bool, error) { return h, true, nil })
			if err != nil {
				return tagging.Effect{}, err
			}
		}
	}
	now := s.app.now().UTC()
	return tagging.Compare(s.Resolver(states, index).At(now), s.Resolver(states, tag.NewIndex(tags...)).At(now)), nil
}

// describeAdoption says what an adoption changes, if it changes anything or somebody asks. A program that reads the answer
// is not told.
func (s *site) describeAdoption(c *cli.Context, headers []*tag.Header, e tagging.Effect) {
	text := ""
	if c.Bool("dry-run") && len(headers) > 0 {
		var names []string
		for _, h := range headers {
			names = append(names, h.Name)
		}
		slices.Sort(names)
		text = describeTags("to be adopted", names, 0, s.Config.Cadence())
	}
	if len(e.States) > 0 {
		text += s.app.describeEffect(e, s.Config.Cadence())
	}
	if !c.Bool("quiet") && !c.Bool("json") {
		fmt.Fprint(s.app.stdout, text)
	}
}
