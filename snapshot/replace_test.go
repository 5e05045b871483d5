package snapshot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/staged"
)

func TestOneBoundHoldsForAllThatIsSetAside(t *testing.T) {
	t.Parallel()
	f := newPlainFixture(t, staged.Auto)
	if err := f.Prepare(); err != nil {
		t.Fatal(err)
	}
	for i := range aside.Max {
		name := f.now.Add(time.Duration(i-20) * time.Hour).Format("20060102-150405")
		if i%2 == 0 {
			name += "-etchautotag-20261120-0100"
		}
		if err := os.Mkdir(filepath.Join(f.Base.Discarded(), name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	all, err := aside.List(f.Base.Discarded())
	if err != nil || len(all) != aside.Max {
		t.Fatalf("%v, %v", all, err)
	}
	for range 3 {
		oldest := all[len(all)-1].Name
		f.warned = nil
		f.Source = &plain{m: f.source, dir: f.Base.Trunk(), foreign: "it is another one"}
		if _, err := f.Update(t.Context()); err != nil {
			t.Fatal(err)
		}
		if all, err = aside.List(f.Base.Discarded()); err != nil || len(all) != aside.Max {
			t.Errorf("there are %d, %v", len(all), err)
		}
		told := strings.Join(f.warned, "\n")
		if !strings.Contains(told, oldest+" is gone") || !strings.Contains(told, "look there") {
			t.Errorf("without a word on %s: %q", oldest, told)
		}
	}
	if got := all[0].Name; got != f.now.Format("20060102-150405")+"-working-copy-3" {
		t.Errorf("the newest is %s", got)
	}
}
