package inventory

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// testHost is one entry of an inventory, as it is written.
type testHost struct {
	name   string
	groups []string
	pin    string
}

// testFleet is the content of an inventory, apart from its form. Names may differ in case alone, but do not
// repeat.
type testFleet struct {
	hosts    []testHost
	children map[string][]string // of a group
}

// answers is what an inventory must say of every host, found in the most simple-minded way.
func (f testFleet) answers() map[string][]string {
	all := map[string][]string{}
	for _, h := range f.hosts {
		name := strings.ToLower(h.name)
		all[name] = append(all[name], h.groups...)
	}
	for name, groups := range all {
		for grown := true; grown; {
			grown = false
			for parent, children := range f.children {
				for _, child := range children {
					if slices.Contains(groups, child) && !slices.Contains(groups, parent) {
						groups, grown = append(groups, parent), true
					}
				}
			}
		}
		slices.Sort(groups)
		all[name] = slices.Compact(groups)
	}
	return all
}

// quoteYAML quotes what is not plainly a string.
func quoteYAML(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.") == "" &&
		!strings.EqualFold(name, "null") {
		return name
	}
	return strconv.Quote(name)
}

// yamlList writes names in one of the styles that YAML has for them.
func yamlList(names []string, style int) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteYAML(name)
	}
	switch {
	case style == 0 && len(names) > 0:
		return "\n- " + strings.Join(quoted, "\n- ")
	case style == 1 && len(names) > 0:
		return "\n    - " + strings.Join(quoted, "\n    - ")
	case style == 2 && len(names) == 1:
		return " " + quoted[0]
	case style == 2 && len(names) == 0:
		return ""
	}
	return " [" + strings.Join(quoted, ", ") + "]"
}

// writeYAML writes nodes.yml and nodegroups.yml.
func (f testFleet) writeYAML(t rapid.TB, dir string) {
	var nodes, groups strings.Builder
	for i, h := range f.hosts {
		fmt.Fprintf(&nodes, "%s:%s\n", quoteYAML(h.name), yamlList(h.groups, i%4))
	}
	for i, parent := range slices.Sorted(maps.Keys(f.children)) {
		fmt.Fprintf(&groups, "%s:%s\n", quoteYAML(parent), yamlList(f.children[parent], i%4))
	}
	writeFile(t, filepath.Join(dir, "nodes.yml"), nodes.String())
	writeFile(t, filepath.Join(dir, "nodegroups.yml"), groups.String())
}

// writeXML writes nodes.xml and nodegroups.xml.
func (f testFleet) writeXML(t rapid.TB, dir string) {
	var nodes, groups strings.Builder
	nodes.WriteString("<?xml version=\"1.0\"?>\n<!DOCTYPE nodes SYSTEM \"nodes.dtd\">\n<nodes>\n")
	for _, h := range f.hosts {
		writeElement(&nodes, "node", h.name, "group", h.groups)
	}
	groups.WriteString("<nodegroups>\n")
	for _, parent := range slices.Sorted(maps.Keys(f.children)) {
		writeElement(&groups, "nodegroup", parent, "child", f.children[parent])
	}
	writeFile(t, filepath.Join(dir, "nodes.xml"), nodes.String()+"</nodes>\n")
	writeFile(t, filepath.Join(dir, "nodegroups.xml"), groups.String()+"</nodegroups>\n")
}

func writeElement(w *strings.Builder, element, name, member string, members []string) {
	fmt.Fprintf(w, "  <%s name=\"%s\">\n", element, escapeXML(name))
	for _, m := range members {
		fmt.Fprintf(w, "    <%s>%s</%[1]s>\n", member, escapeXML(m))
	}
	fmt.Fprintf(w, "  </%s>\n", element)
}

func escapeXML(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	return escaped.String()
}

// writeFileKind writes the file of the kind "file", which has no hierarchy: parents are written out.
func (f testFleet) writeFileKind(t rapid.TB, path string) {
	all := f.answers()
	var text strings.Builder
	for i, h := range f.hosts {
		groups := quoteAll(all[strings.ToLower(h.name)])
		switch i % 3 {
		case 0:
			fmt.Fprintf(&text, "%s:\n  groups: [%s]\n  tag: %s\n", quoteYAML(h.name), groups, h.pin)
		case 1:
			fmt.Fprintf(&text, "%s: {groups: [%s], tag: %q}\n", quoteYAML(h.name), groups, h.pin)
		case 2:
			fmt.Fprintf(&text, "%s:\n    tag: %q\n    groups: [%s]\n", quoteYAML(h.name), h.pin, groups)
		}
	}
	writeFile(t, path, text.String())
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteYAML(name)
	}
	return strings.Join(quoted, ", ")
}

