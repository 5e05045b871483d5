package parse

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// plainReader reads the small part of YAML in which inventories are nearly always written, many times
// faster than the library and without holding the whole document: block mappings, block lists of names,
// lists and mappings in brackets on one line, names that are plain or quoted without escapes, comments,
// printable ASCII. It never reports a mistake. Whatever it is not sure of, correct or not, it leaves to
// the library, so it may know less YAML than there is but must not know any that is different.
type plainReader struct {
	rest   string // what follows the current line
	number int    // of the current line, counted from 1
	indent int    // of the current line
	body   string // of the current line, without the indent
	end    bool   // there is no current line

	whole bool         // all is wanted, and whatever depth it has
	pool  []*yaml.Node // nodes for reuse: if not all is wanted, they live as long as one entry
	used  int          // of pool
}

// maxPlainKey is the length in bytes of the longest key that plainReader takes. YAML has a limit of 1024.
const maxPlainKey = 1000

// eachPlainEntry visits the entries of the mapping in text. It returns false if text is more than it can
// read or if visit has failed; some entries may have been visited then.
func eachPlainEntry(text string, visit Visitor) bool {
	if !isPlainText(text) {
		return false
	}
	p := &plainReader{rest: text}
	p.next()
	if !p.end && p.indent == 0 && p.body == "---" {
		p.next()
	}
	return p.mapping(0, visit) && p.end
}

// Plain returns the mapping that text is, if it is plain enough; otherwise the library has to read it. Scalars that are
// not in quotes are taken for text, whatever they look like, and have no style.
func Plain(text string) (n *yaml.Node, ok bool) {
	if !isPlainText(text) {
		return nil, false
	}
	p := &plainReader{rest: text, whole: true}
	p.next()
	n = p.node(yaml.MappingNode, "!!map", "", p.number)
	return n, p.mapping(0, adding(n)) && p.end
}

// adding adds entries to a mapping.
func adding(n *yaml.Node) Visitor {
	return func(key, value *yaml.Node) error {
		n.Content = append(n.Content, key, value)
		return nil
	}
}

// isPlainText reports whether text is printable ASCII with the ends of lines of Unix or Windows.
func isPlainText(text string) bool {
	for i := range len(text) {
		c := text[i]
		if (c < ' ' || c > '~') && c != '\n' && (c != '\r' || !strings.HasPrefix(text[i:], "\r\n")) {
			return false
		}
	}
	return true
}

// next goes to the next line that is neither blank nor a comment.
func (p *plainReader) next() {
	for p.rest != "" {
		line := p.rest
		if i := strings.IndexByte(p.rest, '\n'); i >= 0 {
			line, p.rest = p.rest[:i], p.rest[i+1:]
		} else {
			p.rest = ""
		}
		p.number++
		p.body = strings.TrimLeft(line, " ")
		p.indent = len(line) - len(p.body)
		p.body = strings.TrimSuffix(p.body, "\r")
		if p.body != "" && p.body[0] != '#' {
			return
		}
	}
	p.end = true
}

// mapping reads a block mapping, whose keys stand at indent. It stops at the first line with another
// indent, like all that reads lines here: one that fits nowhere is left over in the end.
func (p *plainReader) mapping(indent int, visit Visitor) bool {
	for !p.end && p.indent == indent {
		if indent == 0 && !p.whole {
			p.used = 0
		}
		key, rest, ok := p.name(p.body)
		if !ok || len(p.body)-len(rest) > maxPlainKey || !strings.HasPrefix(rest, ":") {
			return false
		}
		value, ok := p.value(indent, rest[1:])
		if !ok || visit(key, value) != nil {
			return false
		}
	}
	return true
}

// value reads what follows a key that stands at indent, and goes to the line after it.
func (p *plainReader) value(indent int, rest string) (*yaml.Node, bool) {
	if isBlank(rest) {
		return p.block(indent)
	}
	if rest[0] != ' ' {
		return nil, false
	}
	n, rest, ok := p.inline(strings.TrimLeft(rest, " "))
	if !ok || !isBlank(rest) {
		return nil, false
	}
	p.next()
	return n, true
}

// block reads the lines below a key that stands at indent.
func (p *plainReader) block(indent int) (*yaml.Node, bool) {
	line := p.number
	p.next()
	switch {
	case !p.end && p.indent >= indent && strings.HasPrefix(p.body, "- "):
		return p.list()
	case !p.end && p.indent > indent:
		n := p.node(yaml.MappingNode, "!!map", "", p.number)
		return n, (indent == 0 || p.whole) && p.mapping(p.indent, adding(n))
	}
	return p.node(yaml.ScalarNode, "!!null", "", line), true
}

