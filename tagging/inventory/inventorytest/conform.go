package inventorytest

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"pgregory.net/rapid"
)

// Kind is one kind of inventory, or one of its forms, for the conformance suite.
type Kind struct {
	Name      string
	Make      func(t *testing.T, f Fleet) Inventory
	Malformed string // the text of a file that has a mistake in line 3
	File      string // that file
	Open      func(dir string) Inventory
	Pins      bool
	PinFrom   string // how Answer.PinFrom ends
	Unique    bool   // names that differ in case alone are refused
	Grouped   bool   // a host is known by its groups alone
}

// Conform runs the suite.
func (k Kind) Conform(t *testing.T) {
	t.Run("known and unknown hosts", k.testHosts)
	t.Run("the spelling of a name does not matter", k.testCase)
	if !k.Unique && !k.Grouped {
		t.Run("a name that is spelled in two ways", k.testTwoSpellings)
	}
	t.Run("no hosts at all", func(t *testing.T) { CheckFleet(t, k.Make(t, Fleet{}), Fleet{}) })
	t.Run("groups with names that YAML reads otherwise", k.testOddNames)
	t.Run("listing agrees with lookup", k.testListing)
	t.Run("listing stops when it is told to", k.testStop)
	if k.Open != nil {
		t.Run("a mistake is named with file and line", k.testMalformed)
	}
	t.Run("a cancelled context", k.testCancelled)
	if k.Pins {
		t.Run("pins", k.testPins)
	}
}

func (k Kind) testHosts(t *testing.T) {
	f := Fleet{Hosts: []Host{
		{Name: "web1.example.com", Groups: []string{"web", "prod", "web"}},
		{Name: "bare.example.com"},
	}}
	if k.Grouped {
		f.Hosts = f.Hosts[:1]
	}
	inv := k.Make(t, f)
	CheckFleet(t, inv, f)
	if a := MustLookup(t, inv, "bare.example.com"); a.Known == k.Grouped || len(a.Groups) > 0 || a.Pin != "" {
		t.Errorf("a host without groups: %+v", a)
	}
	if a := MustLookup(t, inv, "web1"); a.Known || a.Groups != nil || a.Pin != "" || a.PinFrom != "" {
		t.Errorf("an unknown host: %+v", a)
	}
	if a := MustLookup(t, inv, "web1.example.com"); !slices.Equal(a.Groups, []string{"prod", "web"}) {
		t.Errorf("groups %q are not sorted and unique", a.Groups)
	}
}

func (k Kind) testCase(t *testing.T) {
	f := Fleet{Hosts: []Host{
		{Name: "Web1.Example.Com", Groups: []string{"a"}},
		{Name: "web2", Groups: []string{"B"}},
	}}
	CheckFleet(t, k.Make(t, f), f)
}

func (k Kind) testTwoSpellings(t *testing.T) {
	f := Fleet{Hosts: []Host{
		{Name: "Web1.Example.Com", Groups: []string{"a"}},
		{Name: "web2"},
		{Name: "WEB1.example.com", Groups: []string{"c"}},
	}}
	inv := k.Make(t, f)
	CheckFleet(t, inv, f)
	if a := MustLookup(t, inv, "web1.example.com"); !slices.Equal(a.Groups, []string{"a", "c"}) {
		t.Errorf("the groups of both spellings: %q", a.Groups)
	}
}

func (k Kind) testOddNames(t *testing.T) {
	names := []string{"0x10", "010", "1.50", "10", "1e3", "2026-11-22", "<<", "false", "null", "no", "on", "yes", "~"}
	CheckFleet(t, k.Make(t, Fleet{Hosts: []Host{{Name: "10", Groups: names}}}),
		Fleet{Hosts: []Host{{Name: "10", Groups: names}}})
}

func (k Kind) testListing(t *testing.T) {
	f := Fleet{children: map[string][]string{"all": {"web"}}}
	for i := range 100 { // more than one block of a table
		name := strings.Repeat("x", 40+i%20) + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
		f.Hosts = append(f.Hosts, Host{Name: name, Groups: []string{"web", name}})
	}
	CheckFleet(t, k.Make(t, f), f)
}

func (k Kind) testStop(t *testing.T) {
	inv := k.Make(t, Fleet{Hosts: []Host{{Name: "a"}, {Name: "b"}, {Name: "c"}}})
	var seen []string
	err := inv.Hosts(t.Context(), func(host string, _ Answer) bool {
		seen = append(seen, host)
		return host != "b"
	})
	if err != nil || !slices.Equal(seen, []string{"a", "b"}) {
		t.Errorf("listed %q, error %v", seen, err)
	}
}

func (k Kind) testMalformed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, k.File)
	WriteFile(t, path, k.Malformed)
	inv := k.Open(dir)
	_, lookupErr := inv.Lookup(t.Context(), "a")
	listErr := inv.Hosts(t.Context(), func(host string, _ Answer) bool {
		t.Errorf("host %q of a malformed file is listed", host)
		return true
	})
	for _, err := range []error{lookupErr, listErr} {
		fault, ok := errors.AsType[*parse.Fault](err)
		if !ok || fault.File != path || fault.Line != 3 || !strings.Contains(err.Error(), path+":3: ") {
			t.Errorf("got %v, want a fault in %s:3", err, path)
		}
	}
}

