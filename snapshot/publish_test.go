package snapshot

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/go-cmp/cmp"
)

func writeSomeTable(w io.Writer, _ string) (string, error) {
	_, err := io.WriteString(w, "table\n")
	return "", err
}

func TestATagCountsAsPublishedWhenItsTreeIsDurable(t *testing.T) {
	t.Parallel()
	hour := TakeOptions{Hour: time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC), Revision: "r1"}
	for name, o := range map[string]TakeOptions{"present hour": {}, "missed hour": hour} {
		t.Run(name, func(t *testing.T) {
			eachKindOfSource(t, func(t *testing.T, f *fixture) {
				f.table = writeSomeTable
				var durable time.Time
				f.Step = oneByOne(func(label string) error {
					f.now = f.now.Add(10 * time.Second) // a slow disk: each operation takes long
					if label == "sync tables" {
						durable = f.now // what may take long is done
					}
					return nil
				})
				r := f.take(o)
				header, err := tag.ReadHeader(f.Base.Manifest(r.Name))
				if err != nil || !header.Published.Equal(durable) {
					t.Errorf("got %v, %v, want the time when all of the tag was durable, %v", header.Published, err, durable)
				}
			})
		})
	}
}

func TestATagThatIsMarkedWhenItIsPublishedSaysSo(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		how    string
		err    error
		marked bool
		warned []string
	}{
		"not marked": {},
		"marked": {"marked bad by tagstate:1", nil, true, []string{"etchautotag-20261122-0900 is published although it is marked bad by " +
			"tagstate:1: no ring gets it"}},
		"not known": {"", errors.New("tagstate is a directory"), false, []string{"whether etchautotag-20261122-0900 is marked is not known, " +
			"so it is published as a tag that is not: tagstate is a directory"}},
	} {
		f := newFixture(t)
		durable := false
		f.Step = oneByOne(func(label string) error {
			durable = durable || label == "sync stage"
			return nil
		})
		f.marked = func(name string) (string, error) {
			if name != "etchautotag-20261122-0900" || !durable {
				t.Errorf("%s: asked about %s before it is published", what, name)
			}
			return c.how, c.err
		}
		r := f.take(TakeOptions{})
		header, err := tag.ReadHeader(f.Base.Manifest(r.Name))
		if err != nil || header.Marked != c.marked {
			t.Errorf("%s: got %+v, %v", what, header, err)
		}
		if diff := cmp.Diff(c.warned, f.warned); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", what, diff)
		}
	}
}

func TestWhatSomebodyElsePublishesMeanwhileGetsNoRecordsOfOurs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.table = writeSomeTable
	name := tag.Name(f.Cadence.Floor(f.now))
	f.Step = func(label string) error {
		if label != "publish tag" {
			return nil
		}
		return errors.Join(os.MkdirAll(f.Base.Dir(name), 0o755),
			os.WriteFile(filepath.Join(f.Base.Dir(name), "theirs"), nil, 0o644))
	}
	if r, err := f.Take(t.Context(), TakeOptions{}); !errors.Is(err, os.ErrExist) || r.Created {
		t.Errorf("got %+v, %v, want an error", r, err)
	}
	if entries, err := os.ReadDir(f.Base.Dir(name)); err != nil || len(entries) != 1 {
		t.Errorf("their tag has %v, %v", entries, err)
	}
	for _, path := range []string{f.Base.Manifest(name), f.Base.Table(name)} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s tells of their tag (%v)", path, err)
		}
	}
}
