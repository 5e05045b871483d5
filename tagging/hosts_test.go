package tagging_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag/tagtest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// asked is an inventory that cannot list its hosts. It fails for hosts whose last byte is one of the failing
// ones.
type asked struct {
	name    string
	answers map[string]inventory.Answer
	failing string
}

func (a asked) Name() string { return a.name }

func (a asked) Lookup(_ context.Context, host string) (inventory.Answer, error) {
	if strings.ContainsAny(host[len(host)-1:], a.failing) {
		return inventory.Answer{}, errors.New("no answer")
	}
	return a.answers[host], nil
}

// listed is an inventory that can list its hosts.
type listed struct {
	asked
	order []string // the hosts in the order in which they are listed; nil for that of their names
	err   error    // that the listing ends with
	calls *int     // of Hosts
}

func (l listed) Hosts(ctx context.Context, yield func(string, inventory.Answer) bool) error {
	if l.calls != nil {
		*l.calls++
	}
	order := l.order
	if order == nil {
		order = slices.Sorted(maps.Keys(l.answers))
	}
	for _, host := range order {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(host, l.answers[host]) {
			return nil
		}
	}
	return l.err
}

// all collects what Each yields.
func all(t tagtest.Fataler, hosts *tagging.Hosts) []*tagging.Decision {
	var ds []*tagging.Decision
	err := hosts.Each(context.Background(), func(d *tagging.Decision) bool {
		ds = append(ds, d)
		return true
	})
	if err != nil {
		t.Fatalf("hosts: %v", err)
	}
	return ds
}

// drawAnswers draws what an inventory knows of some hosts.
func drawAnswers(t *rapid.T, name string) map[string]inventory.Answer {
	hosts := []string{"a", "a1", "a.b", "b", "b2", "c-1", "d", "not a host", "-e", "zz9"}
	pins := []string{"", "", "", "trunk", "tags/release-7", "tags/none", "/etc", "trunk-20260228-2200",
		"trunk-20260301-0130", "trunk-20260230-0000"}
	answers := map[string]inventory.Answer{}
	for _, host := range rapid.SliceOfDistinct(rapid.SampledFrom(hosts), rapid.ID[string]).Draw(t, name) {
		groups := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"dev", "qa", "web", "x"}), rapid.ID[string]).Draw(t, "groups")
		slices.Sort(groups)
		a := inventory.Answer{Known: true, Groups: groups, Pin: rapid.SampledFrom(pins).Draw(t, "pin")}
		if a.Pin != "" {
			a.PinFrom = name + " says so"
		}
		answers[host] = a
	}
	return answers
}

func TestHostsAgreesWithDecide(t *testing.T) {
	base := tagtest.New(t)
	base.Mkdir("tags/release-7")
	rapid.Check(t, func(t *rapid.T) {
		r := drawWorld(t).resolver(t)
		r.Base = base.Base
		r.Rings = tagging.Rings{
			{Name: "dev", Groups: []string{"dev"}},
			{Name: "early", Delay: time.Hour, Groups: []string{"web"}, Hosts: []string{"a*"}, Percent: 50, HasPercent: true},
			{Name: "good", Delay: time.Hour, Groups: []string{"qa"}, RequireGood: true},
			{Name: "rest", Delay: 4 * time.Hour},
		}
		pins := pinsOf(base, rapid.SampledFrom([]string{"", "A1 trunk\nonly-here tags/none\nb2\n", "0 trunk\n" +
			"b trunk-20260228-2300\nzzz tags/release-7\nd /etc\n"}).Draw(t, "pins"))
		first, second, third := drawAnswers(t, "first"), drawAnswers(t, "second"), drawAnswers(t, "third")
		inventories := rapid.Permutation([]inventory.Inventory{
			listed{asked: asked{name: "first", answers: first}},
			asked{name: "second", answers: second, failing: rapid.SampledFrom([]string{"", "1", "b2"}).Draw(t, "failing")},
			listed{asked: asked{name: "third", answers: third}},
		}).Draw(t, "inventories")
		want := maps.Clone(first)
		maps.Copy(want, third)
		for _, pin := range pins.All() {
			want[pin.Host] = inventory.Answer{}
		}
		now := drawTime(t, "now")
		hosts := func() *tagging.Hosts { return &tagging.Hosts{Moment: r.At(now), Pins: pins, Inventories: inventories} }
		got := all(t, hosts())
		names := make([]string, len(got))
		for i, d := range got {
			names[i] = d.Host
			alone := hosts().Decide(context.Background(), d.Host)
			if diff := cmp.Diff(alone, d, cmpopts.IgnoreFields(*d, "Err"), cmpopts.EquateEmpty()); diff != "" {
				t.Fatalf("host %q at %s (decided alone -, with all +):\n%s", d.Host, now, diff)
			}
			if fmt.Sprint(alone.Err) != fmt.Sprint(d.Err) || errors.Is(alone.Err, tagging.ErrNoTag) != errors.Is(d.Err, tagging.ErrNoTag) {
				t.Fatalf("host %q: error %v alone, %v with all", d.Host, alone.Err, d.Err)
			}
		}
		if sorted := slices.Sorted(maps.Keys(want)); !slices.Equal(names, sorted) {
			t.Fatalf("hosts %q, want %q", names, sorted)
		}
	})
}