func (k Kind) testCancelled(t *testing.T) {
	inv := k.Make(t, Fleet{Hosts: []Host{{Name: "a"}, {Name: "b"}}})
	ctx, cancel := context.WithCancel(t.Context())
	count := 0
	err := inv.Hosts(ctx, func(string, Answer) bool {
		count++
		cancel()
		return true
	})
	if !errors.Is(err, context.Canceled) || count != 1 {
		t.Errorf("cancelled at the first host: %d hosts listed, error %v", count, err)
	}
	if a, err := inv.Lookup(ctx, "a"); !errors.Is(err, context.Canceled) || a.Known {
		t.Errorf("lookup: %+v, %v", a, err)
	}
}

func (k Kind) testPins(t *testing.T) {
	inv := k.Make(t, Fleet{Hosts: []Host{
		{Name: "Pinned", Groups: []string{"a"}, Pin: "tags/release-7"},
		{Name: "free"},
	}})
	a := MustLookup(t, inv, "pinned")
	if a.Pin != "tags/release-7" || !strings.HasSuffix(a.PinFrom, k.PinFrom) {
		t.Errorf("pin %q from %q", a.Pin, a.PinFrom)
	}
	if listed := ListAll(t, inv)["pinned"]; listed.Pin != a.Pin || listed.PinFrom != a.PinFrom {
		t.Errorf("listed with pin %q from %q", listed.Pin, listed.PinFrom)
	}
	if a := MustLookup(t, inv, "free"); !a.Known || a.Pin != "" || a.PinFrom != "" {
		t.Errorf("a tag that is empty: %+v", a)
	}
}

// Answer is inventory.Answer, which cannot be had here: the tests of that package import this one.
type Answer struct {
	Known   bool
	Groups  []string
	Pin     string
	PinFrom string
	Notes   []string
}

// Inventory is inventory.Lister with such answers.
type Inventory interface {
	Name() string
	Lookup(ctx context.Context, host string) (Answer, error)
	Hosts(ctx context.Context, yield func(host string, a Answer) bool) error
}

// answerLike is what inventory.Answer is.
type answerLike interface {
	~struct {
		Known   bool
		Groups  []string
		Pin     string
		PinFrom string
		Notes   []string
	}
}

// listerOf is inventory.Lister.
type listerOf[A answerLike] interface {
	Name() string
	Lookup(ctx context.Context, host string) (A, error)
	Hosts(ctx context.Context, yield func(host string, a A) bool) error
}

// Of is an inventory as the suite takes it.
func Of[A answerLike](inv listerOf[A]) Inventory { return adapter[A]{inv} }

type adapter[A answerLike] struct{ listerOf[A] }

// Lookup implements Inventory.
func (a adapter[A]) Lookup(ctx context.Context, host string) (Answer, error) {
	answer, err := a.listerOf.Lookup(ctx, host)
	return Answer(answer), err
}

// Hosts implements Inventory.
func (a adapter[A]) Hosts(ctx context.Context, yield func(host string, a Answer) bool) error {
	return a.listerOf.Hosts(ctx, func(host string, answer A) bool { return yield(host, Answer(answer)) })
}

// MustLookup looks up a host.
func MustLookup(t rapid.TB, inv Inventory, host string) Answer {
	t.Helper()
	a, err := inv.Lookup(context.Background(), host)
	if err != nil {
		t.Fatalf("look up %q in %s: %v", host, inv.Name(), err)
	}
	return a
}

// ListAll returns all that an inventory lists, and checks the order.
func ListAll(t rapid.TB, inv Inventory) map[string]Answer {
	t.Helper()
	all := map[string]Answer{}
	last := ""
	err := inv.Hosts(context.Background(), func(host string, a Answer) bool {
		if host <= last {
			t.Errorf("%q is listed after %q", host, last)
		}
		last = host
		all[host] = a
		return true
	})
	if err != nil {
		t.Fatalf("list %s: %v", inv.Name(), err)
	}
	return all
}

// CheckFleet fails the test unless inv answers for every host of f, and for some others, as it must.
func CheckFleet(t rapid.TB, inv Inventory, f Fleet) {
	t.Helper()
	want := f.Answers()
	for host, groups := range want {
		if a := MustLookup(t, inv, host); !a.Known || !slices.Equal(a.Groups, groups) {
			t.Fatalf("%s: host %q: known %v, groups %q; want %q", inv.Name(), host, a.Known, a.Groups, groups)
		}
	}
	for _, host := range []string{"", "a", "a1", "b222.yy", "zz", "0"} {
		if _, found := want[host]; !found && MustLookup(t, inv, host).Known {
			t.Fatalf("%s: host %q is known", inv.Name(), host)
		}
	}
	listed := ListAll(t, inv)
	if len(listed) != len(want) {
		t.Fatalf("%s lists %d hosts, want %d", inv.Name(), len(listed), len(want))
	}
	for host, a := range listed {
		if !a.Known || !slices.Equal(a.Groups, want[host]) {
			t.Fatalf("%s lists %q with groups %q, want %q", inv.Name(), host, a.Groups, want[host])
		}
	}
}

func CheckFault(t *testing.T, err error, file string, line int, problem string) {
	t.Helper()
	fault, ok := errors.AsType[*parse.Fault](err)
	if !ok || fault.File != file || fault.Line != line || !strings.Contains(fault.Problem, problem) {
		t.Errorf("got %v, want %s:%d: ...%s...", err, file, line, problem)
	}
}