func writeFile(t rapid.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// compileTable compiles the tree in dir to a file beside it and returns its path.
func compileTable(t rapid.TB, dir string) string {
	t.Helper()
	var table bytes.Buffer
	if err := CompileTo(&table, dir); err != nil {
		t.Fatal(err)
	}
	path := dir + ".table"
	writeFile(t, path, table.String())
	return path
}

// tempDir is t.TempDir for rapid, which has none. What is made beside the directory goes with it.
func tempDir(t *rapid.T) string {
	parent, err := os.MkdirTemp("", "inventory")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	dir := filepath.Join(parent, "tree")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// genFleet generates fleets that have few names in many combinations.
func genFleet(maxHosts int) *rapid.Generator[testFleet] {
	name := rapid.StringMatching(`[abAB][12]{0,3}(\.[xyX]{1,2})?`)
	group := rapid.SampledFrom([]string{"dev", "qa", "stg", "web", "10", "no", "on", "null", "~", "a b", "<&>", "é"})
	groups := rapid.SliceOfN(group, 0, 5)
	return rapid.Custom(func(t *rapid.T) testFleet {
		var f testFleet
		for _, name := range rapid.SliceOfNDistinct(name, 0, maxHosts, rapid.ID[string]).Draw(t, "names") {
			f.hosts = append(f.hosts, testHost{name: name, groups: groups.Draw(t, "groups")})
		}
		f.children = rapid.MapOfN(group, groups, 0, 6).Draw(t, "children")
		return f
	})
}

// mustLookup looks up a host.
func mustLookup(t rapid.TB, inv Inventory, host string) Answer {
	t.Helper()
	a, err := inv.Lookup(context.Background(), host)
	if err != nil {
		t.Fatalf("look up %q in %s: %v", host, inv.Name(), err)
	}
	return a
}

// lister returns all that an inventory lists, and checks the order.
func listAll(t rapid.TB, inv Lister) map[string]Answer {
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

// checkFleet fails the test unless inv answers for every host of f, and for some others, as it must.
func checkFleet(t rapid.TB, inv Lister, f testFleet) {
	t.Helper()
	want := f.answers()
	for host, groups := range want {
		if a := mustLookup(t, inv, host); !a.Known || !slices.Equal(a.Groups, groups) {
			t.Fatalf("%s: host %q: known %v, groups %q; want %q", inv.Name(), host, a.Known, a.Groups, groups)
		}
	}
	for _, host := range []string{"", "a", "a1", "b222.yy", "zz", "0"} {
		if _, found := want[host]; !found && mustLookup(t, inv, host).Known {
			t.Fatalf("%s: host %q is known", inv.Name(), host)
		}
	}
	listed := listAll(t, inv)
	if len(listed) != len(want) {
		t.Fatalf("%s lists %d hosts, want %d", inv.Name(), len(listed), len(want))
	}
	for host, a := range listed {
		if !a.Known || !slices.Equal(a.Groups, want[host]) {
			t.Fatalf("%s lists %q with groups %q, want %q", inv.Name(), host, a.Groups, want[host])
		}
	}
}

// trees makes a sequence of trees.
func trees(list ...Tree) func(yield func(Tree) bool) { return slices.Values(list) }

func TestAllFormsOfAFleetGiveTheSameAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := genFleet(40).Draw(t, "fleet")
		yml, xml, file := tempDir(t), tempDir(t), filepath.Join(tempDir(t), "hosts.yml")
		fleet.writeYAML(t, yml)
		fleet.writeXML(t, xml)
		fleet.writeFileKind(t, file)
		checkFleet(t, NewEtch(trees(Tree{Dir: yml})), fleet)
		checkFleet(t, NewEtch(trees(Tree{Dir: xml})), fleet)
		checkFleet(t, NewFile(file, ""), fleet)
	})
}
