package staged

import "testing"

func TestTheReserveIsNotCountedAsRoom(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ free, total, need, want uint64 }{
		{1000, 10000, 100, 9}, {199, 10000, 100, 0}, {200, 10000, 100, 1}, {99, 10000, 1, 0}, {500, 1000, 0, 490},
	} {
		if got := fit(test.free, test.total, test.need); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}
