package parse

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Visitor is called for each entry of a YAML mapping, in the file's order. It must not keep the nodes,
// only their strings.
type Visitor func(key, value *yaml.Node) error

// EachEntry visits the entries of the mapping that a YAML file consists of. It calls begin for the
// visitor, and calls it again to start anew if the quick reader meets something that it leaves to the
// full one. All errors are Faults of the file, if those of the visitor are.
func EachEntry(file, text string, begin func() Visitor) error {
	if eachPlainEntry(text, begin()) {
		return nil
	}
	return eachYAMLEntry(file, text, begin())
}

// eachYAMLEntry is EachEntry for all of YAML. An empty document has no entries; a second one in the
// same file is a fault, because its hosts would be lost without a word.
func eachYAMLEntry(file, text string, visit Visitor) error {
	text = FromUTF16(text)
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var doc, second yaml.Node
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return yamlFault(file, text, err)
	}
	switch err := decoder.Decode(&second); {
	case err == nil:
		return Faultf(file, second.Line, "a second YAML document begins here; only one is possible")
	case !errors.Is(err, io.EOF):
		return yamlFault(file, text, err)
	}
	root := doc.Content[0]
	if IsNull(root) {
		return nil
	}
	if root.Kind != yaml.MappingNode {
		return Faultf(file, root.Line, "a mapping is expected, not %s", KindOf(root))
	}
	for i := 0; i < len(root.Content); i += 2 {
		if err := visit(root.Content[i], root.Content[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// FromUTF16 returns a text that begins with the mark of UTF-16 in UTF-8. The library reads both, but lines are counted in
// bytes here. What is no UTF-16 after all stays as it is, for the library to complain of.
func FromUTF16(text string) string {
	var order binary.ByteOrder
	switch {
	case strings.HasPrefix(text, "\xff\xfe"):
		order = binary.LittleEndian
	case strings.HasPrefix(text, "\xfe\xff"):
		order = binary.BigEndian
	}
	if order == nil || len(text)%2 != 0 {
		return text
	}
	var units []uint16
	for unit := range slices.Chunk([]byte(text[2:]), 2) {
		units = append(units, order.Uint16(unit))
	}
	runes := utf16.Decode(units)
	if slices.Contains(runes, utf8.RuneError) {
		return text
	}
	return string(runes)
}

// IsNull reports whether n is nothing, as YAML has it: null, ~, or no text at all.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// Target follows an alias to what it stands for.
func Target(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// KindOf names the kind of n in an error.
func KindOf(n *yaml.Node) string {
	switch {
	case IsNull(n):
		return "nothing"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	}
	return "a single value"
}

// KeyText returns the text of a mapping's key, just as it is written: 10 and no are names too.
func KeyText(file string, key *yaml.Node) (string, error) {
	n := Target(key)
	switch {
	case n.Tag == "!!merge":
		return "", Faultf(file, key.Line, "merge keys (<<) are not possible here")
	case n.Kind != yaml.ScalarNode || IsNull(n) || n.Value == "":
		return "", Faultf(file, key.Line, "a name is expected, not %s", KindOf(n))
	}
	return n.Value, nil
}

// appendNames appends the names that value lists: several, a single one, or none. Names that are empty
// are left out. It does not descend, so aliases cannot multiply.
func appendNames(names []string, file string, value *yaml.Node) ([]string, error) {
	n := Target(value)
	items := n.Content
	switch n.Kind {
	case yaml.ScalarNode:
		items = []*yaml.Node{n}
	case yaml.SequenceNode:
	default:
		return nil, Faultf(file, value.Line, "a list of names is expected, not %s", KindOf(n))
	}
	for _, item := range items {
		scalar := Target(item)
		if scalar.Kind != yaml.ScalarNode {
			return nil, Faultf(file, item.Line, "a name is expected, not %s", KindOf(scalar))
		}
		if !IsNull(scalar) && scalar.Value != "" {
			names = append(names, scalar.Value)
		}
	}
	return names, nil
}
