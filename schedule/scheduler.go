// Package schedule runs the two jobs of a server that tags by itself, the update of its working
// copy and the hourly snapshot, at the times that cron expressions give, in UTC.
//
// Its guarantees: one job runs at a time, and a job that is due while it waits already is queued
// once. A snapshot updates first, so that one that is due replaces an update that waits. A panic is
// the failure of one run and nothing else. The tag of the present hour is made at once if it is
// missing when the scheduler starts and when the clock was set or the machine had slept. While it is
// missing because a snapshot failed, each update that is due becomes another try.
//
// Expressions and their times are those of robfig/cron. Its runner is not used, because after a clock
// is set back it is silent until the old time comes again, and it reads no clock but its own.
package schedule

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
)

// lookout is how often the clock is looked at, at least: the time in which a step is noticed.
const lookout = time.Minute

// Plan is what a scheduler is to do.
type Plan struct {
	Update, Snapshot Job

	// Missing reports whether at the time now there is no tag although there should be one, so that
	// a snapshot is wanted whatever the hour. nil is never.
	Missing func(now time.Time) bool
}

// Options are what a scheduler needs to know of its surroundings. All may be left out.
type Options struct {
	// Clock is the wall clock; nil is time.Now.
	Clock func() time.Time
	// Report is told each result, one after the other. Nothing is started until it returns.
	Report func(Result)
	// Stepped is told that the wall clock was set, or the machine had slept, and by how much.
	Stepped func(by time.Duration)
	// Abort, when closed, cancels the context of the job that is finishing after the end of Run's.
	Abort <-chan struct{}
}

// Scheduler runs the jobs of a plan.
type Scheduler struct {
	options Options
	changed chan struct{} // there is a plan that Run has not seen

	mu   sync.Mutex
	plan plan
}

// New returns a scheduler of plan, or an error that names the job whose expression is not valid.
func New(p Plan, options Options) (*Scheduler, error) {
	compiled, err := compile(p)
	if err != nil {
		return nil, err
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if options.Report == nil {
		options.Report = func(Result) {}
	}
	if options.Stepped == nil {
		options.Stepped = func(time.Duration) {}
	}
	return &Scheduler{options: options, changed: make(chan struct{}, 1), plan: compiled}, nil
}

// Reload replaces the plan, also while Run is at work. A job in hand is finished as it was begun, and
// nothing overlaps it; one that waits is run as the new plan has it. If the new plan is not valid the
// old one goes on. As at the start, the present tag is made if it is missing.
func (s *Scheduler) Reload(p Plan) error {
	compiled, err := compile(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.plan = compiled
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // Run has not seen the last one yet, and will see this instead
	}
	return nil
}

func (s *Scheduler) current() plan {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.plan
}

// kind is one of the two jobs.
type kind int

const (
	nothing kind = iota
	update
	snapshot // does what an update does, and more
)

// plan is a Plan, its expressions parsed.
type plan struct {
	jobs    map[kind]Job
	times   map[kind]cron.Schedule // without those that are never due
	missing func(now time.Time) bool
}

func compile(p Plan) (plan, error) {
	c := plan{
		jobs:    map[kind]Job{update: p.Update, snapshot: p.Snapshot},
		times:   make(map[kind]cron.Schedule),
		missing: p.Missing,
	}
	for kind, job := range c.jobs {
		if job.Spec == "" {
			continue
		}
		times, err := parse(job.Spec)
		if err != nil {
			return plan{}, fmt.Errorf("schedule %s: %w", job.Name, err)
		}
		c.times[kind] = times
	}
	return c, nil
}

// Run runs the jobs until ctx is done, and then returns nil. The job in hand is finished first: its
// own context ends only with Options.Abort. Run is called once.
func (s *Scheduler) Run(ctx context.Context) error {
	jobs, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	r := newRunner(jobs, s)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		r.tick()
		r.startNext()
		timer.Reset(r.pause())
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-s.changed:
			r.reload()
		case result := <-r.done:
			r.finish(result)
		}
	}
	if r.running != nothing {
		select {
		case result := <-r.done:
			r.finish(result)
		case <-s.options.Abort:
			abort()
			r.finish(<-r.done)
		}
	}
	return nil
}
