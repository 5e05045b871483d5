package tag

import (
	"testing"
	"time"
)

func TestDurationsAreWrittenWithoutZeros(t *testing.T) {
	for text, d := range map[string]time.Duration{"0h": 0, "72h": 72 * time.Hour, "1h30m": 90 * time.Minute,
		"10m": 10 * time.Minute, "1h0m5s": time.Hour + 5*time.Second, "1m30s": 90 * time.Second, "300ms": 300 * time.Millisecond} {
		if got := FormatDuration(d); got != text {
			t.Errorf("%v: got %q, want %q", d, got, text)
		}
		if back, err := time.ParseDuration(FormatDuration(d)); err != nil || back != d {
			t.Errorf("%q reads as %v, %v", text, back, err)
		}
	}
}
