package inventory

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// kind is one kind of inventory, or one of its forms, for the conformance suite.
type kind struct {
	name      string
	make      func(t *testing.T, f testFleet) Lister
	malformed string // the text of a file that has a mistake in line 3
	file      string // that file
	open      func(dir string) Lister
	pins      bool
	pinFrom   string // how Answer.PinFrom ends
	unique    bool   // names that differ in case alone are refused
	grouped   bool   // a host is known by its groups alone
}

func openTree(dir string) Lister { return NewEtch(trees(Tree{Label: "tag", Dir: dir})) }

func kinds() []kind {
	return []kind{
		{
			name: "etch yml",
			make: func(t *testing.T, f testFleet) Lister {
				dir := t.TempDir()
				f.writeYAML(t, dir)
				return openTree(dir)
			},
			malformed: "a: [x]\nb: [y]\nc: [[z]]\n", file: "nodes.yml", open: openTree,
		},
		{
			name: "etch xml",
			make: func(t *testing.T, f testFleet) Lister {
				dir := t.TempDir()
				f.writeXML(t, dir)
				return openTree(dir)
			},
			malformed: "<nodes>\n <node name=\"a\"/>\n <node name=\"b\"></nodes>\n", file: "nodes.xml", open: openTree,
		},
		{
			name: "etch table",
			make: func(t *testing.T, f testFleet) Lister {
				dir := t.TempDir()
				f.writeYAML(t, dir)
				return NewEtch(trees(Tree{Label: "tag", Dir: dir, Table: compileTable(t, dir)}))
			},
			malformed: "x: [a]\ny: [b]\nx: [c]\n", file: "nodegroups.yml",
			open: func(dir string) Lister {
				var table strings.Builder
				_ = CompileTo(&table, dir)
				return openTableFile(dir, table.String())
			},
		},
		{
			name: "file",
			make: func(t *testing.T, f testFleet) Lister {
				path := filepath.Join(t.TempDir(), "hosts.yml")
				f.writeFileKind(t, path)
				return NewFile(path, "")
			},
			malformed: "a: {groups: [x]}\nb:\n  group: [y]\n", file: "hosts.yml",
			open: func(dir string) Lister { return NewFile(filepath.Join(dir, "hosts.yml"), "") },
			pins: true, pinFrom: "hosts.yml:3",
		},
		{
			name: "file table",
			make: func(t *testing.T, f testFleet) Lister {
				path := filepath.Join(t.TempDir(), "hosts.yml")
				f.writeFileKind(t, path)
				return withTable(t, path)
			},
			malformed: "a: {groups: [x]}\nb:\n  group: [y]\n", file: "hosts.yml",
			open: func(dir string) Lister {
				path := filepath.Join(dir, "hosts.yml")
				_, _ = RefreshFileTable(path, path+".table", nil)
				return NewFile(path, path+".table")
			},
			pins: true, pinFrom: "hosts.yml:3",
		},
		{name: "nventory", make: openFakeNVentory, pins: true, pinFrom: "/", unique: true},
		{name: "nodegrouper", make: nodegrouperOf, grouped: true},
		{name: "command", make: commandOf},
		{
			name: "file with stale answers",
			make: func(t *testing.T, f testFleet) Lister {
				path := filepath.Join(t.TempDir(), "hosts.yml")
				f.writeFileKind(t, path)
				return withStaleAnswers(NewFile(path, ""), t.TempDir())
			},
			malformed: "a: {groups: [x]}\nb:\n  group: [y]\n", file: "hosts.yml",
			open: func(dir string) Lister { return withStaleAnswers(NewFile(filepath.Join(dir, "hosts.yml"), ""), dir) },
			pins: true, pinFrom: "hosts.yml:3",
		},
	}
}

// openTableFile returns an inventory of a tree with the given table.
func openTableFile(dir, table string) Lister {
	path := filepath.Join(dir, "table")
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		panic(err)
	}
	return NewEtch(trees(Tree{Label: "tag", Dir: dir, Table: path}))
}

func TestConformance(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			t.Run("known and unknown hosts", k.testHosts)
			t.Run("the spelling of a name does not matter", k.testCase)
			if !k.unique && !k.grouped {
				t.Run("a name that is spelled in two ways", k.testTwoSpellings)
			}
			t.Run("no hosts at all", func(t *testing.T) { checkFleet(t, k.make(t, testFleet{}), testFleet{}) })
			t.Run("groups with names that YAML reads otherwise", k.testOddNames)
			t.Run("listing agrees with lookup", k.testListing)
			t.Run("listing stops when it is told to", k.testStop)
			if k.open != nil {
				t.Run("a mistake is named with file and line", k.testMalformed)
			}
			t.Run("a cancelled context", k.testCancelled)
			if k.pins {
				t.Run("pins", k.testPins)
			}
		})
	}
}

