package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging"
)

// Keep is how much history stays whatever else happens.
type Keep struct {
	Within time.Duration // tags younger than this, by their names
	Last   int           // tags that have no more than this many newer ones
}

// lastGoodTrees is how many distinct trees that are not bad always keep a tag.
const lastGoodTrees = 3

// PruneTag is a tag as the plan sees it.
type PruneTag struct {
	Name string
	Time time.Time
	Link bool     // a symbolic link: it is never removed
	Tree string   // empty if the tag has no manifest: then its tree counts as unlike any other
	Good bool     // marked good
	Bad  bool     // marked or inherited bad or badfwd, or something unrecognised was said of it
	Heir string   // a tag that inherits this one's mark, which therefore must not go with the tag
	Used []string // who needs it: rings that would get it, hosts pinned to it, links to it, whoever kept it
}

// PruneInput is all that the decision depends on.
type PruneInput struct {
	Now     time.Time
	Keep    Keep
	Tags    []PruneTag // oldest first
	Created string     // the tag that this run made, if any
	// Unknown says what could not be had of all that protects tags: the answer of a ring, the pins of
	// an inventory. While it is not empty nothing is removed.
	Unknown []string
}

// Verdict is what becomes of one tag, and why.
type Verdict struct {
	Name    string
	Reasons []string
}

// Plan is what pruning would do. Both lists are newest first.
type Plan struct {
	Keep    []Verdict
	Remove  []Verdict
	Blocked []string // why nothing may be removed although something is old enough
}

// PlanPrune decides which tags go. A tag goes only if every reason to keep one lets it go.
func PlanPrune(in PruneInput) Plan {
	var plan Plan
	always := keptByTree(in)
	newer := 0 // tags that are newer than the present one, without those in the future
	for _, t := range slices.Backward(in.Tags) {
		reasons := t.reasonsToKeep(in, newer, always[t.Name])
		if t.Time.After(in.Now) {
			plan.Keep = append(plan.Keep, Verdict{t.Name, reasons})
			continue
		}
		if len(reasons) > 0 {
			plan.Keep = append(plan.Keep, Verdict{t.Name, reasons})
		} else {
			plan.Remove = append(plan.Remove, Verdict{t.Name, []string{fmt.Sprintf(
				"older than %s, with %d newer tags", tagging.FormatDuration(in.Keep.Within), newer)}})
		}
		newer++
	}
	return plan.block(in)
}

// block takes back every removal if what protects tags is not known, or if the tags are so old that
// the clock or a long absence is the likelier reason for their age.
func (p Plan) block(in PruneInput) Plan {
	if len(p.Remove) == 0 {
		return p
	}
	p.Blocked = slices.Clone(in.Unknown)
	if newest, ok := newestBefore(in); ok && in.Now.Sub(newest.Time) > in.Keep.Within {
		p.Blocked = append(p.Blocked, fmt.Sprintf(
			"the newest tag before this run, %s, is older than %s: the clock jumped, or nothing ran for long",
			newest.Name, tagging.FormatDuration(in.Keep.Within)))
	}
	if len(p.Blocked) == 0 {
		return p
	}
	for _, v := range p.Remove {
		p.Keep = append(p.Keep, Verdict{v.Name, p.Blocked})
	}
	slices.SortFunc(p.Keep, func(a, b Verdict) int { return strings.Compare(b.Name, a.Name) })
	p.Remove = nil
	return p
}

// newestBefore is the newest tag that this run did not make and that is not in the future.
func newestBefore(in PruneInput) (PruneTag, bool) {
	for _, t := range slices.Backward(in.Tags) {
		if t.Name != in.Created && !t.Time.After(in.Now) {
			return t, true
		}
	}
	return PruneTag{}, false
}

// reasonsToKeep lists everything that speaks for t; newer is the number of tags newer than it.
func (t PruneTag) reasonsToKeep(in PruneInput, newer int, byTree []string) []string {
	var why []string
	add := func(applies bool, format string, args ...any) {
		if applies {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	add(t.Time.After(in.Now), "in the future")
	add(t.Link, "a symbolic link")
	add(!t.Time.Before(in.Now.Add(-in.Keep.Within)) && !t.Time.After(in.Now), "within %s", tagging.FormatDuration(in.Keep.Within))
	add(newer <= in.Keep.Last && !t.Time.After(in.Now), "no more than %d newer tags", in.Keep.Last)
	add(t.Heir != "", "%s has the same content and inherits its mark", t.Heir)
	return append(append(why, t.Used...), byTree...)
}

// keptByTree gives the reasons that follow from what the tags contain: the newest tag, the newest that is
// marked good, and the newest of each of the last distinct trees that are not bad.
func keptByTree(in PruneInput) map[string][]string {
	reasons := map[string][]string{}
	trees := map[string]bool{}
	newest, good := false, false
	for _, t := range slices.Backward(in.Tags) {
		if t.Time.After(in.Now) {
			continue
		}
		if !newest {
			newest = true
			reasons[t.Name] = append(reasons[t.Name], "the newest")
		}
		if t.Good && !good {
			good = true
			reasons[t.Name] = append(reasons[t.Name], "the newest marked good")
		}
		tree := t.Tree
		if tree == "" {
			tree = t.Name
		}
		if !t.Bad && !trees[tree] && len(trees) < lastGoodTrees {
			trees[tree] = true
			reasons[t.Name] = append(reasons[t.Name],
				fmt.Sprintf("the newest of one of the last %d different trees that are not bad", lastGoodTrees))
		}
	}
	return reasons
}
