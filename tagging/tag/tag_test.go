package tag_test

import (
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"pgregory.net/rapid"
)

func TestNamesAreInUTC(t *testing.T) {
	pacific := time.FixedZone("PST", -8*3600)
	at := time.Date(2026, 11, 22, 17, 59, 59, 999, pacific)
	if got, want := tag.Name(at), "etchautotag-20261123-0159"; got != want {
		t.Errorf("Name(%s) = %s, want %s", at, got, want)
	}
}

func TestParseName(t *testing.T) {
	for _, name := range []string{
		"etchautotag-20261122-0900", "etchautotag-20240229-2359", "etchautotag-00010101-0000", "etchautotag-99991231-2359",
	} {
		at, err := tag.ParseName(name)
		if err != nil || tag.Name(at) != name || at.Location() != time.UTC {
			t.Errorf("ParseName(%q) = %v, %v", name, at, err)
		}
	}
	for _, name := range []string{
		"", "etchautotag-", "etchautotag-20261122", "etchautotag-20261122-09", "etchautotag-20261122-09000",
		"etchautotag-20261322-0900", "etchautotag-20261100-0900", "etchautotag-20260230-0900", "etchautotag-20250229-0900",
		"etchautotag-20261122-2400", "etchautotag-20261122-0960", "etchautotag-20261122-9:00", "etchautotag-2026112 -0900",
		"etchautotag-+2026112-0900", "etchautotag-20261122_0900", "Etchautotag-20261122-0900", " etchautotag-20261122-0900",
		"etchautotag-20261122-0900 ", "etchautotag-20261122-0900\n", "etchautotag-20261122-09.0", "tags/etchautotag-20261122-0900",
		"etchautotag-2026112２-090", strings.Repeat("x", 1<<20),
	} {
		if at, err := tag.ParseName(name); err == nil {
			t.Errorf("ParseName(%q) = %v", name, at)
		} else if len(err.Error()) > 400 {
			t.Errorf("ParseName of %d bytes has an error of %d bytes", len(name), len(err.Error()))
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, seed := range []string{"etchautotag-20261122-0900", "etchautotag-20261122-9:00", "etchautotag-20260230-0900",
		"etchautotag-20240229-2359", "etchautotag-20260431-0000", "etchautotag-00000101-0000", "etchautotag-20261122-0960", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at, err := tag.ParseName(s)
		// Package time takes some digits that are missing for zeros.
		want, wantErr := time.Parse(tag.Prefix+"20060102-1504", s)
		if valid := wantErr == nil && tag.Name(want) == s; valid != (err == nil) || valid && !at.Equal(want) {
			t.Errorf("ParseName(%q) = %v, %v, and package time says %v, %v", s, at, err, want, wantErr)
		}
	})
}

func TestCadencesDivideAnHourOrADay(t *testing.T) {
	accepted := map[time.Duration]bool{}
	for _, minutes := range []int{1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30} {
		accepted[time.Duration(minutes)*time.Minute] = true
	}
	for _, hours := range []int{1, 2, 3, 4, 6, 8, 12, 24} {
		accepted[time.Duration(hours)*time.Hour] = true
	}
	for d := -time.Hour; d <= 49*time.Hour; d += 30 * time.Second {
		if _, err := tag.NewCadence(d); (err == nil) != accepted[d] {
			t.Errorf("NewCadence(%s): %v", d, err)
		}
	}
	if _, err := tag.NewCadence(time.Hour + 1); err == nil {
		t.Error("a cadence of an hour and a nanosecond is accepted")
	}
}

func TestTheZeroCadenceIsHourly(t *testing.T) {
	var c tag.Cadence
	if c.Every() != time.Hour || c.Valid("etchautotag-20261122-0900") != nil || c.Valid("etchautotag-20261122-0930") == nil {
		t.Errorf("the zero cadence is %s", c.Every())
	}
}

func TestFloorCountsFromMidnight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		every := rapid.SampledFrom([]time.Duration{time.Minute, 5 * time.Minute, 20 * time.Minute, time.Hour, 3 * time.Hour,
			8 * time.Hour, 24 * time.Hour}).Draw(t, "every")
		c, err := tag.NewCadence(every)
		if err != nil {
			t.Fatal(err)
		}
		zone := time.FixedZone("", rapid.IntRange(-14*60, 14*60).Draw(t, "zone")*60)
		at := time.Unix(rapid.Int64Range(-60e9, 250e9).Draw(t, "at"), rapid.Int64Range(0, 999999999).Draw(t, "ns")).In(zone)
		year, month, day := at.UTC().Date()
		want := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		for !want.Add(every).After(at) {
			want = want.Add(every)
		}
		got := c.Floor(at)
		if !got.Equal(want) || got.Location() != time.UTC {
			t.Fatalf("Floor(%s) = %s, want %s", at, got, want)
		}
		if !c.Aligned(got) || c.Valid(tag.Name(got)) != nil || c.Aligned(at) != at.Equal(got) {
			t.Fatalf("alignment of %s and %s", got, at)
		}
	})
}
