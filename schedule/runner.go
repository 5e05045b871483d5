package schedule

import (
	"context"
	"time"
)

// runner is the state of one Run. Only the goroutine of Run touches it.
type runner struct {
	*Scheduler
	ctx   context.Context // of the jobs
	clock *clock
	plan  plan
	next  map[kind]time.Time // when each job is due, by the wall clock; zero is not for years

	running kind
	done    chan Result
	waiting kind   // the queue: one place, because a snapshot makes an update needless
	why     Reason // of waiting
	check   Reason // if not "", ask whether a tag is missing before anything is started
	failed  bool   // the last snapshot did, and its tag may be missing
}

func newRunner(ctx context.Context, s *Scheduler) *runner {
	select {
	case <-s.changed: // it is the plan to begin with
	default:
	}
	r := &runner{
		Scheduler: s,
		ctx:       ctx,
		clock:     newClock(s.options.Clock),
		plan:      s.current(),
		done:      make(chan Result, 1),
		check:     Start,
	}
	r.arm(r.clock.now())
	return r
}

// arm finds out when each job is due next, after now.
func (r *runner) arm(now time.Time) {
	r.next = make(map[kind]time.Time)
	for kind, times := range r.plan.times {
		r.next[kind] = times.Next(now)
	}
}

// tick reads the clock and queues what has become due. After a step what was due in between is due
// now, once, and all further times are counted from the new present.
func (r *runner) tick() {
	now, step := r.clock.read()
	for kind, next := range r.next {
		if next.After(now) || next.IsZero() {
			continue
		}
		r.queue(kind, Due)
		if kind == update && r.failed {
			r.check = Retry
		}
		r.next[kind] = r.plan.times[kind].Next(now)
	}
	if step != 0 {
		r.arm(now)
		r.check = Step
		r.options.Stepped(step)
	}
}

// queue puts a job in the queue, if there is not one already that does as much.
func (r *runner) queue(k kind, why Reason) {
	if k > r.waiting {
		r.waiting, r.why = k, why
	}
}

// startNext starts the job that waits, unless one is running.
func (r *runner) startNext() {
	if r.running != nothing {
		return
	}
	if r.check != "" {
		if r.missing() {
			r.queue(snapshot, r.check)
		} else {
			r.failed = false // whatever failed, there is nothing to try again
		}
		r.check = ""
	}
	if r.waiting == nothing {
		return
	}
	job, why := r.plan.jobs[r.waiting], r.why
	r.running, r.waiting = r.waiting, nothing
	result := Result{Job: job.Name, Reason: why, Start: r.clock.now(), Err: errExited}
	began := time.Now()
	go func() {
		defer func() { // also if the job ends its goroutine
			result.Duration = time.Since(began)
			r.done <- result
		}()
		result.Err = call(func() error { return job.Run(r.ctx) })
	}()
}

// missing asks whether the present tag is missing. Without snapshots none is ever wanted.
func (r *runner) missing() (missing bool) {
	if r.plan.times[snapshot] == nil || r.plan.missing == nil {
		return false
	}
	now := r.clock.now()
	err := call(func() error { missing = r.plan.missing(now); return nil })
	if err != nil {
		r.options.Report(Result{Job: r.plan.jobs[snapshot].Name, Reason: r.check, Start: now, Err: err})
	}
	return missing
}

// finish takes note of what came of the job that was running.
func (r *runner) finish(result Result) {
	if r.running == snapshot {
		r.failed = result.Err != nil
	}
	r.running = nothing
	r.options.Report(result)
}

// reload goes over to the new plan.
func (r *runner) reload() {
	r.tick() // what is due by now is due by the old plan
	r.plan = r.current()
	r.arm(r.clock.now())
	if r.plan.times[r.waiting] == nil {
		r.waiting = nothing
	}
	r.check = Changed
}

// pause is how long there is nothing to do but to wait for a job or a signal.
func (r *runner) pause() time.Duration {
	pause, now := lookout, r.clock.now()
	for _, next := range r.next {
		if !next.IsZero() {
			pause = min(pause, next.Sub(now))
		}
	}
	return pause
}
