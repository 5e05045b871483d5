package tagging_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestMatch(t *testing.T) {
	rings := tagging.Rings{
		{Name: "canary", Groups: []string{"dev", "int"}, Hosts: []string{"Canary-[0-9].*"}},
		{Name: "qa", Hosts: []string{"*.qa.example.com", "qa?"}, Groups: []string{"qa"}},
		{Name: "tenth", Groups: []string{"web"}, Percent: 20, HasPercent: true},
		{Name: "none", Groups: []string{"web"}, HasPercent: true},
		{Name: "all", Groups: []string{"web"}, Hosts: []string{"db*"}, Percent: 100, HasPercent: true},
		{Name: "rest"},
	}
	if err := rings.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host      string
		groups    []string
		ring, why string
	}{
		{"a", []string{"int"}, "canary", "group int"},
		{"a", []string{"int", "dev"}, "canary", "group dev"},
		{"a", []string{"DEV"}, "rest", "no other ring takes it"},
		{"CANARY-7.example.com", nil, "canary", "host pattern Canary-[0-9].*"},
		{"canary-x.example.com", nil, "rest", "no other ring takes it"},
		{"a.b.c.qa.example.com", nil, "qa", "host pattern *.qa.example.com"},
		{"a.qa.example.com", []string{"qa"}, "qa", "group qa"},
		{"qa1", []string{"dev"}, "canary", "group dev"},
		{"qa12", nil, "rest", "no other ring takes it"},
		{"db1", nil, "all", "host pattern db*, within 100%"},
		{"unknown", nil, "rest", "no other ring takes it"},
	} {
		ring, why := rings.Match(c.host, c.groups)
		if ring.Name != c.ring || why != c.why {
			t.Errorf("%s in %q is in ring %s, %q; want %s, %q", c.host, c.groups, ring.Name, why, c.ring, c.why)
		}
	}
}

func TestPercentTakesTheHostsWhoseHashIsBelowIt(t *testing.T) {
	for _, c := range []struct {
		ring, host string
		place      int // the first 8 bytes of SHA-256(ring NUL host), modulo 10000, by another program
	}{
		{"dev", "web1.example.com", 1739},
		{"dev", "WEB1.Example.COM", 1739},
		{"qa", "web1.example.com", 487},
		{"canary", "db-01.example.com", 8111},
		{"canary", "a", 6091},
		{"canary", "b", 3172},
	} {
		in := func(percent float64) bool {
			rings := tagging.Rings{
				{Name: c.ring, Groups: []string{"g"}, Percent: percent, HasPercent: true}, {Name: "rest"},
			}
			ring, why := rings.Match(c.host, []string{"g"})
			if ring.Name == c.ring && why != fmt.Sprintf("group g, within %v%%", percent) {
				t.Errorf("why is %q", why)
			}
			return ring.Name == c.ring
		}
		exact := float64(c.place) / 100
		for _, percent := range []float64{0, exact - 0.01, exact, exact + 0.005, exact + 0.01, 100} {
			if want := float64(c.place) < percent*100; in(percent) != want {
				t.Errorf("%s at place %d is within %v%% of %s: %t", c.host, c.place, percent, c.ring, !want)
			}
		}
	}
}

func TestAShareIsAsLargeAsItSays(t *testing.T) {
	rings := tagging.Rings{{Name: "early", Hosts: []string{"*"}, Percent: 12.5, HasPercent: true}, {Name: "rest"}}
	n := 0
	for i := range 20000 {
		if ring, _ := rings.Match(fmt.Sprintf("host%d.example.com", i), nil); ring.Name == "early" {
			n++
		}
	}
	if n < 2350 || n > 2650 {
		t.Errorf("%d of 20000 hosts are within 12.5%%", n)
	}
}

func TestAHostStaysInAShareThatGrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		host := rapid.StringMatching(`[a-z0-9]{1,10}`).Draw(t, "host")
		in := func(percent float64) bool {
			rings := tagging.Rings{{Name: "r", Hosts: []string{"*"}, Percent: percent, HasPercent: true}, {}}
			ring, _ := rings.Match(host, nil)
			return ring.Name == "r"
		}
		small := rapid.Float64Range(0, 100).Draw(t, "small")
		if in(small) && !in(rapid.Float64Range(small, 100).Draw(t, "large")) {
			t.Fatalf("%s is within %v%% and not within more", host, small)
		}
	})
}

