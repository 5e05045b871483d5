package tag

import (
	"math"
	"testing"
)

func TestBytesAreWrittenWithTwoDigitsAtLeast(t *testing.T) {
	for text, n := range map[string]uint64{"0 B": 0, "7 B": 7, "1023 B": 1023, "1.0 KiB": 1024, "1.3 KiB": 1280,
		"9.9 KiB": 10137, "10 KiB": 10220, "100 KiB": 102399, "1024 KiB": 1<<20 - 1, "1.0 MiB": 1 << 20, "73 MiB": 76 << 20 * 96 / 100,
		"5.0 GiB": 5 << 30, "2.0 TiB": 2 << 40, "1.0 PiB": 1 << 50, "16 EiB": math.MaxUint64} {
		if got := FormatBytes(n); got != text {
			t.Errorf("%d: got %q, want %q", n, got, text)
		}
	}
}

func TestCountsAreWrittenWithCommas(t *testing.T) {
	for text, n := range map[string]int64{"0": 0, "999": 999, "1,000": 1000, "10,850": 10850, "100,000": 100_000,
		"1,234,567": 1_234_567, "-5": -5, "-100": -100, "-1,000": -1000, "9,223,372,036,854,775,807": math.MaxInt64,
		"-9,223,372,036,854,775,808": math.MinInt64} {
		if got := FormatCount(n); got != text {
			t.Errorf("%d: got %q, want %q", n, got, text)
		}
	}
}
