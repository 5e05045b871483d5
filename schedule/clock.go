package schedule

import "time"

// stepSize is by how much the wall clock must disagree with the time that has passed to have been
// set, rather than slewed or read late.
const stepSize = 10 * time.Second

// clock is the wall clock, watched for steps.
type clock struct {
	wall func() time.Time

	// The wall clock when it was read last, and the monotonic clock at the same moment.
	lastWall, lastMonotonic time.Time
}

func newClock(wall func() time.Time) *clock {
	c := &clock{wall: wall}
	c.read()
	return c
}

// now reads the wall clock, in UTC. Round strips the monotonic reading, so that differences are
// those of the wall clock.
func (c *clock) now() time.Time { return c.wall().UTC().Round(0) }

// read is now, and tells by how much the clock was set after the last call of read, forward or
// back. To the monotonic clock, which stands still meanwhile, a suspend is a step forward.
func (c *clock) read() (now time.Time, step time.Duration) {
	now, monotonic := c.now(), time.Now()
	step = now.Sub(c.lastWall) - monotonic.Sub(c.lastMonotonic)
	c.lastWall, c.lastMonotonic = now, monotonic
	if step.Abs() < stepSize {
		step = 0
	}
	return now, step
}
