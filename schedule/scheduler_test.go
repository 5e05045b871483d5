package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/etch/etchtag/schedule"
)

// server is a machine with a clock that can be set, on which a scheduler makes tags. It begins, as
// every test in a bubble, on 2000-01-01 at 00:00 UTC.
type server struct {
	t     *testing.T
	set   atomic.Int64 // by how much its clock differs from the time that has passed
	zone  *time.Location
	abort chan struct{}

	mu      sync.Mutex
	log     []string // what began and what ended, each with its time
	running int
	tags    map[time.Time]bool

	takes    map[string]time.Duration // how long each job takes
	behave   func(ctx context.Context, job string) error
	updates  string // cron expressions
	snapshot string

	scheduler *schedule.Scheduler
	stop      context.CancelFunc
	stopped   chan error
}

func newServer(t *testing.T) *server {
	return &server{
		t: t, zone: time.UTC, abort: make(chan struct{}), tags: make(map[time.Time]bool),
		takes: make(map[string]time.Duration), snapshot: "0 * * * *",
	}
}

func (s *server) now() time.Time { return time.Now().Add(time.Duration(s.set.Load())).In(s.zone) }

func (s *server) hour() time.Time { return s.now().UTC().Round(0).Truncate(time.Hour) }

func (s *server) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stamp := strings.TrimSuffix(s.now().UTC().Format("15:04:05"), ":00")
	s.log = append(s.log, stamp+" "+fmt.Sprintf(format, args...))
}

// forget forgets what was noted until now.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
}

func (s *server) job(name, spec string) schedule.Job {
	return schedule.Job{Name: name, Spec: spec, Run: func(ctx context.Context) error {
		s.mu.Lock()
		if s.running++; s.running > 1 {
			s.t.Error("two jobs run at a time")
		}
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			s.running--
			s.mu.Unlock()
		}()
		s.note("%s", name)
		if s.behave != nil {
			if err := s.behave(ctx, name); err != nil {
				return err
			}
		}
		time.Sleep(s.takes[name])
		if strings.HasPrefix(name, "snapshot") {
			s.mu.Lock()
			s.tags[s.hour()] = true
			s.mu.Unlock()
		}
		return nil
	}}
}

func (s *server) plan() schedule.Plan {
	return schedule.Plan{
		Update:   s.job("update", s.updates),
		Snapshot: s.job("snapshot", s.snapshot),
		Missing: func(now time.Time) bool {
			if now.Location() != time.UTC || !now.Equal(s.now()) {
				s.t.Errorf("Missing was asked of %v, it is %v", now, s.now())
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			return !s.tags[s.hour()]
		},
	}
}

// report notes results that say more than that a job was due and is done.
func (s *server) report(r schedule.Result) {
	if r.Start.Location() != time.UTC {
		s.t.Errorf("%s started at %v", r.Job, r.Start)
	}
	what := "done"
	var panicked *schedule.PanicError
	switch {
	case errors.As(r.Err, &panicked):
		what = fmt.Sprintf("panicked: %v", panicked.Value)
	case r.Err != nil:
		what = r.Err.Error()
	}
	if r.Duration > 0 || r.Err != nil || r.Reason != schedule.Due {
		s.note("%s %s (%s, from %s, %v)", r.Job, what, r.Reason, r.Start.Format("15:04"), r.Duration)
	}
}

// start starts the scheduler. The tag of the present hour is there.
func (s *server) start() {
	s.t.Helper()
	s.tags[s.hour()] = true
	s.startWithoutTag()
}

func (s *server) startWithoutTag() {
	s.t.Helper()
	var err error
	s.scheduler, err = schedule.New(s.plan(), schedule.Options{
		Clock:   s.now,
		Report:  s.report,
		Stepped: func(by time.Duration) { s.note("clock set by %v", by) },
		Abort:   s.abort,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.t.Context())
	s.stop, s.stopped = stop, make(chan error, 1)
	go func() { s.stopped <- s.scheduler.Run(ctx) }()
}

// pass lets time pass and all that happens in it happen.
func (s *server) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// step sets the clock.
func (s *server) step(by time.Duration) { s.set.Add(int64(by)) }

// want stops the scheduler and compares what it did.
func (s *server) want(log ...string) {
	s.t.Helper()
	s.stop()
	if err := <-s.stopped; err != nil {
		s.t.Errorf("Run: %v", err)
	}
	if diff := cmp.Diff(log, s.log); diff != "" {
		s.t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHourlySnapshotsAreExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(5*time.Hour + time.Nanosecond)
		s.want("01:00 snapshot", "02:00 snapshot", "03:00 snapshot", "04:00 snapshot", "05:00 snapshot")
	})
}

func TestTimesAreUTCWhateverTheZoneOfTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.zone = time.FixedZone("half past", -9*3600-1800)
		s.snapshot = "0 3 * * *"
		s.start()
		s.pass(24 * time.Hour)
		s.want("03:00 snapshot")
	})
}

