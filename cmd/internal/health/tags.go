package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// tagSequence is the tags as a sequence in time, each oldest first.
type tagSequence struct {
	past       []*tag.Tag // aligned, not in the future
	future     []string
	damaged    []error  // manifests that cannot be used
	unverified []string // without a manifest
	late       []string // of those, the ones that came after tags with one
	stale      []*tag.Tag
	marked     []*tag.Tag // already when they were published
}

func (x *Facts) tagSequence(index *tag.Index, now time.Time) tagSequence {
	var q tagSequence
	recorded := false // a tag with a manifest came before
	for _, t := range index.Tags {
		if t.Time.After(now) {
			q.future = append(q.future, t.Name)
			continue
		}
		if x.Config.Cadence().Aligned(t.Time) {
			q.past = append(q.past, t)
		}
		header, ok, err := t.Header()
		switch {
		case err != nil:
			q.damaged = append(q.damaged, err)
		case !ok:
			q.unverified = append(q.unverified, t.Name)
			if recorded {
				q.late = append(q.late, t.Name)
			}
		case header.Stale:
			q.stale = append(q.stale, t)
		}
		if ok && header.Marked {
			q.marked = append(q.marked, t)
		}
		recorded = recorded || ok
	}
	return q
}

// tagFindings looks at the tags as a sequence in time, and at what else stands among them.
func (x *Facts) tagFindings(m *tagging.Moment) []Finding {
	now := m.Now()
	q := x.tagSequence(m.Index, now)
	out := []Finding{x.newestFinding(q.past, now)}
	out = append(out, q.damagedFindings()...)
	out = append(out, q.staleFindings()...)
	out = append(out, q.markedFindings(m.Resolver)...)
	out = append(out, x.gapFindings(q.past, now)...)
	out = append(out, q.unverifiedFindings()...)
	out = append(out, x.keepFindings()...)
	if len(q.future) > 0 {
		out = append(out, Finding{Warning, "future",
			term.Some(q.future) + " in the future: served to nobody before the time, and never pruned",
			"was the clock wrong? once it is right: rm -r " + x.Base.Dir(q.future[0])})
	}
	if len(m.Index.Foreign) > 0 {
		names := make([]string, len(m.Index.Foreign))
		for i, name := range m.Index.Foreign {
			names[i] = fmt.Sprintf("%q", name)
		}
		out = append(out, Finding{Note, "foreign", term.Some(names) + " among the tags: no tag of ours, and never touched",
			"if nobody needs it, remove it by hand"})
	}
	return out
}

// newestFinding compares the newest tag with the schedule: one snapshot may be at work, or wait for another run.
func (x *Facts) newestFinding(past []*tag.Tag, now time.Time) Finding {
	if len(past) == 0 {
		return Finding{Problem, "tags", "there are none", "etchtag snapshot"}
	}
	newest := past[len(past)-1]
	f := Finding{OK, "tags", fmt.Sprintf("%s, the newest is %s, %s old", term.Count(len(past), "tag"), newest.Name,
		term.Age(now.Sub(newest.Time))), ""}
	due := x.due(newest.Time.Add(x.Config.Tags.Every-1), now)
	if len(due) == 0 || len(due) == 1 && now.Sub(due[0]) < x.Config.Tags.Every/2 {
		return f
	}
	f.Level, f.Do = Warning, "etchtag snapshot; "+askWho
	f.Says += fmt.Sprintf(", though %s been due since (schedule.snapshot %q)",
		map[bool]string{true: "one has", false: fmt.Sprintf("%d have", len(due))}[len(due) == 1], x.Config.Schedule.Snapshot)
	if len(due) > 2 {
		f.Level = Problem
	}
	return f
}

// due lists the times after from, up to and including to, at which snapshots of different tags should begin.
func (x *Facts) due(from, to time.Time) []time.Time {
	cadence := x.Config.Cadence()
	next, err := schedule.Next(x.Config.Schedule.Snapshot)
	if err != nil {
		panic(err) // it was checked when the configuration was read
	}
	var due []time.Time
	for t := next(from); !t.IsZero() && !t.After(to); t = next(cadence.Floor(t).Add(cadence.Every() - 1)) {
		due = append(due, t)
	}
	return due
}

