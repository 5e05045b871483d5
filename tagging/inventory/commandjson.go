package inventory

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"go.yaml.in/yaml/v3"
)

// isJSONObject reports whether text is one JSON object. It would be YAML as well, were it not for some
// escapes in strings, of the slash and of characters in two halves, that the YAML library does not know.
func isJSONObject(text string) bool {
	begins := strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{")
	return begins && utf8.ValidString(text) && json.Valid([]byte(text))
}

// eachJSONEntry visits the entries of the JSON object that text is, repeated ones included.
func eachJSONEntry(file, text string, visit parse.Visitor) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	line := func() int { return 1 + parse.CountBreaks(text[:decoder.InputOffset()]) }
	if _, err := decoder.Token(); err != nil {
		return parse.Faultf(file, line(), "%v", err)
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return parse.Faultf(file, line(), "%v", err)
		}
		keyLine := line()
		var value any
		if err := decoder.Decode(&value); err != nil {
			return parse.Faultf(file, line(), "%v", err)
		}
		if err := visit(jsonNode(key, keyLine), jsonNode(value, keyLine)); err != nil {
			return err
		}
	}
	return nil
}

// jsonNode returns a JSON value as a node of YAML, an object without what is in it. Numbers and truth values
// are names as they are written.
func jsonNode(value any, line int) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Line: line}
	switch value := value.(type) {
	case nil:
		n.Tag = "!!null"
	case string:
		n.Value = value
	case json.Number:
		n.Value = value.String()
	case bool:
		n.Value = map[bool]string{false: "false", true: "true"}[value]
	case []any:
		n.Kind = yaml.SequenceNode
		for _, item := range value {
			n.Content = append(n.Content, jsonNode(item, line))
		}
	default:
		n.Kind = yaml.MappingNode
	}
	return n
}
