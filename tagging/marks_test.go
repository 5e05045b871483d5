package tagging_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/google/go-cmp/cmp"
)

func TestMarksToCome(t *testing.T) {
	t.Parallel()
	r := hourly("", "0800 bad, 0900 good, 1100 BAD, 1000 badfwd").resolver(t)
	for now, want := range map[string]string{"08:59": "0900 1000 1100", "09:00": "1000 1100", "10:59": "1100", "11:00": ""} {
		var got []string
		for _, e := range tagging.MarksToCome(r.States, at(now)) {
			got = append(got, strings.TrimPrefix(e.Tag, "etchautotag-20261122-"))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("at %s: %q, want %q", now, got, want)
		}
	}
}

func TestBeyondNext(t *testing.T) {
	t.Parallel()
	twoHours, err := tag.NewCadence(2 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{name("08:00"), name("10:00"), name("11:00"), name("12:00")}
	for _, c := range []struct {
		cadence tag.Cadence
		now     string
		want    []string
	}{
		{tag.Cadence{}, "09:59", names[2:]},
		{tag.Cadence{}, "10:00", names[3:]},
		{twoHours, "09:59", names[2:]},
		{twoHours, "10:00", nil},
	} {
		got := tagging.BeyondNext(names, c.cadence, at(c.now))
		if strings.Join(got, " ") != strings.Join(c.want, " ") {
			t.Errorf("every %s at %s: %q, want %q", c.cadence.Every(), c.now, got, c.want)
		}
	}
}

func TestContraries(t *testing.T) {
	t.Parallel()
	r := hourly("0800=a 0900=a 1000=b", "0800 bad", "1000 oops, 1100 badfwd").resolver(t)
	names := []string{name("08:00"), name("09:00"), name("10:00"), name("11:00"), name("12:00")}
	own := func(clock string) tagging.Contrary {
		e := r.States.Get(name(clock))
		return tagging.Contrary{Tag: name(clock), State: e.State, Own: e}
	}
	heir := tagging.Contrary{Tag: name("09:00"), State: tagstate.Bad, From: name("08:00")}
	for want, others := range map[tagstate.State][]tagging.Contrary{
		tagstate.None: {own("08:00"), heir, own("10:00"), own("11:00")},
		tagstate.Good: {own("08:00"), own("10:00"), own("11:00")},
		tagstate.Bad:  {own("10:00"), own("11:00")},
	} {
		if diff := cmp.Diff(others, r.Contraries(names, want)); diff != "" {
			t.Errorf("to be %q (-want +got):\n%s", want, diff)
		}
	}
}
