package config

import (
	"slices"
	"strings"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"go.yaml.in/yaml/v3"
)

// decisive are the keys that decide which tag a host gets, each with the only one below it that does, or none if all do.
var decisive = map[string]string{
	"working_copy": "path",
	"tags":         "every",
	"tagstate":     "",
	"inventory":    "",
	"cache_dir":    "",
	"rings":        "",
}

// LoadDecisive is Load for those who do no more than decide, and reads no more than that takes: the rest of what it
// returns is not to be relied on. A mistake in the rest, or a key of a newer version there, keeps no client from its tag.
// A key that is misspelt counts as the one that was meant.
func LoadDecisive(path string, required bool) (*Config, error) {
	return load(path, required, func(c *Config, data []byte) error { return c.parseDecisive(path, data) })
}

func (c *Config) parseDecisive(file string, data []byte) error {
	if short, ok := c.excerpt(string(data)); ok {
		if excerpt := *c; len(excerpt.parseExcerpt(file, short).found) == 0 {
			*c = excerpt
			return nil
		}
	}
	p := c.parse(file, data, anyCron) // which says in which lines the mistakes are
	p.found = slices.DeleteFunc(p.found, func(f problem) bool { return !isDecisive(f.about) })
	return p.err()
}

// parseExcerpt is parse, by the quick reader if that can read it.
func (c *Config) parseExcerpt(file, text string) *problems {
	root, ok := parse.Plain(text)
	if !ok || !resolve(root) {
		return c.parse(file, []byte(text), anyCron)
	}
	p := &problems{file: file}
	value{problems: p, node: root, line: root.Line}.mapping(c.fields(anyCron)...)
	return p
}

// resolve gives the scalars below a node of the quick reader the types that they have in YAML. It does not know all, and
// returns false at one that it is not sure of.
func resolve(n *yaml.Node) bool {
	for _, child := range n.Content {
		if !resolve(child) {
			return false
		}
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" || n.Style != 0 {
		return true
	}
	first, digits := n.Value[0], strings.Trim(n.Value, "0123456789") == ""
	switch {
	case first < '0' || first > '9':
		return !slices.Contains([]string{"true", "false", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(n.Value))
	case digits && (first != '0' || n.Value == "0"):
		n.Tag = "!!int"
		return true
	}
	return !digits && strings.Trim(n.Value, "0123456789hms") == "" // a duration
}

// anyCron is for those who never need the times.
func anyCron(string) error { return nil }

// isDecisive reports whether something decisive stands at a path, above it or below it. What concerns the file as a
// whole has the empty path.
func isDecisive(path string) bool {
	for key, below := range decisive {
		if below != "" {
			key = joinKey(key, below)
		}
		if isAt(key, path) || isAt(path, key) {
			return true
		}
	}
	return path == ""
}

// excerpt returns the lines of text that say something decisive, without comments: to read YAML takes long. It does not
// know YAML, and is sure only of text in the form in which nearly everybody writes it. Of other text it says that it
// is not; and where it drops a line that it should not have, what is left is no YAML either.
func (c *Config) excerpt(text string) (short string, sure bool) {
	if strings.ContainsAny(text, "\t\r") || strings.Contains(text, "\u0085") || strings.Contains(text, "\u2028") || strings.Contains(text, "\u2029") {
		return "", false // what is a line, and how far is it indented?
	}
	x := excerpt{top: names(c.fields(anyCron)), below: map[string][]string{
		"working_copy": names(c.WorkingCopy.fields()), "tags": names(c.Tags.fields())}}
	for line := range strings.Lines(text) {
		body := strings.Trim(line, " \n")
		if body == "" || body[0] == '#' {
			continue
		}
		if !x.take(line, body, len(line)-len(strings.TrimLeft(line, " "))) {
			return "", false
		}
	}
	return x.out.String(), true
}

// excerpt is one that is being made.
type excerpt struct {
	top   []string            // the keys that there are
	below map[string][]string // and those of sections of which not all is decisive

	seen   []string // sections, of which this is the last
	block  bool     // the keys of this section stand in the lines below its own
	indent int      // of those keys; 0 before the first
	wanted bool     // this line's key is decisive
	out    strings.Builder
}

// take takes a line, or not, and reports whether it is sure of that.
func (x *excerpt) take(line, body string, indent int) bool {
	name, rest, isKey := cutKey(body)
	switch {
	case indent == 0 && isKey:
		if !slices.Contains(x.top, name) || slices.Contains(x.seen, name) {
			return false
		}
		x.seen = append(x.seen, name)
		_, x.wanted = decisive[name]
		x.block, x.indent = rest == "" && decisive[name] != "", 0
	case len(x.seen) == 0, indent == 0 && !strings.HasPrefix(body, "- "):
		return false
	}
	section := x.seen[len(x.seen)-1]
	below, ok := decisive[section]
	if !ok {
		return true
	}
	if !isPlainLine(body) {
		return false
	}
	if indent > 0 && x.block {
		if x.indent == 0 {
			x.indent = indent
		}
		if indent <= x.indent {
			if indent < x.indent || !isKey || !slices.Contains(x.below[section], name) {
				return false
			}
			x.wanted = name == below
		}
	}
	if x.wanted {
		x.out.WriteString(line)
	}
	return true
}

// cutKey takes a key apart from what follows it on its line.
func cutKey(body string) (name, rest string, ok bool) {
	name, rest, ok = strings.Cut(body, ":")
	if !ok || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || rest != "" && rest[0] != ' ' {
		return "", "", false
	}
	return name, strings.TrimLeft(rest, " "), true
}

// isPlainLine reports whether a line begins with a key or is the item of a list, and whatever begins on it, text in quotes
// or something in brackets, ends on it.
func isPlainLine(body string) bool {
	item, isItem := strings.CutPrefix(body, "- ")
	if _, _, ok := cutKey(item); !ok && !isItem {
		return false
	}
	begins, quote, open := true, byte(0), 0 // a value may begin here; the quote that is open, and how many brackets
	for i := range len(body) {
		switch c := body[i]; {
		case quote != 0:
			if c == '\\' || c > '~' {
				return false
			}
			if c == quote {
				quote = 0
			}
		case c > '~' || strings.IndexByte("|>!&*?%@`", c) >= 0:
			return false
		case c == '#' && i > 0 && body[i-1] == ' ':
			return open == 0
		case begins && (c == '"' || c == '\''):
			quote = c
		case c == '[' || c == '{':
			begins, open = true, open+1
		case c == ']' || c == '}':
			begins, open = false, open-1
		case c != ' ':
			begins = c == ':' || c == '-' || c == ','
		}
	}
	return quote == 0 && open == 0
}