func TestASnapshotTakesThePlaceOfAnUpdateThatIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/20 * * * *"
		s.start()
		s.pass(2 * time.Hour)
		s.want("00:20 update", "00:40 update", "01:00 snapshot", "01:20 update", "01:40 update", "02:00 snapshot")
	})
}

func TestASnapshotTakesThePlaceOfAnUpdateThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/20 * * * *"
		s.takes["update"] = 50 * time.Minute
		s.start()
		s.pass(75 * time.Minute)
		s.want("00:20 update", "01:10 update done (due, from 00:20, 50m0s)", "01:10 snapshot")
	})
}

func TestAJobThatIsDueAgainWhileItWaitsIsQueuedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/5 * * * *"
		s.snapshot = ""
		s.takes["update"] = 18 * time.Minute
		s.start()
		s.pass(24 * time.Minute)
		s.want("00:05 update", "00:23 update done (due, from 00:05, 18m0s)", "00:23 update",
			"00:41 update done (due, from 00:23, 18m0s)")
	})
}

func TestASnapshotLongerThanAnHourIsNotOverlappedAndTheHourItMissedIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/5 * * * *"
		long := true
		s.behave = func(_ context.Context, job string) error {
			if job == "snapshot" && long {
				long = false
				time.Sleep(2*time.Hour + 30*time.Minute + time.Second)
			}
			return nil
		}
		s.start()
		s.pass(59 * time.Minute)
		s.forget()
		s.pass(2*time.Hour + 33*time.Minute)
		s.want("01:00 snapshot", "03:30:01 snapshot done (due, from 01:00, 2h30m1s)", "03:30:01 snapshot")
	})
}

func TestAPanicIsAFailureAndTheNextRunHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.behave = func(context.Context, string) error {
			if s.hour().Hour() == 1 {
				panic("oh")
			}
			return nil
		}
		s.start()
		s.pass(2 * time.Hour)
		s.want("01:00 snapshot", "01:00 snapshot panicked: oh (due, from 01:00, 0s)", "02:00 snapshot")
	})
}

func TestAPanicIsRecordedWithItsStackAndItsCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var got error
		s, err := schedule.New(
			schedule.Plan{Snapshot: schedule.Job{Name: "snapshot", Spec: "0 * * * *", Run: panics}},
			schedule.Options{Report: func(r schedule.Result) { got = r.Err; stop() }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(got, os.ErrClosed) || !strings.Contains(got.Error(), "schedule_test.panics") {
			t.Errorf("got %v", got)
		}
	})
}

func panics(context.Context) error { panic(fmt.Errorf("about: %w", os.ErrClosed)) }

func TestAJobThatEndsItsGoroutineIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.behave = func(context.Context, string) error {
			if s.hour().Hour() == 1 {
				runtime.Goexit()
			}
			return nil
		}
		s.start()
		s.pass(2 * time.Hour)
		s.want("01:00 snapshot", "01:00 snapshot the job called runtime.Goexit (due, from 01:00, 0s)",
			"02:00 snapshot")
	})
}

func TestAPanicOfMissingIsAFailureToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		plan := s.plan()
		plan.Missing = func(time.Time) bool { panic("no index") }
		s.start()
		s.pass(time.Minute)
		if err := s.scheduler.Reload(plan); err != nil {
			t.Fatal(err)
		}
		s.pass(time.Hour)
		s.want("00:01 snapshot panicked: no index (reload, from 00:01, 0s)", "01:00 snapshot")
	})
}

func TestAMissingTagIsMadeAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.step(7*time.Hour + 12*time.Minute)
		s.startWithoutTag()
		s.pass(time.Hour)
		s.want("07:12 snapshot", "07:12 snapshot done (start, from 07:12, 0s)", "08:00 snapshot")
	})
}

