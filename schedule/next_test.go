package schedule

import (
	"testing"
	"time"
)

func TestNextGivesTheNextTimeInUTC(t *testing.T) {
	at := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	for _, test := range []struct {
		spec string
		want time.Time
	}{
		{"0 * * * *", at.Add(30 * time.Minute)},
		{"30 9 * * *", at.AddDate(0, 0, 1)},
		{"@every 1h", at.Add(time.Hour)},
		{"", time.Time{}},
	} {
		next, err := Next(test.spec)
		if err != nil {
			t.Fatal(err)
		}
		if got := next(at.In(time.FixedZone("odd", 90*60))); !got.Equal(test.want) || got.Location() != time.UTC {
			t.Errorf("%q: got %s, want %s", test.spec, got, test.want)
		}
	}
	if _, err := Next("every day"); err == nil {
		t.Error("anything goes")
	}
}
