package inventory

import (
	"strings"
	"testing"

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
			"a:", "b:", "c: x", "d: [x]", "e: {f: x}", "- x", "- y", "- z: y", "x", "# x", "", "g: 'x", "h: \"x\\ty\"", "i: x y",
		}).Draw(t, "body")
	})
	rapid.Check(t, func(t *rapid.T) {
		for range 50 {
			checkQuickReader(t, strings.Join(rapid.SliceOfN(pieces, 0, 12).Draw(t, "pieces"), ""))
			checkQuickReader(t, strings.Join(rapid.SliceOfN(line, 0, 6).Draw(t, "lines"), "\n"))
		}
	})
}