// list reads a block list of names, or of anything if all is wanted, whose first line is the current one.
func (p *plainReader) list() (*yaml.Node, bool) {
	n, indent := p.node(yaml.SequenceNode, "!!seq", "", p.number), p.indent
	for !p.end && p.indent == indent && strings.HasPrefix(p.body, "- ") {
		item, ok := p.item(strings.TrimLeft(p.body[1:], " "))
		if !ok {
			return nil, false
		}
		n.Content = append(n.Content, item)
	}
	return n, true
}

// item reads an item of a block list, whose first line begins with s, and goes to the line after it.
func (p *plainReader) item(s string) (*yaml.Node, bool) {
	if !p.whole {
		n, rest, ok := p.name(s)
		p.next()
		return n, ok && isBlank(rest)
	}
	if s == "" {
		return nil, false
	}
	n, rest, ok := p.inline(s)
	if ok && isBlank(rest) {
		p.next()
		return n, true
	}
	p.indent, p.body = p.indent+len(p.body)-len(s), s
	n = p.node(yaml.MappingNode, "!!map", "", p.number)
	return n, p.mapping(p.indent, adding(n)) && len(n.Content) > 0
}

// inline reads a name, a list or a mapping at the beginning of s and returns what follows it.
func (p *plainReader) inline(s string) (n *yaml.Node, rest string, ok bool) {
	switch s[0] {
	case '[':
		n = p.node(yaml.SequenceNode, "!!seq", "", p.number)
		rest, ok = p.bracket(s[1:], ']', func(s string) (string, bool) {
			item, rest, ok := p.name(s)
			n.Content = append(n.Content, item)
			return rest, ok
		})
		return n, rest, ok
	case '{':
		n = p.node(yaml.MappingNode, "!!map", "", p.number)
		rest, ok = p.bracket(s[1:], '}', func(s string) (string, bool) {
			key, rest, ok := p.name(s)
			rest, colon := strings.CutPrefix(rest, ": ")
			rest = strings.TrimLeft(rest, " ")
			if !ok || !colon || rest == "" || rest[0] == '{' || len(s)-len(rest) > maxPlainKey {
				return "", false
			}
			value, rest, ok := p.inline(rest)
			n.Content = append(n.Content, key, value)
			return rest, ok
		})
		return n, rest, ok
	}
	return p.name(s)
}

// bracket reads items that commas part, up to and including the closing bracket.
func (p *plainReader) bracket(s string, closing byte, item func(string) (string, bool)) (string, bool) {
	s = strings.TrimLeft(s, " ")
	if s != "" && s[0] == closing {
		return s[1:], true
	}
	for {
		rest, ok := item(s)
		rest = strings.TrimLeft(rest, " ")
		if !ok || rest == "" {
			return "", false
		}
		if rest[0] == closing {
			return rest[1:], true
		}
		if rest[0] != ',' {
			return "", false
		}
		s = strings.TrimLeft(rest[1:], " ")
	}
}

// name reads a plain or quoted scalar at the beginning of s and returns what follows it.
func (p *plainReader) name(s string) (n *yaml.Node, rest string, ok bool) {
	if s == "" {
		return nil, "", false
	}
	if quote := s[0]; quote == '"' || quote == '\'' {
		length := strings.IndexByte(s[1:], quote)
		if length < 0 {
			return nil, "", false
		}
		text, rest := s[1:1+length], s[length+2:]
		escapes := quote == '"' && strings.IndexByte(text, '\\') >= 0 ||
			quote == '\'' && strings.HasPrefix(rest, "'")
		n = p.node(yaml.ScalarNode, "!!str", text, p.number)
		n.Style = yaml.DoubleQuotedStyle
		if quote == '\'' {
			n.Style = yaml.SingleQuotedStyle
		}
		return n, rest, !escapes
	}
	length := 0
	for length < len(s) && isNameByte(s[length]) {
		length++
	}
	text := s[:length]
	if length == 0 || strings.IndexByte("-+.@", text[0]) >= 0 || len(text) == 4 && strings.EqualFold(text, "null") {
		return nil, "", false
	}
	return p.node(yaml.ScalarNode, "!!str", text, p.number), s[length:], true
}

// isNameByte reports whether c means nothing in a plain scalar but itself.
func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '-' || c == '_' || c == '/' || c == '+' || c == '@'
}

// isBlank reports whether rest, which follows something on its line, is nothing but blanks and a comment.
func isBlank(rest string) bool {
	trimmed := strings.TrimLeft(rest, " ")
	return trimmed == "" || trimmed[0] == '#' && len(trimmed) < len(rest)
}

// node takes a node from the pool.
func (p *plainReader) node(kind yaml.Kind, tag, value string, line int) *yaml.Node {
	if p.used == len(p.pool) {
		p.pool = append(p.pool, new(yaml.Node))
	}
	n := p.pool[p.used]
	p.used++
	*n = yaml.Node{Kind: kind, Tag: tag, Value: value, Line: line, Content: n.Content[:0]}
	return n
}
