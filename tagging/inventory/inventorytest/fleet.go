// Package inventorytest is the conformance suite of inventories, and makes the fleets that they are tested with.
// It does not import package inventory, so that the tests inside that package can import it.
package inventorytest

import (
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

// Host is one entry of an inventory, as it is written.
type Host struct {
	Name   string
	Groups []string
	Pin    string
}

// Fleet is the content of an inventory, apart from its form. Names may differ in case alone, but do not
// repeat.
type Fleet struct {
	Hosts    []Host
	children map[string][]string // of a group
}

// Names returns the names of the hosts as they are written.
func (f Fleet) Names() []string {
	var names []string
	for _, h := range f.Hosts {
		names = append(names, h.Name)
	}
	return names
}

// Answers is what an inventory must say of every host, found in the most simple-minded way.
func (f Fleet) Answers() map[string][]string {
	all := map[string][]string{}
	for _, h := range f.Hosts {
		name := strings.ToLower(h.Name)
		all[name] = append(all[name], h.Groups...)
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

// WriteYAML writes nodes.yml and nodegroups.yml.
func (f Fleet) WriteYAML(t rapid.TB, dir string) {
	var nodes, groups strings.Builder
	for i, h := range f.Hosts {
		fmt.Fprintf(&nodes, "%s:%s\n", quoteYAML(h.Name), yamlList(h.Groups, i%4))
	}
	for i, parent := range slices.Sorted(maps.Keys(f.children)) {
		fmt.Fprintf(&groups, "%s:%s\n", quoteYAML(parent), yamlList(f.children[parent], i%4))
	}
	WriteFile(t, filepath.Join(dir, "nodes.yml"), nodes.String())
	WriteFile(t, filepath.Join(dir, "nodegroups.yml"), groups.String())
}

// WriteXML writes nodes.xml and nodegroups.xml.
func (f Fleet) WriteXML(t rapid.TB, dir string) {
	var nodes, groups strings.Builder
	nodes.WriteString("<?xml version=\"1.0\"?>\n<!DOCTYPE nodes SYSTEM \"nodes.dtd\">\n<nodes>\n")
	for _, h := range f.Hosts {
		writeElement(&nodes, "node", h.Name, "group", h.Groups)
	}
	groups.WriteString("<nodegroups>\n")
	for _, parent := range slices.Sorted(maps.Keys(f.children)) {
		writeElement(&groups, "nodegroup", parent, "child", f.children[parent])
	}
	WriteFile(t, filepath.Join(dir, "nodes.xml"), nodes.String()+"</nodes>\n")
	WriteFile(t, filepath.Join(dir, "nodegroups.xml"), groups.String()+"</nodegroups>\n")
}

func writeElement(w *strings.Builder, element, name, member string, members []string) {
	fmt.Fprintf(w, "  <%s name=\"%s\">\n", element, EscapeXML(name))
	for _, m := range members {
		fmt.Fprintf(w, "    <%s>%s</%[1]s>\n", member, EscapeXML(m))
	}
	fmt.Fprintf(w, "  </%s>\n", element)
}

func EscapeXML(text string) string {
	var escaped strings.Builder
	_ = xml.EscapeText(&escaped, []byte(text))
	return escaped.String()
}

// WriteFileKind writes the file of the kind "file", which has no hierarchy: parents are written out.
func (f Fleet) WriteFileKind(t rapid.TB, path string) {
	all := f.Answers()
	var text strings.Builder
	for i, h := range f.Hosts {
		groups := QuoteAll(all[strings.ToLower(h.Name)])
		switch i % 3 {
		case 0:
			fmt.Fprintf(&text, "%s:\n  groups: [%s]\n  tag: %s\n", quoteYAML(h.Name), groups, h.Pin)
		case 1:
			fmt.Fprintf(&text, "%s: {groups: [%s], tag: %q}\n", quoteYAML(h.Name), groups, h.Pin)
		case 2:
			fmt.Fprintf(&text, "%s:\n    tag: %q\n    groups: [%s]\n", quoteYAML(h.Name), h.Pin, groups)
		}
	}
	WriteFile(t, path, text.String())
}

func QuoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quoteYAML(name)
	}
	return strings.Join(quoted, ", ")
}

func WriteFile(t rapid.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TempDir is t.TempDir for rapid, which has none. What is made beside the directory goes with it.
func TempDir(t *rapid.T) string {
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

// GenFleet generates fleets that have few names in many combinations.
func GenFleet(maxHosts int) *rapid.Generator[Fleet] {
	name := rapid.StringMatching(`[abAB][12]{0,3}(\.[xyX]{1,2})?`)
	group := rapid.SampledFrom([]string{"dev", "qa", "stg", "web", "10", "no", "on", "null", "~", "a b", "<&>", "é"})
	groups := rapid.SliceOfN(group, 0, 5)
	return rapid.Custom(func(t *rapid.T) Fleet {
		var f Fleet
		for _, name := range rapid.SliceOfNDistinct(name, 0, maxHosts, rapid.ID[string]).Draw(t, "names") {
			f.Hosts = append(f.Hosts, Host{Name: name, Groups: groups.Draw(t, "groups")})
		}
		f.children = rapid.MapOfN(group, groups, 0, 6).Draw(t, "children")
		return f
	})
}

// TreeOf writes files, given as name and content in turn, to a new directory.
func TreeOf(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		WriteFile(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}
