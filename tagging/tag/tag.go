// Package tag says what a tag is: its name and the times that can be in it (Cadence), where it and all that belongs to it
// stand in an etch server's base (Base), the manifest that records its files, and the index of the tags that exist.
//
// A tag is a directory below BASE/tags whose name is a UTC time. It may have a manifest, whose header alone is read
// where nobody asks for the files. Nothing here needs a lock or write access, and nothing asks the clock.
//
// Package snapshot makes tags; package tagging decides who gets which.
package tag

import (
	"fmt"
	"time"
)

// Prefix is what the name of every tag begins with.
const Prefix = "etchautotag-"

// StampFormat is the time in a name, in the notation of package time.
const StampFormat = "20060102-1504"

// Name returns the name of the tag of time t: its UTC time down to the minute. The year must have four
// digits.
func Name(t time.Time) string { return Prefix + t.UTC().Format(StampFormat) }

// ParseName returns the time that a tag's name says, in UTC. The digits must be a real date and time.
func ParseName(s string) (time.Time, error) {
	if len(s) != len(Prefix)+len(StampFormat) || s[:len(Prefix)] != Prefix {
		return time.Time{}, fmt.Errorf("%s is not the name of a tag, %sYYYYMMDD-HHMM", Quote(s), Prefix)
	}
	t, ok := ParseStamp(s[len(Prefix):])
	if !ok {
		return time.Time{}, fmt.Errorf("%s is not the name of a tag: %s is no date and time", Quote(s),
			Quote(s[len(Prefix):]))
	}
	return t, nil
}

// ParseStamp reads YYYYMMDD-HHMM. (What time.Parse takes would have to be checked by writing the time again: some
// digits that are missing it takes for zeros.)
func ParseStamp(s string) (time.Time, bool) {
	if len(s) != len(StampFormat) || s[8] != '-' {
		return time.Time{}, false
	}
	number := func(digits string) (n int) {
		for _, c := range []byte(digits) {
			if c < '0' || c > '9' {
				return -1
			}
			n = 10*n + int(c-'0')
		}
		return n
	}
	year, month, day, hour, minute := number(s[:4]), number(s[4:6]), number(s[6:8]), number(s[9:11]), number(s[11:])
	if year < 0 || month < 1 || month > 12 || hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, 0, 0, time.UTC)
	return t, day > 0 && t.Day() == day // no 31st of November
}

// Quote is text from outside in quotes, shortened to what fits in a message.
func Quote(s string) string {
	const most = 80
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q...", s[:most])
}

// Cadence is how often tags are made. Names that lie on it, counted from 00:00 UTC, are aligned. The zero
// Cadence is hourly.
type Cadence struct{ every time.Duration }

// NewCadence returns the cadence of one tag every d: a number of minutes that divides an hour, or a number
// of hours that divides a day.
func NewCadence(d time.Duration) (Cadence, error) {
	const day = 24 * time.Hour
	minutes := d >= time.Minute && d <= time.Hour && d%time.Minute == 0 && time.Hour%d == 0
	hours := d >= time.Hour && d <= day && d%time.Hour == 0 && day%d == 0
	if !minutes && !hours {
		return Cadence{}, fmt.Errorf(
			"tags cannot be made every %s: it must be minutes that divide an hour, or hours that divide a day", FormatDuration(d))
	}
	return Cadence{d}, nil
}

// Every is the time from one tag to the next.
func (c Cadence) Every() time.Duration {
	if c.every == 0 {
		return time.Hour
	}
	return c.every
}

// Floor returns the newest aligned time that is not after t, in UTC.
func (c Cadence) Floor(t time.Time) time.Time {
	// Truncate counts from the start of a day, and every cadence divides a day.
	return t.UTC().Truncate(c.Every())
}

// Aligned reports whether t lies on the cadence.
func (c Cadence) Aligned(t time.Time) bool { return c.Floor(t).Equal(t) }

// Valid returns an error that says why name is not the name of an aligned tag.
func (c Cadence) Valid(name string) error {
	t, err := ParseName(name)
	if err == nil && !c.Aligned(t) {
		err = fmt.Errorf("%q is not aligned: tags are made every %s, counted from 00:00 UTC", name, FormatDuration(c.Every()))
	}
	return err
}
