package snapshot

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// Keep is how much history stays whatever else happens.
type Keep struct {
	Within time.Duration // tags younger than this, by their names
	Last   int           // tags that have no more than this many newer ones
}

// PruneTag is a tag as the plan sees it.
type PruneTag struct {
	Name   string
	Time   time.Time
	Link   bool     // a symbolic link: it is never removed
	Needed []string // who needs it, and links to it
}

// PruneInput is all that the decision depends on.
type PruneInput struct {
	Now     time.Time
	Keep    Keep
	Tags    []PruneTag // oldest first
	Created string     // the tag that this run made, if any
	Unknown []string   // what is not known of who needs tags: while it is not empty, nothing is removed
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
	newer := 0 // tags that are newer than the present one, without those in the future
	for _, t := range slices.Backward(in.Tags) {
		reasons := t.reasonsToKeep(in, newer)
		if t.Time.After(in.Now) {
			plan.Keep = append(plan.Keep, Verdict{t.Name, reasons})
			continue
		}
		if len(reasons) > 0 {
			plan.Keep = append(plan.Keep, Verdict{t.Name, reasons})
		} else {
			plan.Remove = append(plan.Remove, Verdict{t.Name, []string{fmt.Sprintf(
				"older than %s, with %d newer tags", tag.FormatDuration(in.Keep.Within), newer)}})
		}
		newer++
	}
	return plan.block(in.against())
}

// against says why nothing may be removed: what protects tags is not known, or the tags are so old that the clock or a
// long absence is the likelier reason for their age.
func (in PruneInput) against() []string {
	against := slices.Clone(in.Unknown)
	if newest, ok := newestBefore(in); ok && in.Now.Sub(newest.Time) > in.Keep.Within {
		against = append(against, fmt.Sprintf(
			"the newest tag before this run, %s, is older than %s: the clock jumped, or nothing ran for long",
			newest.Name, tag.FormatDuration(in.Keep.Within)))
	}
	return against
}

// block takes back every removal if there are reasons to.
func (p Plan) block(reasons []string) Plan {
	if len(p.Remove) == 0 || len(reasons) == 0 {
		return p
	}
	blocked := Plan{Keep: slices.Clone(p.Keep), Blocked: reasons}
	for _, v := range p.Remove {
		blocked.Keep = append(blocked.Keep, Verdict{v.Name, reasons})
	}
	slices.SortFunc(blocked.Keep, func(a, b Verdict) int { return strings.Compare(b.Name, a.Name) })
	return blocked
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
func (t PruneTag) reasonsToKeep(in PruneInput, newer int) []string {
	var why []string
	add := func(applies bool, format string, args ...any) {
		if applies {
			why = append(why, fmt.Sprintf(format, args...))
		}
	}
	future := t.Time.After(in.Now)
	add(future, "in the future")
	add(t.Link, "a symbolic link")
	add(!future && newer == 0, "the newest")
	add(!future && !t.Time.Before(in.Now.Add(-in.Keep.Within)), "within %s", tag.FormatDuration(in.Keep.Within))
	add(!future && newer <= in.Keep.Last, "no more than %d newer tags", in.Keep.Last)
	return append(why, t.Needed...)
}