// gapFindings looks for tags that are missing between others, as far back as tags are kept in any case. A gap matters
// while a ring is to get that very tag; then it is history.
func (x *Facts) gapFindings(past []*tag.Tag, now time.Time) []Finding {
	if len(past) == 0 {
		return nil
	}
	cadence := x.Config.Cadence()
	first := cadence.Floor(now.Add(-x.Config.Tags.Keep.Within))
	if past[0].Time.After(first) {
		first = past[0].Time
	}
	have := map[string]bool{}
	for _, t := range past {
		have[t.Name] = true
	}
	var missing []string
	for _, t := range x.due(first, past[len(past)-1].Time) {
		if name := tag.Name(cadence.Floor(t)); !have[name] {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Reverse(missing)
	f := Finding{Note, "gaps", fmt.Sprintf("%s missing between others in the last %s: %s", term.Count(len(missing), "tag"),
		tag.FormatDuration(x.Config.Tags.Keep.Within), term.Some(missing)),
		"who counts on one makes it by etchtag snapshot --hour TIME --revision REV"}
	if missing[0] >= tag.Name(cadence.Floor(now.Add(-x.longestDelay()))) {
		f.Level, f.Says = Warning, f.Says+"; rings get older ones instead"
	}
	return []Finding{f}
}

// longestDelay is the age of the oldest tag that a ring gets if nothing is wrong.
func (x *Facts) longestDelay() (d time.Duration) {
	for _, r := range x.Config.Rings {
		d = max(d, r.Delay)
	}
	return d
}

func (q tagSequence) damagedFindings() []Finding {
	const most = 3
	var out []Finding
	for i, err := range q.damaged {
		do := "etchtag verify --repair says what can be done; mark the tag bad if it is not right"
		if i == most {
			return append(out, Finding{Problem, "manifest", fmt.Sprintf("%d more cannot be used", len(q.damaged)-most), do})
		}
		out = append(out, Finding{Problem, "manifest", err.Error(), do})
	}
	return out
}

// staleFindings tells of tags that were made without upstream. Old ones are history.
func (q tagSequence) staleFindings() []Finding {
	if len(q.stale) == 0 {
		return nil
	}
	newest := q.stale[len(q.stale)-1]
	f := Finding{Note, "stale",
		fmt.Sprintf("%s made of an older revision because the update had failed, the last of them %s",
			term.Count(len(q.stale), "tag"), newest.Name), ""}
	if newest == q.past[len(q.past)-1] {
		f.Level, f.Do = Warning, "mend what the update fails of; the next tag is made of upstream's newest revision"
	}
	return []Finding{f}
}

// markedFindings tells of tags that were marked already when they were published, and still are. Old ones are history.
func (q tagSequence) markedFindings(r *tagging.Resolver) []Finding {
	var names []string
	for _, t := range q.marked {
		if state, _ := r.State(t); state == tagstate.Bad || state == tagstate.BadFwd {
			names = append(names, t.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	newest := names[len(names)-1]
	f := Finding{Note, "marked", fmt.Sprintf("%s published although marked before, the last of them %s",
		term.Count(len(names), "tag"), newest), ""}
	if newest == q.past[len(q.past)-1].Name {
		f.Level = Warning
		f.Says = newest + " was marked before it was published, so no ring gets it"
		f.Do = "etchtag mark clear " + newest + " if it is right; if not, the next tag has to be"
	}
	return []Finding{f}
}

// unverifiedFindings tells of tags without a manifest: those from before etchtag go by themselves. One that is newer
// than tags of ours means that another program goes on making tags, or that a manifest was removed.
func (q tagSequence) unverifiedFindings() []Finding {
	const what = "unverified"
	if len(q.late) > 0 {
		return []Finding{{Warning, what, fmt.Sprintf("%s without a manifest among newer ones of ours: %s",
			term.Count(len(q.late), "tag"), term.Some(q.late)),
			"is repo_update still in cron? what is right so is recorded by etchtag verify --adopt"}}
	}
	if len(q.unverified) > 0 {
		return []Finding{{Note, what, term.Count(len(q.unverified), "tag") + " without a manifest, as repo_update made them",
			"they go when they are old; etchtag verify --adopt records them, so that they can be verified until then"}}
	}
	return nil
}

// keepFindings compares the configuration with itself.
func (x *Facts) keepFindings() []Finding {
	keep, delay := x.Config.Tags.Keep, x.longestDelay()
	if keep.Within >= delay || time.Duration(keep.Last)*x.Config.Tags.Every >= delay {
		return nil
	}
	return []Finding{{Warning, "keep", "tags may be pruned before all rings have come to them",
		"set tags.keep.within or tags.keep.last to more than the longest delay, " + tag.FormatDuration(delay)}}
}
