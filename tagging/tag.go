// Package tagging says which hosts get which tag.
//
// A tag is a directory below BASE/tags whose name is a UTC time. The index lists the tags that exist, rings
// divide the fleet by how old a tag must be before a host gets it, and the resolver joins both with what
// people said of the tags (package tagstate) and what is known of the hosts (package inventory) to a
// decision that carries its reasons.
//
// Decisions are pure: they depend on what was read and on the time that the caller gives, never on the
// clock. Reading needs no lock and no write access. A tag that is marked bad, or that shares its content
// with one that is, is never handed out, nor is a tag of the future; if no tag is left, the decision fails.
package tagging

import (
	"fmt"
	"time"
)

// Prefix is what the name of every tag begins with.
const Prefix = "etchautotag-"

// stampFormat is the time in a name, in the notation of package time.
const stampFormat = "20060102-1504"

// Name returns the name of the tag of time t: its UTC time down to the minute. The year must have four
// digits.
func Name(t time.Time) string { return Prefix + t.UTC().Format(stampFormat) }

// ParseName returns the time that a tag's name says, in UTC. The digits must be a real date and time.
func ParseName(s string) (time.Time, error) {
	if len(s) != len(Prefix)+len(stampFormat) || s[:len(Prefix)] != Prefix {
		return time.Time{}, fmt.Errorf("%s is not the name of a tag, %sYYYYMMDD-HHMM", quote(s), Prefix)
	}
	t, ok := parseStamp(s[len(Prefix):])
	if !ok {
		return time.Time{}, fmt.Errorf("%s is not the name of a tag: %s is no date and time", quote(s),
			quote(s[len(Prefix):]))
	}
	return t, nil
}

// parseStamp reads YYYYMMDD-HHMM. (time.Parse would have to be checked by writing the time again, since it takes some
// digits that are missing for zeros.)
func parseStamp(s string) (time.Time, bool) {
	if len(s) != len(stampFormat) || s[8] != '-' {
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

// quote is text from outside in quotes, shortened to what fits in a message.
func quote(s string) string {
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
