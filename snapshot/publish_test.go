package snapshot

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
)

func writeSomeTable(w io.Writer, _ string) (string, error) {
	_, err := io.WriteString(w, "table\n")
	return "", err
}

func TestATagCountsAsPublishedWhenItsTreeIsDurable(t *testing.T) {
	hour := TakeOptions{Hour: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC), Revision: "r1"}
	for name, o := range map[string]TakeOptions{"present hour": {}, "missed hour": hour} {
		t.Run(name, func(t *testing.T) {
			eachKindOfSource(t, func(t *testing.T, f *fixture) {
				f.Table = writeSomeTable
				var durable time.Time
				f.Step = oneByOne(func(label string) error {
					f.now = f.now.Add(10 * time.Second) // a slow disk: each operation takes long
					if label == "sync tables" {
						durable = f.now // what may take long is done
					}
					return nil
				})
				r := f.take(o)
				header, err := tagging.ReadHeader(f.Layout.Manifest(r.Name))
				if err != nil || !header.Published.Equal(durable) {
					t.Errorf("got %v, %v, want the time when all of the tag was durable, %v", header.Published, err, durable)
				}
			})
		})
	}
}

func TestWhatSomebodyElsePublishesMeanwhileGetsNoRecordsOfOurs(t *testing.T) {
	f := newFixture(t)
	f.Table = writeSomeTable
	name := tagging.Name(f.Cadence.Floor(f.now))
	f.Step = func(label string) error {
		if label != "publish tag" {
			return nil
		}
		return errors.Join(os.MkdirAll(f.Layout.Dir(name), 0o755),
			os.WriteFile(filepath.Join(f.Layout.Dir(name), "theirs"), nil, 0o644))
	}
	if r, err := f.Take(t.Context(), TakeOptions{}); !errors.Is(err, os.ErrExist) || r.Created {
		t.Errorf("got %+v, %v, want an error", r, err)
	}
	if entries, err := os.ReadDir(f.Layout.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("their tag has %v, %v", entries, err)
	}
	for _, path := range []string{f.Layout.Manifest(name), f.Layout.Table(name)} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s tells of their tag (%v)", path, err)
		}
	}
}
