package tagging

import (
	"fmt"
	"slices"
	"time"

	"github.com/etch/etchtag/tagstate"
)

// question is what a ring gets at a moment.
//
// The answer never moves back as time passes and nobody marks anything. How a tag is judged does not change once it is
// published, so what can be the base tag goes on to be that, and a newer one takes its place or none. A base tag that is
// not badfwd is the answer. After one that is, the answer is the tag that was published first; when another of those after
// it has soaked, this one has too, and the base tag is this one or a newer.
type question struct {
	*Moment
	ring Ring
}

// answer fills a decision in.
func (q *question) answer(d *Decision) {
	nominal := q.nominal(q.ring, q.now)
	b := q.base(nominal)
	d.BaseTag, d.BaseWhy = b.name, b.why
	d.restOn(b)
	if b.badfwd {
		d.Direction, d.Steps = Forward, q.forward(b.time, q.now)
		if !accepted(d.Steps) && q.newestIsBad(d, nominal) {
			d.Direction = Back
			q.backAfterAll(d, b)
		}
	} else {
		d.Direction, d.Steps = Back, b.steps
	}
	if !accepted(d.Steps) {
		d.fail(d.noTag())
		return
	}
	d.Path = "tags/" + d.Steps[len(d.Steps)-1].Tag
}

// accepted reports whether the last candidate was taken.
func accepted(steps []Step) bool { return len(steps) > 0 && steps[len(steps)-1].Accepted }

// base is a name that decides where its ring looks for a tag; without a name, there is none.
type base struct {
	name   string
	time   time.Time
	badfwd bool
	why    string // what makes it badfwd
	heir   bool   // it is badfwd by its content, and so for as long as it exists
	steps  []Step // the tags from the newest down to it; if it exists it is the last
}

// base finds the base tag among the names up to a time: the newest that is itself marked badfwd, or that exists, has soaked,
// and is acceptable or inherits badfwd. So what is bad, missing or late never hides the badfwd before it: the ring would
// fall back behind the tags that it was sent past.
func (q *question) base(upTo time.Time) (b base) {
	marked := q.marks().badfwdUpTo(upTo)
	for _, t := range slices.Backward(q.marks().tagsUpTo(upTo)) {
		if marked != nil && marked.time.After(t.Time) {
			break
		}
		j := q.judge(t)
		step := q.try(t, j, Back)
		b.steps = append(b.steps, step)
		if step.Accepted {
			b.name, b.time = t.Name, t.Time
			return b
		}
		if j.own.State == tagstate.BadFwd || j.state == tagstate.BadFwd && unsoaked(t, q.ring.Delay, q.now) == "" {
			b.name, b.time, b.badfwd, b.why = t.Name, t.Time, true, j.explained()
			b.heir = j.own.State == tagstate.None
			return b
		}
	}
	if marked != nil {
		b.name, b.time, b.badfwd, b.why = marked.Tag, marked.time, true, ownJudgement(marked.Entry).explained()
	}
	return b
}

// restOn notes that the decision would be another without a base tag that only its content makes badfwd.
func (d *Decision) restOn(b base) {
	if b.heir {
		d.RestsOn = append(d.RestsOn, b.name)
	}
}

// forward tries the tags after one time and up to another. Of the acceptable ones it takes, as its last step, the one that was
// published first, and of two published at once the older: tags may be made out of order, and a ring must not leave the
// tag that it has for one that was made later. Before the time of its name a tag is of the future, whatever a clock that
// was wrong wrote into its manifest.
func (q *question) forward(after, upTo time.Time) (steps []Step) {
	var first Step
	var since time.Time
	for _, t := range q.marks().tagsBetween(after, upTo) {
		if first.Accepted && !t.Time.Before(since) {
			break // neither this one nor any after it can have been there before
		}
		step := q.try(t, q.judge(t), Forward)
		if !step.Accepted {
			steps = append(steps, step)
			continue
		}
		at, _ := published(t) // it could be read, or the tag would not be acceptable
		switch {
		case !first.Accepted:
			first, since = step, at
		case at.Before(since):
			steps = append(steps, first.overtaken(since, step))
			first, since = step, at
		default:
			steps = append(steps, step.overtaken(at, first))
		}
	}
	if first.Accepted {
		steps = append(steps, first)
	}
	return steps
}

// overtaken is the step of an acceptable tag, published at a time, that is passed over for one that was published before.
func (s Step) overtaken(published time.Time, by Step) Step {
	s.Accepted, s.Why = false, fmt.Sprintf("it was published at %s; %s came first", formatTime(published), by.Tag)
	return s
}

// newestIsBad reports whether the newest name up to the nominal one that exists or has a state is bad, and notes that it is.
// Those who would have had a bad tag are rolled back, also if they cannot go forward from a badfwd before it.
func (q *question) newestIsBad(d *Decision, nominal time.Time) bool {
	var name string
	var state tagstate.State
	if marks := q.marks().upTo(nominal); len(marks) > 0 {
		name, state = marks[len(marks)-1].Tag, marks[len(marks)-1].State
	}
	for _, t := range slices.Backward(q.marks().tagsUpTo(nominal)) {
		if t.Name <= name {
			break
		}
		if at, err := published(t); err != nil || !at.After(q.now) {
			name, state = t.Name, q.judge(t).state
			break
		}
	}
	if state != tagstate.Bad {
		return false
	}
	if q.States.Get(name).State == tagstate.None {
		d.RestsOn = append(d.RestsOn, name)
	}
	d.note(fmt.Sprintf("no acceptable tag is after the base tag, and %s is bad: so back after all", name))
	return true
}

// backAfterAll looks before a base tag that is badfwd, as if there were nothing from it on: the next older base decides, and
// so on. A ring that was sent forward to a tag before the base tag keeps that one, which may not have soaked yet.
func (q *question) backAfterAll(d *Decision, b base) {
	for b.badfwd && !accepted(d.Steps) {
		if n := len(b.steps); n > 0 && b.steps[n-1].Tag == b.name {
			d.Steps = append(d.Steps, b.steps[n-1])
		}
		before := b.time.Add(-1)
		b = q.base(before)
		d.restOn(b)
		if b.badfwd {
			d.Steps = append(d.Steps, q.forward(b.time, before)...)
		} else {
			d.Steps = append(d.Steps, b.steps...)
		}
	}
}

// noTag says why none of the candidates was taken.
func (d *Decision) noTag() error {
	which := "up to the nominal one, " + d.Nominal
	if d.BaseTag != "" {
		which = "after the base tag, " + d.BaseTag + ", which is badfwd"
		if d.Direction == Back {
			which += ", or before it"
		}
	}
	switch n := len(d.Steps); n {
	case 0:
		return fmt.Errorf("%w for ring %s: there is none %s", ErrNoTag, d.Ring, which)
	case 1:
		return fmt.Errorf("%w for ring %s: the only one %s, is %s: %s", ErrNoTag, d.Ring, which,
			d.Steps[0].Tag, d.Steps[0].Why)
	default:
		return fmt.Errorf("%w for ring %s: there are %d %s, and the first to be tried is %s: %s", ErrNoTag, d.Ring,
			n, which, d.Steps[0].Tag, d.Steps[0].Why)
	}
}
