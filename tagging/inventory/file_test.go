package inventory

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"github.com/etch/etchtag/tagging/inventory/parse"
)

func TestFileEntries(t *testing.T) {
	tests := []struct{ name, entry, groups, pin, from string }{
		{"nothing", "h:", "", "", ""},
		{"an empty mapping", "h: {}", "", "", ""},
		{"both keys", "h:\n  groups: [b, a, b]\n  tag: trunk", "a b", "trunk", "3"},
		{"a single group", "h: {groups: web}", "web", "", ""},
		{"groups that are nothing", "h: {groups: , tag: trunk}", "", "trunk", "1"},
		{"a tag that is null", "h: {tag: ~}", "", "", ""},
		{"a tag that is empty", "h: {tag: ''}", "", "", ""},
		{"a tag that is a number", "h: {tag: 0x10}", "", "0x10", "1"},
		{"a block of groups", "h:\n  groups:\n  - a\n  - b\n  tag: tags/x", "a b", "tags/x", "5"},
		{"another entry's list", "i: {groups: &g [a, b]}\nh: {groups: *g, tag: trunk}", "a b", "trunk", "2"},
		{"another entry", "i: &i {groups: [a], tag: trunk}\nh: *i", "a", "trunk", "1"},
		{"two spellings", "h: {groups: [a]}\nH: {groups: [b], tag: trunk}", "a b", "trunk", "2"},
		{"two spellings with the same pin", "h: {tag: trunk}\nH: {tag: trunk}", "", "trunk", "1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(inventorytest.TreeOf(t, "hosts.yml", test.entry), "hosts.yml")
			a := mustLookup(t, NewFile(path, ""), "h")
			from := ""
			if test.from != "" {
				from = path + ":" + test.from
			}
			if got := strings.Join(a.Groups, " "); !a.Known || got != test.groups || a.Pin != test.pin || a.PinFrom != from {
				t.Errorf("got %+v, want groups %q, pin %q from %q", a, test.groups, test.pin, from)
			}
		})
	}
}

func TestMistakesInFiles(t *testing.T) {
	tests := []struct {
		name, text string
		line       int
		problem    string
	}{
		{"a list", "- h", 1, "a mapping is expected"},
		{"an entry that is a list", "g:\nh: [web]", 2, `host "h": a mapping with groups and tag is expected, not a list`},
		{"an entry that is text", "h: trunk", 1, "not a single value"},
		{"an unknown key", "h:\n  groups: [a]\n  tags: trunk", 3, `host "h": unknown key "tags"`},
		{"a key twice", "h:\n  tag: a\n  tag: b", 3, `key "tag" stands here a second time`},
		{"a host twice", "h: {}\ni: {}\nh: {}", 3, "the first is in line 1"},
		{"a tag that is a list", "h:\n  tag: [a]", 2, "the tag must be a path, not a list"},
		{"groups that are a mapping", "h:\n  groups: {a: b}", 2, "a list of names is expected, not a mapping"},
		{"a group that is a list", "h:\n  groups:\n  - [a]", 3, "a name is expected, not a list"},
		{"different pins", "h: {tag: a}\nH: {tag: b}", 2, `host "H" is pinned to "b" here and to "a" in line 1`},
		{"a long name", strings.Repeat("h", 300) + ": {}", 1, "300 bytes long"},
		{"no YAML", "h: {", 1, ""},
		{"a merge key", "g: &g {tag: a}\nh:\n  <<: *g", 3, "merge keys"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(inventorytest.TreeOf(t, "hosts.yml", test.text), "hosts.yml")
			_, err := NewFile(path, "").Lookup(t.Context(), "h")
			inventorytest.CheckFault(t, err, path, test.line, test.problem)
		})
	}
}

func TestFileThatIsNotThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hosts.yml")
	_, err := NewFile(path, "").Lookup(t.Context(), "h")
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestFileInUTF16IsReadAndItsLinesAreCounted(t *testing.T) {
	encode := func(order binary.AppendByteOrder, text string) string {
		var b []byte
		for _, unit := range utf16.Encode([]rune("\uFEFF" + text)) {
			b = order.AppendUint16(b, unit)
		}
		return string(b)
	}
	for _, order := range []binary.AppendByteOrder{binary.LittleEndian, binary.BigEndian} {
		c, err := parseFile("f", encode(order, "h: {groups: [\u2028\u2028web]}\n"))
		if err != nil || len(c.hosts) != 1 {
			t.Errorf("%v: %v, %v", order, c, err)
		}
		_, err = parseFile("f", encode(order, "g: {groups: [web]}\nh: {groups: [web]}\nh: {}\n"))
		if fault, ok := errors.AsType[*parse.Fault](err); !ok || fault.Line != 3 {
			t.Errorf("%v: the fault is %v", order, err)
		}
		if _, err := parseFile("f", encode(order, "h: {}\n")+"x"); err == nil {
			t.Errorf("%v: half a character is no fault", order)
		}
	}
}