// fleet decides at 08:30 with these inventories, a few tags and the usual rings.
func fleet(t tagtest.Fataler, inventories ...inventory.Inventory) *tagging.Hosts {
	r := hourly("0400 0500 0600 0700 0800").resolver(t)
	r.Rings = tagging.DefaultRings()
	return &tagging.Hosts{Moment: r.At(at("08:30")), Inventories: inventories}
}

func knows(name string, hosts ...string) listed {
	l := listed{asked: asked{name: name, answers: map[string]inventory.Answer{}}}
	for _, host := range hosts {
		l.answers[host] = inventory.Answer{Known: true}
	}
	return l
}

func TestHostsAsksEachInventoryOnceForAllItsHosts(t *testing.T) {
	calls := 0
	l := knows("x", "a", "b", "c")
	l.calls, l.failing = &calls, "abc" // no host must be looked up
	for _, d := range all(t, fleet(t, l)) {
		if d.Failure != "" {
			t.Errorf("%s: %s", d.Host, d.Failure)
		}
	}
	if calls != 1 {
		t.Errorf("%d listings", calls)
	}
}

func TestHostsStopsWhenItIsToldTo(t *testing.T) {
	var seen []string
	hosts := fleet(t, knows("x", "a", "c"), knows("y", "b", "d"))
	err := hosts.Each(t.Context(), func(d *tagging.Decision) bool {
		seen = append(seen, d.Host)
		return d.Host != "b"
	})
	if err != nil || !slices.Equal(seen, []string{"a", "b"}) {
		t.Errorf("hosts %q, error %v", seen, err)
	}
}

func TestHostsThatCannotBeListed(t *testing.T) {
	down, unsorted := knows("down", "b"), knows("odd", "a", "b")
	down.err = errors.New("it is down")
	unsorted.order = []string{"b", "a"}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		with *tagging.Hosts
		want string
	}{
		{"an inventory is down", t.Context(), fleet(t, knows("x", "a"), down), "list the hosts of inventory down: it is down"},
		{"the order is wrong", t.Context(), fleet(t, unsorted), `inventory odd: "a" comes after "b"`},
		{"a host twice", t.Context(), fleet(t, listed{asked: down.asked, order: []string{"b", "b"}}), `"b" comes after "b"`},
		{"none can list", t.Context(), fleet(t, asked{name: "x"}), tagging.ErrNoLister.Error()},
		{"no inventories", t.Context(), fleet(t), tagging.ErrNoLister.Error()},
		{"no rings", t.Context(), &tagging.Hosts{Moment: new(tagging.Resolver).At(at("08:30")), Inventories: []inventory.Inventory{down}}, "there are no rings"},
		{"cancelled", cancelled, fleet(t, knows("x", "a")), context.Canceled.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.with.Each(test.ctx, func(*tagging.Decision) bool { return true })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestHostsEndsWhenItIsCancelledHalfWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	count := 0
	err := fleet(t, knows("x", "a", "b", "c")).Each(ctx, func(*tagging.Decision) bool {
		count++
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) || count != 1 {
		t.Errorf("%d hosts, error %v", count, err)
	}
}
