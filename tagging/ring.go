package tagging

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// Ring is a part of the fleet, and how old a tag must be before that part gets it.
type Ring struct {
	Name  string
	Delay time.Duration

	// Groups and Hosts select the hosts that the ring takes: those in any of the groups, and those whose
	// names match any of the patterns. Patterns are those of path.Match, on names in lower case: a name has no
	// slash, so that "*" crosses dots.
	Groups []string
	Hosts  []string
	// Percent, if HasPercent, narrows the selection to a share of it, 0 to 100, in which a host stays for
	// good.
	Percent    float64
	HasPercent bool

	RequireGood bool // only tags that are marked good are acceptable
}

// Rings divide the fleet. They are tried in order, and the last one takes whom no other has taken.
type Rings []Ring

// DefaultRings are the rings of a site that has not configured its own.
func DefaultRings() Rings {
	return Rings{
		{Name: "dev", Groups: []string{"dev", "int"}},
		{Name: "qa", Delay: 1 * time.Hour, Groups: []string{"qa"}},
		{Name: "staging", Delay: 2 * time.Hour, Groups: []string{"stg", "staging"}},
		{Name: "production", Delay: 4 * time.Hour},
	}
}

// RingError is a ring that cannot be.
type RingError struct {
	Index   int    // of the ring, from 0
	Name    string // the ring's
	Key     string // of the value that is wrong, as configurations name it, such as "percent"
	Problem string
}

// Error names the ring, the key and the problem.
func (e *RingError) Error() string {
	return fmt.Sprintf("ring %d, %q: %s %s", e.Index+1, e.Name, e.Key, e.Problem)
}

// Validate returns every problem of the rings joined, each a *RingError, or an error if there are none.
func (rs Rings) Validate() error {
	if len(rs) == 0 {
		return errors.New("there must be at least one ring")
	}
	var errs []error
	names := make(map[string]bool)
	for i, r := range rs {
		fail := func(key, format string, args ...any) {
			errs = append(errs, &RingError{i, r.Name, key, fmt.Sprintf(format, args...)})
		}
		r.validate(i == len(rs)-1, fail)
		if names[r.Name] {
			fail("name", "is the name of two rings")
		}
		names[r.Name] = true
	}
	return errors.Join(errs...)
}

func (r Ring) validate(last bool, fail func(key, format string, args ...any)) {
	if r.Name == "" {
		fail("name", "must not be empty")
	}
	if r.Delay < 0 {
		fail("delay", "must not be negative, as %s is", r.Delay)
	}
	selects := len(r.Groups) > 0 || len(r.Hosts) > 0
	switch {
	case last && len(r.Groups) > 0:
		fail("groups", "cannot be: the last ring takes every host that is left")
	case last && len(r.Hosts) > 0:
		fail("hosts", "cannot be: the last ring takes every host that is left")
	case last && r.HasPercent:
		fail("percent", "cannot be: the last ring takes every host that is left")
	case !last && !selects && r.HasPercent:
		fail("percent", "needs groups or hosts, of which it is a share")
	case !last && !selects:
		fail("groups", "or hosts must be there, in every ring but the last")
	}
	if r.HasPercent && !(r.Percent >= 0 && r.Percent <= 100) {
		fail("percent", "must be a number from 0 to 100, not %v", r.Percent)
	}
	for _, p := range r.Hosts {
		if _, err := path.Match(p, ""); err != nil || p == "" {
			fail("hosts", "has a pattern that cannot be: %q", p)
		}
	}
	if slices.Contains(r.Groups, "") {
		fail("groups", "has a group without a name")
	}
}

// Match returns the ring of a host in the groups given, and why it is that one. There must be a ring.
func (rs Rings) Match(host string, groups []string) (Ring, string) {
	host = strings.ToLower(host)
	last := len(rs) - 1
	for _, r := range rs[:last] {
		if why, ok := r.admits(host, groups); ok {
			return r, why
		}
	}
	return rs[last], "no other ring takes it"
}

// admits reports whether the ring takes a host, and by which of its selectors.
func (r Ring) admits(host string, groups []string) (why string, ok bool) {
	if why, ok = r.selects(host, groups); !ok || !r.HasPercent {
		return why, ok
	}
	return fmt.Sprintf("%s, within %s%%", why, strconv.FormatFloat(r.Percent, 'f', -1, 64)),
		float64(bucket(r.Name, host)) < r.Percent*100
}

func (r Ring) selects(host string, groups []string) (why string, ok bool) {
	for _, g := range r.Groups {
		if slices.Contains(groups, g) {
			return "group " + g, true
		}
	}
	for _, p := range r.Hosts {
		if ok, err := path.Match(strings.ToLower(p), host); ok && err == nil {
			return "host pattern " + p, true
		}
	}
	return "", false
}

// buckets is how finely a share of the hosts can be told, in hundredths of a percent.
const buckets = 10000

// bucket gives every host its place, from 0 to 9999, in the order in which a growing percentage of a ring
// takes hosts: the first 8 bytes, big-endian, of SHA-256(ring NUL host), modulo 10000. So a host that is in
// stays in when the percentage grows, and each ring has an order of its own.
func bucket(ring, host string) uint64 {
	sum := sha256.Sum256([]byte(ring + "\x00" + host))
	return binary.BigEndian.Uint64(sum[:8]) % buckets
}

// ValidateHost returns an error if s cannot be a host's name: 1 to 253 letters, digits, dots, dashes and
// underscores, not beginning with a dash or a dot. Names come from clients; nothing may be looked up, or
// handed to a program, before they have passed.
func ValidateHost(s string) error {
	const most = 253
	if s == "" || len(s) > most {
		return fmt.Errorf("%s is not the name of a host: it must have 1 to %d characters, not %d",
			tag.Quote(s), most, len(s))
	}
	if s[0] == '-' || s[0] == '.' {
		return fmt.Errorf("%s is not the name of a host: it begins with %q", tag.Quote(s), s[0])
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return fmt.Errorf(
				"%s is not the name of a host: it may have letters, digits, dots, dashes and underscores only", tag.Quote(s))
		}
	}
	return nil
}
