package schedule

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Job is something to be done again and again.
type Job struct {
	Name string // as it stands in results
	Spec string // when to do it, in the terms of ParseSpec; "" is never
	Run  func(ctx context.Context) error
}

// Reason says why a job ran.
type Reason string

const (
	Due     Reason = "due"        // its cron expression said so
	Start   Reason = "start"      // the present tag was missing when the scheduler started
	Step    Reason = "clock step" // it was missing after the clock was set, or the machine had slept
	Changed Reason = "reload"     // it was missing when the jobs were replaced
	Retry   Reason = "retry"      // it was missing because the last snapshot failed
)

// Result is what came of one run of a job.
type Result struct {
	Job      string
	Reason   Reason
	Start    time.Time     // UTC
	Duration time.Duration // by a clock that nobody sets
	Err      error         // a *PanicError if the job panicked
}

// PanicError is a panic, recorded as the failure of the job in which it happened.
type PanicError struct {
	Value any    // what the job panicked with
	Stack []byte // where, in the form of debug.Stack
}

// Error gives the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// Unwrap gives the value, if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// errExited is the result of a job that ended its goroutine.
var errExited = errors.New("the job called runtime.Goexit")

// ParseSpec reports whether spec is an expression that jobs can have: the five fields of cron
// (minute, hour, day of month, month, day of week), or @hourly, @daily, @weekly, @monthly, @yearly
// or "@every DURATION" of a minute or more. Times are UTC, because a local time skips or repeats an
// hour when daylight saving begins or ends, so that a time zone in the expression is refused. So is
// a date that never comes, such as 30 February.
func ParseSpec(spec string) error {
	_, err := parse(spec)
	return err
}

func parse(spec string) (cron.Schedule, error) {
	text := strings.TrimSpace(spec)
	if strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ=") {
		return nil, fmt.Errorf("cron expression %q: it cannot set a time zone, all times are UTC", spec)
	}
	times, err := cron.ParseStandard(text)
	if err != nil {
		return nil, fmt.Errorf("cron expression %q: %w", spec, err)
	}
	if every, ok := times.(cron.ConstantDelaySchedule); ok && every.Delay < time.Minute {
		return nil, fmt.Errorf("cron expression %q: less than a minute", spec)
	}
	// A leap year comes within the five years for which cron looks from here.
	if times.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return nil, fmt.Errorf("cron expression %q: that time never comes", spec)
	}
	return times, nil
}

// call runs a job, or asks a question, in which a panic is but a failure.
func call(run func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return run()
}
