package snapshot

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheRecordKeepsTheLastSuccessThroughFailures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	update := func() LastUpdate {
		t.Helper()
		_, _ = f.Update(t.Context())
		u, err := ReadLastUpdate(f.Base)
		if err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(time.Hour)
		return u
	}
	start := f.now
	f.source.updateErr = errors.New("upstream is down")
	if diff := cmp.Diff(LastUpdate{Time: start, Failure: "update the working copy: upstream is down"}, update()); diff != "" {
		t.Errorf("a first failure: wanted (-), got (+):\n%s", diff)
	}
	f.source.updateErr = nil
	success := start.Add(time.Hour)
	if diff := cmp.Diff(LastUpdate{Time: success, Success: success, Revision: "r1"}, update()); diff != "" {
		t.Errorf("a success: wanted (-), got (+):\n%s", diff)
	}
	f.source.updateErr = errors.New("upstream is down again")
	for i := 2; i < 5; i++ {
		want := LastUpdate{Time: start.Add(time.Duration(i) * time.Hour), Success: success, Revision: "r1",
			Failure: "update the working copy: upstream is down again"}
		if diff := cmp.Diff(want, update()); diff != "" {
			t.Errorf("failure %d: wanted (-), got (+):\n%s", i, diff)
		}
	}
}

func TestARecordThatCannotBeReadIsAnErrorThatNamesIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if u, err := ReadLastUpdate(f.Base); err != nil || !u.Time.IsZero() {
		t.Errorf("without a record: %+v, %v", u, err)
	}
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, data := range []string{"", "{", `{"time": "yesterday"}`, "[]"} {
		if err := os.WriteFile(lastUpdatePath(f.Base), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadLastUpdate(f.Base); err == nil || !strings.Contains(err.Error(), "last-update") {
			t.Errorf("%q: %v", data, err)
		}
	}
	// The next update goes on all the same.
	if _, err := f.Update(t.Context()); err != nil {
		t.Error(err)
	}
	if u, err := ReadLastUpdate(f.Base); err != nil || !u.Success.Equal(f.now) {
		t.Errorf("afterwards: %+v, %v", u, err)
	}
}
