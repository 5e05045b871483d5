package term

import (
	"bytes"
	"testing"
	"time"
)

func TestProgressIsOneLineThatGoesAway(t *testing.T) {
	var screen bytes.Buffer
	now := time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)
	p := NewProgress(&screen, func() time.Time { return now })
	for _, step := range []struct {
		after       time.Duration
		phase       string
		done, total int64
		want        string
	}{
		{0, "fetch", 0, -1, "\rfetching 0 B\r"},
		{progressThrottle / 2, "fetch", 3 << 19, -1, ""}, // too soon
		{progressThrottle, "fetch", 3 << 20, -1, "\rfetching 3.0 MiB\r"},
		{0, "stage", 1, 10850, "\rstaging 1 of 10,850 (0%)\r"},
		{progressThrottle, "stage", 10850, 10850, "\rstaging 10,850 of 10,850 (100%)\r"},
		{0, "verify", 0, 0, "\rverifying 0                    \r"}, // covers the longer one
	} {
		screen.Reset()
		now = now.Add(step.after)
		p.Report(step.phase, step.done, step.total)
		if got := screen.String(); got != step.want {
			t.Errorf("%s, %d of %d: %q, not %q", step.phase, step.done, step.total, got, step.want)
		}
	}
	screen.Reset()
	p.End()
	p.End()
	if got := screen.String(); got != "\r           \r" {
		t.Errorf("the end: %q", got)
	}
	var nobody *Progress
	nobody.Report("fetch", 1, 2)
	nobody.End()
}