func TestNoTagIsMadeAtTheStartIfThereAreNoSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates, s.snapshot = "30 * * * *", ""
		s.startWithoutTag()
		s.pass(time.Hour)
		s.want("00:30 update")
	})
}

func TestWhileATagIsMissingBecauseASnapshotFailedUpdatesBecomeSnapshots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/20 * * * *"
		s.behave = func(_ context.Context, job string) error {
			if job == "snapshot" && s.now().Minute() < 40 {
				return errors.New("disk full")
			}
			return nil
		}
		s.start()
		s.pass(45 * time.Minute)
		s.forget()
		s.pass(75 * time.Minute)
		s.want(
			"01:00 snapshot", "01:00 snapshot disk full (due, from 01:00, 0s)",
			"01:20 snapshot", "01:20 snapshot disk full (retry, from 01:20, 0s)",
			"01:40 snapshot", "01:40 snapshot done (retry, from 01:40, 0s)",
			"02:00 snapshot", "02:00 snapshot disk full (due, from 02:00, 0s)")
	})
}

func TestASnapshotThatFailedButMadeItsTagIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/20 * * * *"
		s.behave = func(_ context.Context, job string) error {
			if job == "update" {
				return nil
			}
			s.tags[s.hour()] = true
			return errors.New("stale")
		}
		s.start()
		s.pass(85 * time.Minute)
		s.want("00:20 update", "00:40 update", "01:00 snapshot", "01:00 snapshot stale (due, from 01:00, 0s)",
			"01:20 update")
	})
}

func TestUpdatesStayUpdatesUnlessASnapshotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.snapshot, s.updates = "30 * * * *", "*/20 * * * *" // the tag of 01:00 is missing for half an hour
		s.behave = func(_ context.Context, job string) error {
			if job == "update" {
				return errors.New("offline")
			}
			return nil
		}
		s.start()
		s.pass(50 * time.Minute)
		s.forget()
		s.pass(40 * time.Minute)
		s.want("01:00 update", "01:00 update offline (due, from 01:00, 0s)",
			"01:20 update", "01:20 update offline (due, from 01:20, 0s)", "01:30 snapshot")
	})
}

func TestASnapshotIsTriedAgainOnlyUntilItsTagIsThere(t *testing.T) {
	for name, when := range map[string]struct {
		fails int // times
		made  bool
		want  []string
	}{
		"it succeeds": {1, false, []string{
			"01:20 snapshot", "01:20 snapshot done (retry, from 01:20, 0s)", "02:20 update", "03:20 update",
		}},
		"somebody made it": {9, true, []string{"01:20 update", "02:20 update", "03:20 update"}},
		"it fails once again": {2, false, []string{
			"01:20 snapshot", "01:20 snapshot disk full (retry, from 01:20, 0s)",
			"02:20 snapshot", "02:20 snapshot done (retry, from 02:20, 0s)", "03:20 update",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				s.snapshot, s.updates = "0 1 * * *", "20 * * * *"
				s.behave = func(_ context.Context, job string) error {
					if when.fails--; job == "snapshot" && when.fails >= 0 {
						return errors.New("disk full")
					}
					return nil
				}
				s.step(30 * time.Minute)
				s.start()
				s.pass(40 * time.Minute)
				if when.made {
					s.tags[s.hour()] = true
				}
				s.forget()
				s.pass(2*time.Hour + 20*time.Minute)
				s.want(when.want...)
			})
		})
	}
}

func TestAClockSetForwardMakesThePresentTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(90*time.Minute + time.Second)
		s.step(3 * time.Hour)
		s.pass(2 * time.Hour)
		s.want("01:00 snapshot", "04:31 clock set by 3h0m0s", "04:31 snapshot", "05:00 snapshot", "06:00 snapshot")
	})
}

func TestAClockSetForwardWithinTheHoursOfASparseScheduleMakesThePresentTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.snapshot = "0 0 * * *"
		s.start()
		s.pass(90*time.Minute + time.Second)
		s.step(3 * time.Hour)
		s.pass(2 * time.Hour)
		s.want("04:31 clock set by 3h0m0s", "04:31 snapshot", "04:31 snapshot done (clock step, from 04:31, 0s)")
	})
}

func TestAClockSetBackIsFollowedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/30 * * * *"
		s.step(12 * time.Hour)
		s.start()
		s.pass(30*time.Minute + time.Second)
		s.step(-2 * time.Hour) // to an hour whose tag was never made
		s.pass(90 * time.Minute)
		s.want("12:30 update", "10:31 clock set by -2h0m0s", "10:31 snapshot",
			"10:31 snapshot done (clock step, from 10:31, 0s)", "11:00 snapshot", "11:30 update", "12:00 snapshot")
	})
}

func TestAClockSetBackToAnHourThatHasItsTagMakesNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(2*time.Hour + 30*time.Minute + time.Second)
		s.step(-2 * time.Hour)
		s.pass(time.Hour)
		s.want("01:00 snapshot", "02:00 snapshot", "00:31 clock set by -2h0m0s", "01:00 snapshot")
	})
}

func TestAClockAYearAheadAndBackAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(29*time.Minute + time.Second)
		s.step(365 * 24 * time.Hour)
		s.pass(time.Minute)
		s.step(-365 * 24 * time.Hour)
		s.pass(time.Hour)
		s.want("00:30 clock set by 8760h0m0s", "00:30 snapshot", "00:31 clock set by -8760h0m0s", "01:00 snapshot")
	})
}

func TestAStepAcrossTheFullHourMissesNothing(t *testing.T) {
	for _, by := range []time.Duration{2 * time.Second, 20 * time.Second, -2 * time.Second, -20 * time.Second} {
		t.Run(by.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(t)
				s.start()
				s.pass(time.Hour - time.Second)
				s.step(by)
				s.pass(2 * time.Minute)
				s.stop()
				<-s.stopped
				if !s.tags[s.hour()] {
					t.Errorf("no tag at %v: %q", s.now(), s.log)
				}
			})
		})
	}
}

func TestASmallStepBackFiresOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(time.Hour)
		s.step(-5 * time.Second)
		s.pass(time.Hour)
		s.want("01:00 snapshot")
	})
}

func TestAStepDuringAJobIsActedOnAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "10 * * * *"
		s.snapshot = "0 0 * * *"
		s.takes["update"] = 10 * time.Minute
		s.start()
		s.pass(15*time.Minute + time.Second)
		s.step(3 * time.Hour)
		s.pass(20 * time.Minute)
		s.want("00:10 update", "03:16 clock set by 3h0m0s", "03:20 update done (due, from 00:10, 10m0s)",
			"03:20 snapshot", "03:20 snapshot done (clock step, from 03:20, 0s)")
	})
}

func TestTheEndLetsTheJobInHandFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/5 * * * *"
		s.takes["snapshot"] = 30 * time.Minute
		s.behave = func(ctx context.Context, job string) error {
			if job == "snapshot" {
				go func() {
					time.Sleep(20 * time.Minute)
					if ctx.Err() != nil {
						t.Error("the job was cancelled")
					}
				}()
			}
			return nil
		}
		s.start()
		s.pass(59 * time.Minute)
		s.forget()
		s.pass(11 * time.Minute) // an update waits by now
		s.want("01:00 snapshot", "01:30 snapshot done (due, from 01:00, 30m0s)")
	})
}

func TestTheEndBetweenJobsIsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(30 * time.Minute)
		s.want([]string(nil)...)
		if now := s.now().Format("15:04"); now != "00:30" {
			t.Errorf("it took until %s", now)
		}
	})
}

func TestAfterTheEndNothingStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		plan := s.plan()
		plan.Missing = func(time.Time) bool { t.Error("it asked for work"); return true }
		scheduler, err := schedule.New(plan, schedule.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := scheduler.Run(ctx); err != nil || s.log != nil {
			t.Errorf("%v, %q", err, s.log)
		}
	})
}

func TestAbortCutsShortTheJobThatIsFinishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.behave = func(ctx context.Context, job string) error {
			<-ctx.Done()
			return ctx.Err()
		}
		s.start()
		s.pass(time.Hour + time.Minute)
		s.stop()
		s.pass(time.Minute)
		close(s.abort)
		s.want("01:00 snapshot", "01:02 snapshot context canceled (due, from 01:00, 2m0s)")
	})
}

func TestReloadReplacesTheJobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(70 * time.Minute)
		plan := s.plan()
		plan.Snapshot, plan.Update = s.job("snapshot 2", "0,30 * * * *"), s.job("update 2", "45 * * * *")
		if err := s.scheduler.Reload(plan); err != nil {
			t.Fatal(err)
		}
		s.pass(time.Hour)
		s.want("01:00 snapshot", "01:30 snapshot 2", "01:45 update 2", "02:00 snapshot 2")
	})
}

func TestReloadOfAnInvalidPlanKeepsTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(70 * time.Minute)
		plan := s.plan()
		plan.Snapshot, plan.Update = s.job("snapshot 2", "0,30 * * * *"), s.job("update 2", "often")
		want := `schedule update 2: cron expression "often": expected exactly 5 fields, found 1: [often]`
		if err := s.scheduler.Reload(plan); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		s.pass(time.Hour)
		s.want("01:00 snapshot", "02:00 snapshot")
	})
}

func TestReloadNeitherLosesNorOverlapsTheJobInHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/5 * * * *"
		s.takes["snapshot"] = 10 * time.Minute
		s.start()
		s.pass(59 * time.Minute)
		s.forget()
		s.pass(7 * time.Minute) // a snapshot runs, an update waits
		plan := s.plan()
		plan.Update = s.job("update 2", "0 0 * * *")
		if err := s.scheduler.Reload(plan); err != nil {
			t.Fatal(err)
		}
		s.pass(10 * time.Minute)
		s.want("01:00 snapshot", "01:10 snapshot done (due, from 01:00, 10m0s)", "01:10 update 2")
	})
}

func TestReloadAtTheVeryMomentLosesNoJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.start()
		s.pass(time.Hour - time.Second)
		s.step(2 * time.Second) // the scheduler still sleeps
		plan := s.plan()
		plan.Missing = nil
		if err := s.scheduler.Reload(plan); err != nil {
			t.Fatal(err)
		}
		s.pass(time.Minute)
		s.want("01:00:01 snapshot")
	})
}

func TestReloadDropsAJobThatWaitsAndIsOffNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.updates = "*/5 * * * *"
		s.takes["snapshot"] = 10 * time.Minute
		s.start()
		s.pass(59 * time.Minute)
		s.forget()
		s.pass(7 * time.Minute)
		s.updates = ""
		if err := s.scheduler.Reload(s.plan()); err != nil {
			t.Fatal(err)
		}
		s.pass(time.Hour)
		s.want("01:00 snapshot", "01:10 snapshot done (due, from 01:00, 10m0s)",
			"02:00 snapshot", "02:10 snapshot done (due, from 02:00, 10m0s)")
	})
}

func TestReloadMakesAMissingTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.snapshot = "" // off
		s.startWithoutTag()
		s.pass(10 * time.Minute)
		s.snapshot = "@hourly"
		for range 3 {
			if err := s.scheduler.Reload(s.plan()); err != nil {
				t.Fatal(err)
			}
		}
		s.pass(time.Hour)
		s.want("00:10 snapshot", "00:10 snapshot done (reload, from 00:10, 0s)", "01:00 snapshot")
	})
}

func TestReloadBeforeRunIsThePlanToBeginWith(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		asked := 0
		scheduler, err := schedule.New(s.plan(), schedule.Options{})
		if err != nil {
			t.Fatal(err)
		}
		plan := s.plan()
		plan.Missing = func(time.Time) bool { asked++; return false }
		if err := scheduler.Reload(plan); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := scheduler.Run(ctx); err != nil || asked != 1 {
			t.Errorf("asked %d times, %v", asked, err)
		}
	})
}

func TestNewRefusesAnInvalidExpression(t *testing.T) {
	plan := schedule.Plan{Snapshot: schedule.Job{Name: "snapshot", Spec: "0 0 30 2 *"}}
	s, err := schedule.New(plan, schedule.Options{})
	want := `schedule snapshot: cron expression "0 0 30 2 *": that time never comes`
	if s != nil || err == nil || err.Error() != want {
		t.Errorf("got %v, %v", s, err)
	}
}

func TestADateThatIsYearsAwayDoesNotFireNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		s.step(time.Until(time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC))) // 2100 is no leap year
		s.updates = "0 0 29 2 *"
		s.start()
		s.pass(time.Hour)
		s.want("01:00 snapshot")
	})
}
