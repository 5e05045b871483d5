package snapshot

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDebrisIsWhatSweepRemoves(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if left, err := FindDebris(f.Base); len(left) > 0 || err != nil {
		t.Errorf("without a base: %v, %v", left, err)
	}
	r := f.take(TakeOptions{})
	if left, err := FindDebris(f.Base); len(left) > 0 || err != nil {
		t.Errorf("after a run: %v, %v", left, err)
	}
	work := f.Base.Work()
	for _, name := range []string{"stage/x", "trash/etchautotag-20261101-0000", "manifests/etchautotag-20261101-0000",
		"tables/etchautotag-20261101-0000", ".last-update123"} {
		if err := os.WriteFile(filepath.Join(work, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	left, err := FindDebris(f.Base)
	if len(left) != 5 || err != nil {
		t.Errorf("got %v, %v", left, err)
	}
	for _, d := range left {
		if age := time.Since(d.Since); age < -time.Minute || age > time.Hour {
			t.Errorf("%s is %s old", d.Path, age)
		}
	}
	if failed := f.sweep(); len(failed) > 0 {
		t.Error(failed)
	}
	if left, err := FindDebris(f.Base); len(left) > 0 || err != nil {
		t.Errorf("after sweeping: %v, %v", left, err)
	}
	f.verify(r.Name, "r1")
}
