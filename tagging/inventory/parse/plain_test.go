package parse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/parse/parsetest"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
)

func TestQuickReaderTakesTheUsualForms(t *testing.T) {
	for _, text := range []string{
		"",
		"---\n# hosts\nweb1.example.com:\n- web\n- dc1\n\nweb-2:\n  - web # the second\n10: [a, 'b c', \"d\"]\nx: {}\ny:\n",
		"web1: {groups: [a, b], tag: tags/etchautotag-20261122-0900}\n",
		"web1:\n  groups: [a]\n  tag: trunk\nweb2:\n    groups:\n    - a\n    - b\n",
		"web1:\r\n- web\r\n",
	} {
		if !eachPlainEntry(text, func(_, _ *yaml.Node) error { return nil }) {
			t.Errorf("left to the full reader: %q", text)
		}
	}
}

func TestQuickReaderAgreesWithTheFullOne(t *testing.T) {
	pieces := rapid.SampledFrom([]string{
		"a", "b:", "c: ", "'d'", "\"e\"", "- ", "-", "[", "]", "{", "}", ",", ", ", ": ", ":", " ", "  ", "\n", "\n", "\n- ",
		"\n  ", "\n  - ", "#", " # x\n", "---\n", "null", "~", "&l ", "*l", "!t ", "|", "\\", "'", "\"", "\r\n", "\r", "\t", "é", "?", "%",
	})
	line := rapid.Custom(func(t *rapid.T) string {
		indent := rapid.SampledFrom([]string{"", "", "  ", "  ", "    "}).Draw(t, "indent")
		return indent + rapid.SampledFrom([]string{
			"a:", "b:", "c: x", "d: [x]", "e: {f: x}", "- x", "- y", "- z: y", "x", "# x", "", "g: 'x", "h: \"x\\ty\"", "i: x y", "- j: [x]", "-   k: x",
		}).Draw(t, "body")
	})
	rapid.Check(t, func(t *rapid.T) {
		for range 50 {
			checkQuickReader(t, strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "pieces"), ""))
			checkQuickReader(t, strings.Join(rapid.SliceOfN(line, 0, 6).Draw(t, "lines"), "\n"))
		}
	})
}

// checkQuickReader fails the test if the quick reader takes text, or all of it, and the full one does not agree.
func checkQuickReader(t rapid.TB, text string) {
	var plain, whole, full []string
	taken, n, takenWhole := eachPlainEntry(text, keepEntries(&plain)), (*yaml.Node)(nil), false
	if n, takenWhole = Plain(text); takenWhole {
		visit := keepEntries(&whole)
		for i := 0; i < len(n.Content); i += 2 {
			_ = visit(n.Content[i], n.Content[i+1])
		}
	}
	if !taken && !takenWhole {
		return
	}
	if err := eachYAMLEntry("f", text, keepEntries(&full)); err != nil {
		t.Fatalf("the quick reader takes %q, which is not YAML: %v", text, err)
	}
	want := strings.Join(full, "\n")
	if got := strings.Join(plain, "\n"); taken && got != want {
		t.Fatalf("%q: the quick reader has\n%s\nthe full one\n%s", text, got, want)
	}
	if got := strings.Join(whole, "\n"); takenWhole && got != want {
		t.Fatalf("%q: as a whole, the quick reader has\n%s\nthe full one\n%s", text, got, want)
	}
}

// keepEntries collects the entries of a mapping in a form that can be compared: everything that may
// follow from them.
func keepEntries(into *[]string) Visitor {
	var describe func(n *yaml.Node) string
	describe = func(n *yaml.Node) string {
		text := fmt.Sprintf("%d %v %q %t", n.Kind, IsNull(n), n.Value, n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0)
		if !IsNull(n) {
			text += fmt.Sprintf(" line %d", n.Line)
		}
		for _, child := range n.Content {
			text += " (" + describe(child) + ")"
		}
		return text
	}
	return func(key, value *yaml.Node) error {
		*into = append(*into, describe(key)+": "+describe(value))
		return nil
	}
}

// FuzzPlainYAML holds that the quick reader of YAML either gives up or agrees with the full one.
func FuzzPlainYAML(f *testing.F) {
	for _, seed := range parsetest.YAML() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) { checkQuickReader(t, text) })
}