func (k kind) testHosts(t *testing.T) {
	f := testFleet{hosts: []testHost{
		{name: "web1.example.com", groups: []string{"web", "prod", "web"}},
		{name: "bare.example.com"},
	}}
	if k.grouped {
		f.hosts = f.hosts[:1]
	}
	inv := k.make(t, f)
	checkFleet(t, inv, f)
	if a := mustLookup(t, inv, "bare.example.com"); a.Known == k.grouped || len(a.Groups) > 0 || a.Pin != "" {
		t.Errorf("a host without groups: %+v", a)
	}
	if a := mustLookup(t, inv, "web1"); a.Known || a.Groups != nil || a.Pin != "" || a.PinFrom != "" {
		t.Errorf("an unknown host: %+v", a)
	}
	if a := mustLookup(t, inv, "web1.example.com"); !slices.Equal(a.Groups, []string{"prod", "web"}) {
		t.Errorf("groups %q are not sorted and unique", a.Groups)
	}
}

func (k kind) testCase(t *testing.T) {
	f := testFleet{hosts: []testHost{
		{name: "Web1.Example.Com", groups: []string{"a"}},
		{name: "web2", groups: []string{"B"}},
	}}
	checkFleet(t, k.make(t, f), f)
}

func (k kind) testTwoSpellings(t *testing.T) {
	f := testFleet{hosts: []testHost{
		{name: "Web1.Example.Com", groups: []string{"a"}},
		{name: "web2"},
		{name: "WEB1.example.com", groups: []string{"c"}},
	}}
	inv := k.make(t, f)
	checkFleet(t, inv, f)
	if a := mustLookup(t, inv, "web1.example.com"); !slices.Equal(a.Groups, []string{"a", "c"}) {
		t.Errorf("the groups of both spellings: %q", a.Groups)
	}
}

func (k kind) testOddNames(t *testing.T) {
	names := []string{"0x10", "010", "1.50", "10", "1e3", "2026-11-22", "<<", "false", "null", "no", "on", "yes", "~"}
	checkFleet(t, k.make(t, testFleet{hosts: []testHost{{name: "10", groups: names}}}),
		testFleet{hosts: []testHost{{name: "10", groups: names}}})
}

func (k kind) testListing(t *testing.T) {
	f := testFleet{children: map[string][]string{"all": {"web"}}}
	for i := range 100 { // more than one block of a table
		name := strings.Repeat("x", 40+i%20) + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
		f.hosts = append(f.hosts, testHost{name: name, groups: []string{"web", name}})
	}
	checkFleet(t, k.make(t, f), f)
}

func (k kind) testStop(t *testing.T) {
	inv := k.make(t, testFleet{hosts: []testHost{{name: "a"}, {name: "b"}, {name: "c"}}})
	var seen []string
	err := inv.Hosts(t.Context(), func(host string, _ Answer) bool {
		seen = append(seen, host)
		return host != "b"
	})
	if err != nil || !slices.Equal(seen, []string{"a", "b"}) {
		t.Errorf("listed %q, error %v", seen, err)
	}
}

func (k kind) testMalformed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, k.file)
	writeFile(t, path, k.malformed)
	inv := k.open(dir)
	_, lookupErr := inv.Lookup(t.Context(), "a")
	listErr := inv.Hosts(t.Context(), func(host string, _ Answer) bool {
		t.Errorf("host %q of a malformed file is listed", host)
		return true
	})
	for _, err := range []error{lookupErr, listErr} {
		fault, ok := errors.AsType[*Fault](err)
		if !ok || fault.File != path || fault.Line != 3 || !strings.Contains(err.Error(), path+":3: ") {
			t.Errorf("got %v, want a fault in %s:3", err, path)
		}
	}
}

func (k kind) testCancelled(t *testing.T) {
	inv := k.make(t, testFleet{hosts: []testHost{{name: "a"}, {name: "b"}}})
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

func (k kind) testPins(t *testing.T) {
	inv := k.make(t, testFleet{hosts: []testHost{
		{name: "Pinned", groups: []string{"a"}, pin: "tags/release-7"},
		{name: "free"},
	}})
	a := mustLookup(t, inv, "pinned")
	if a.Pin != "tags/release-7" || !strings.HasSuffix(a.PinFrom, k.pinFrom) {
		t.Errorf("pin %q from %q", a.Pin, a.PinFrom)
	}
	if listed := listAll(t, inv)["pinned"]; listed.Pin != a.Pin || listed.PinFrom != a.PinFrom {
		t.Errorf("listed with pin %q from %q", listed.Pin, listed.PinFrom)
	}
	if a := mustLookup(t, inv, "free"); !a.Known || a.Pin != "" || a.PinFrom != "" {
		t.Errorf("a tag that is empty: %+v", a)
	}
}
