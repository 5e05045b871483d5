package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

// runLockWait is how long the daemon's jobs wait for a run that somebody started by hand.
const runLockWait = 10 * time.Minute

func (a *app) runCommand() *cli.Command {
	return &cli.Command{
		Name:  "run",
		Usage: "update and snapshot at the times of the configuration's schedule, in UTC",
		Description: "SIGTERM lets the job in hand finish, a second one cuts it short. SIGHUP reads the configuration\n" +
			"again; one that is not valid changes nothing.\n\n" +
			"Example:\n   etchtag run",
		Action: a.runDaemon,
	}
}

// service is the daemon: a scheduler, and the site that its jobs work for.
type service struct {
	*app
	context *cli.Context
	site    atomic.Pointer[site]
}

func (a *app) runDaemon(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	debug.SetTraceback("crash") // or a crash would end with the exit status of wrong usage, after which nobody starts us again
	s := &service{app: a, context: c}
	first, err := a.site(c)
	if err != nil {
		return err
	}
	s.site.Store(first)
	if a.drop != nil {
		if err := a.drop(); err != nil {
			a.log.Warn(fmt.Sprintf("the daemon keeps privileges that it does not need: %v", err))
		}
	}
	abort := make(chan struct{})
	scheduler, err := schedule.New(s.plan(), schedule.Options{Clock: a.now, Report: s.report, Abort: abort,
		Stepped: func(by time.Duration) {
			a.log.Warn(fmt.Sprintf("the clock was set by %s, or the machine has slept", by.Round(time.Second)))
		}})
	if err != nil {
		return decide.Usage(err)
	}
	stopping := make(chan struct{})
	go s.watchSignals(c.Context, scheduler, abort, stopping)
	a.log.Info(fmt.Sprintf("serving %s: update %q, snapshot %q, in UTC", first.Base.Path,
		first.Config.Schedule.Update, first.Config.Schedule.Snapshot))
	s.notify(daemon.SdNotifyReady)
	err = scheduler.Run(c.Context)
	<-stopping
	a.log.Info("stopped")
	return err
}

// plan is what the present configuration wants to be done.
func (s *service) plan() schedule.Plan {
	spec := s.site.Load().Config.Schedule
	return schedule.Plan{
		Update:   schedule.Job{Name: "update", Spec: spec.Update, Run: s.update},
		Snapshot: schedule.Job{Name: "snapshot", Spec: spec.Snapshot, Run: s.snapshot},
		Missing:  s.missing,
	}
}

func (s *service) update(ctx context.Context) error {
	outcome, err := s.site.Load().updateWorkingCopy(ctx, s.utc, nil, runLockWait)
	if err == nil && outcome.Changed > 0 {
		s.log.Info(fmt.Sprintf("updated to %s: %s changed", term.ShortID(outcome.Revision.ID), term.Count(outcome.Changed, "file")))
	}
	return err
}

func (s *service) snapshot(ctx context.Context) error {
	start := time.Now()
	r, err := s.site.Load().take(ctx, s.utc, nil, snapshot.TakeOptions{LockWait: runLockWait})
	if err != nil {
		return err
	}
	s.log.Info(describeSnapshot(r, time.Since(start)))
	return incomplete(problems(r)...)
}

// missing reports whether the tag of the hour of now is still to be made.
func (s *service) missing(now time.Time) bool {
	site := s.site.Load()
	name := tag.Name(site.Config.Cadence().Floor(now))
	_, err := os.Lstat(site.Base.Dir(name))
	return errors.Is(err, fs.ErrNotExist)
}

func (s *service) utc() time.Time { return s.now().UTC() }

func (s *service) report(r schedule.Result) {
	var partly incompleteError
	switch {
	case errors.As(r.Err, &partly):
		s.log.Warn(fmt.Sprintf("%s is done, but: %v", r.Job, r.Err))
		return
	case r.Err != nil:
		s.log.Error(fmt.Sprintf("%s failed: %v", r.Job, r.Err))
		return
	}
	s.log.Debug(fmt.Sprintf("%s done (%s) in %s", r.Job, r.Reason, r.Duration.Round(time.Millisecond)))
}

// watchSignals reloads on SIGHUP, and aborts the job in hand on the second SIGTERM or SIGINT: the first ends ctx.
func (s *service) watchSignals(ctx context.Context, scheduler *schedule.Scheduler, abort, stopping chan struct{}) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			s.reload(scheduler)
		case <-ctx.Done():
			s.notify(daemon.SdNotifyStopping)
			s.log.Info("stopping when the job in hand is done")
			close(stopping)
			again := make(chan os.Signal, 1)
			signal.Notify(again, syscall.SIGTERM, syscall.SIGINT)
			<-again
			close(abort)
			return
		}
	}
}

// reload reads the configuration again. What the old one says holds until the new one is found valid.
func (s *service) reload(scheduler *schedule.Scheduler) {
	s.notify(daemon.SdNotifyReloading)
	defer s.notify(daemon.SdNotifyReady)
	old := s.site.Load()
	fresh, err := s.app.site(s.context)
	if err == nil {
		s.site.Store(fresh)
		if err = scheduler.Reload(s.plan()); err != nil {
			s.site.Store(old)
		}
	}
	if err != nil {
		s.log.Error(fmt.Sprintf("the configuration is not reloaded, the old one holds: %v", err))
		return
	}
	s.log.Info("the configuration is reloaded")
}

// notify tells systemd, if it listens.
func (s *service) notify(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Debug(fmt.Sprintf("notify systemd: %v", err))
	}
}