func TestValidateRings(t *testing.T) {
	if err := tagging.DefaultRings().Validate(); err != nil {
		t.Errorf("the default rings: %v", err)
	}
	last := tagging.Ring{Name: "last"}
	share := func(percent float64) tagging.Ring {
		return tagging.Ring{Name: "a", Groups: []string{"g"}, Percent: percent, HasPercent: true}
	}
	for _, c := range []struct {
		name  string
		rings tagging.Rings
		want  []string // KEY of ring INDEX
	}{
		{"one", tagging.Rings{last}, nil},
		{"no selector", tagging.Rings{{Name: "a"}, last}, []string{"groups of ring 0"}},
		{"percent alone", tagging.Rings{{Name: "a", HasPercent: true}, last}, []string{"percent of ring 0"}},
		{"last with groups", tagging.Rings{{Name: "a", Groups: []string{"g"}}}, []string{"groups of ring 0"}},
		{"last with hosts", tagging.Rings{{Name: "a", Hosts: []string{"h"}}}, []string{"hosts of ring 0"}},
		{"last with percent", tagging.Rings{{Name: "a", HasPercent: true}}, []string{"percent of ring 0"}},
		{"two names", tagging.Rings{{Name: "last", Groups: []string{"g"}}, last}, []string{"name of ring 1"}},
		{"no name", tagging.Rings{{Groups: []string{"g"}}, last}, []string{"name of ring 0"}},
		{"delay", tagging.Rings{{Name: "last", Delay: -time.Second}}, []string{"delay of ring 0"}},
		{"pattern", tagging.Rings{{Name: "a", Hosts: []string{"ok*", "[a-"}}, last}, []string{"hosts of ring 0"}},
		{"empty pattern", tagging.Rings{{Name: "a", Hosts: []string{""}}, last}, []string{"hosts of ring 0"}},
		{"empty group", tagging.Rings{{Name: "a", Groups: []string{""}}, last}, []string{"groups of ring 0"}},
		{"too much", tagging.Rings{share(100.1), last}, []string{"percent of ring 0"}},
		{"too little", tagging.Rings{share(-1), last}, []string{"percent of ring 0"}},
		{"no number", tagging.Rings{share(math.NaN()), last}, []string{"percent of ring 0"}},
		{"several", tagging.Rings{{Delay: -1}, {Name: "b"}, last},
			[]string{"name of ring 0", "delay of ring 0", "groups of ring 0", "groups of ring 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			if joined, ok := c.rings.Validate().(interface{ Unwrap() []error }); ok {
				for _, err := range joined.Unwrap() {
					var e *tagging.RingError
					if !errors.As(err, &e) {
						t.Fatal(err)
					}
					got = append(got, fmt.Sprintf("%s of ring %d", e.Key, e.Index))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
	if (tagging.Rings{}).Validate() == nil {
		t.Error("no rings at all are accepted")
	}
}

var hostSeeds = map[string]bool{
	"a": true, "Web1.Example.com": true, "web_1": true, "_dmarc": true, "1": true, "a.": true, "a..b": true, "a-": true,
	strings.Repeat("a", 253): true,
	"":                       false, "-a": false, ".a": false, "..": false, "a b": false, "a;b": false, "$(id)": false, "`id`": false, "a/b": false,
	"a\n": false, "a\x00": false, "ä": false, "a\xff": false, "a:1": false, "a@b": false,
	strings.Repeat("a", 254): false, strings.Repeat("a", 10<<10): false,
}

func TestValidateHost(t *testing.T) {
	for host, ok := range hostSeeds {
		err := tagging.ValidateHost(host)
		if (err == nil) != ok {
			t.Errorf("ValidateHost(%q): %v", host, err)
		}
		if err != nil && (len(err.Error()) > 600 || strings.ContainsAny(err.Error(), "\n\x00")) {
			t.Errorf("the error for %.20q is not fit to be shown: %q", host, err)
		}
	}
}

func FuzzValidateHost(f *testing.F) {
	for host := range hostSeeds {
		f.Add(host)
	}
	const letters = "abcdefghijklmnopqrstuvwxyz"
	allowed := letters + strings.ToUpper(letters) + "0123456789.-_"
	f.Fuzz(func(t *testing.T, s string) {
		want := len(s) >= 1 && len(s) <= 253 && strings.Trim(s, allowed) == "" && strings.IndexAny(s, "-.") != 0
		for _, r := range s {
			want = want && strings.ContainsRune(allowed, r)
		}
		if err := tagging.ValidateHost(s); (err == nil) != want {
			t.Errorf("ValidateHost(%q): %v", s, err)
		}
	})
}
