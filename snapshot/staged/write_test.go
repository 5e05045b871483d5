package staged

import (
	"testing"
	"time"
)

func TestTheTimeOfACommitDoesNotWrapRound(t *testing.T) {
	t.Parallel()
	for _, seconds := range []int64{0, -1, 1_766_000_000, 9_999_999_999, 1_500_000_000_000} { // the last: milliseconds, by mistake
		at := time.Unix(seconds, 7)
		s := stager{modTime: at}
		for _, got := range s.times() {
			if !time.Unix(got.Unix()).Equal(at) {
				t.Errorf("%v becomes %v", at, time.Unix(got.Unix()))
			}
		}
	}
}
