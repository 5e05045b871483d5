// Package attr says what .gitattributes make of a path, and converts line ends as they say.
//
// It is our own because go-git's format/gitattributes answers wrongly for negated classes and panics on "*/", and because
// it converts nothing.
package attr

import (
	"bytes"
	"strings"
)

const (
	FileName = ".gitattributes"
	// MaxAttributesLine is the length in bytes from which git ignores a line of an attribute file.
	MaxAttributesLine = 2048
	// MaxAttributesFile is the size in bytes from which git ignores a whole attribute file.
	MaxAttributesFile = 100 << 20
	attributesBlank   = " \t\r\n"
	macroPrefix       = "[attr]"
)

// State is what the attribute files say of one attribute of a path.
type State struct {
	Kind  Kind
	Value string // of kind attrValue
}

// Kind says what is known of an attribute.
type Kind byte

const (
	attrUnspecified Kind = iota // nothing said, or "!attr"
	Set
	Unset // "-attr"
	Value // "attr=value"
)

// Is reports whether the attribute has the value given.
func (s State) Is(value string) bool { return s.Kind == Value && s.Value == value }

// Attributes holds the attribute files that apply to some directory. Each directory's pointer leads
// to its parent's; the root's to $GIT_DIR/info/attributes, which has the last word everywhere.
type Attributes struct {
	parent *Attributes
	dir    string // with a slash behind it, empty for the root
	rules  []attrRule
	shared *attrShared
}

// attrShared is what all directories of a tree have in common.
type attrShared struct {
	info   []attrRule
	macros map[string][]attrAssignment
}

type attrRule struct {
	pattern attrPattern
	sets    []attrAssignment
}

type attrAssignment struct {
	name  string
	state State
}

// New returns the attributes of a tree's root directory, from the contents of its attribute
// file and of $GIT_DIR/info/attributes; either may be nil. Only these two may define macros.
func New(root, info []byte) *Attributes {
	a := &Attributes{shared: &attrShared{macros: map[string][]attrAssignment{}}}
	macros := a.shared.macros
	parseAttrLine("[attr]binary -diff -merge -text", macros)
	a.rules = parseAttributes(cutAtNUL(root), macros)
	// Unlike an attribute file in a tree, one of the file system may begin with a byte-order mark.
	a.shared.info = parseAttributes(bytes.TrimPrefix(info, []byte("\xef\xbb\xbf")), macros)
	return a
}

// Enter returns the attributes of the directory dir below a, whose attribute file has the contents given.
func (a *Attributes) Enter(dir string, file []byte) *Attributes {
	rules := parseAttributes(cutAtNUL(file), nil)
	if len(rules) == 0 {
		return a
	}
	return &Attributes{parent: a, dir: dir + "/", rules: rules, shared: a.shared}
}

// Values is what is said of one path, by attribute.
type Values map[string]State

// Of returns what is said of path, which must lie in the directory that a is of. A slash stands behind
// a directory's path. The result is nil if nothing is said.
func (a *Attributes) Of(path string) Values {
	var values Values
	values = a.apply(values, a.shared.info, "", path)
	for ; a != nil; a = a.parent {
		values = a.apply(values, a.rules, a.dir, path)
	}
	return values
}

// apply lets the rules, of which later ones win, say what no stronger rule has said yet.
func (a *Attributes) apply(values Values, rules []attrRule, dir, path string) Values {
	for i := len(rules) - 1; i >= 0; i-- {
		if rules[i].pattern.matches(dir, path) {
			values = a.assign(values, rules[i].sets)
		}
	}
	return values
}

func (a *Attributes) assign(values Values, sets []attrAssignment) Values {
	if values == nil {
		values = Values{}
	}
	for i := len(sets) - 1; i >= 0; i-- {
		s := sets[i]
		if _, said := values[s.name]; said {
			continue
		}
		values[s.name] = s.state
		if macro := a.shared.macros[s.name]; macro != nil && s.state.Kind == Set {
			a.assign(values, macro)
		}
	}
	return values
}

// attrPattern is the pattern of one line, taken apart as git does it.
type attrPattern struct {
	text     string
	literal  int  // how many bytes of text stand before the first special character
	dirOnly  bool // a slash stood behind it
	basename bool // no slash in it: it is matched with the last component only
	suffix   bool // a star and then nothing special
}

func parseAttrPattern(text string) attrPattern {
	var p attrPattern
	p.literal = strings.IndexAny(text, `*?[\`)
	if p.literal < 0 {
		p.literal = len(text)
	}
	p.suffix = strings.HasPrefix(text, "*") && !strings.ContainsAny(text[1:], `*?[\`)
	p.text, p.dirOnly = strings.CutSuffix(text, "/")
	p.literal = min(p.literal, len(p.text))
	p.basename = !strings.Contains(p.text, "/")
	return p
}

// matches reports whether the pattern, standing in the attribute file of dir (with a slash behind it,
// or empty), matches path, behind which a slash stands if it is a directory.
func (p attrPattern) matches(dir, path string) bool {
	path, isDir := strings.CutSuffix(path, "/")
	if p.dirOnly && !isDir {
		return false
	}
	if p.basename {
		return p.matchesBasename(path[strings.LastIndexByte(path, '/')+1:])
	}
	text, literal := p.text, p.literal
	if text[0] == '/' {
		text, literal = text[1:], literal-1
	}
	name, below := strings.CutPrefix(path, dir)
	if !below || name == "" || !strings.HasPrefix(name, text[:literal]) {
		return false
	}
	return wildmatch(text[literal:], name[literal:], true)
}

func (p attrPattern) matchesBasename(name string) bool {
	switch {
	case p.literal == len(p.text):
		return name == p.text
	case p.suffix:
		return strings.HasSuffix(name, p.text[1:])
	}
	return wildmatch(p.text, name, false)
}

// parseAttributes reads an attribute file. Macros are added to macros, or skipped where that is nil.
// As in git, a line with an error in it means nothing.
func parseAttributes(file []byte, macros map[string][]attrAssignment) []attrRule {
	if len(file) >= MaxAttributesFile {
		return nil
	}
	var rules []attrRule
	for line := range strings.Lines(string(file)) {
		line = strings.TrimSuffix(line, "\n")
		line, _, _ = strings.Cut(line, "\x00")
		if rule, ok := parseAttrLine(line, macros); ok {
			rules = append(rules, rule)
		}
	}
	return rules
}

// parseAttrLine reads one line. It returns false for a line without a rule.
func parseAttrLine(line string, macros map[string][]attrAssignment) (attrRule, bool) {
	text := strings.TrimLeft(line, attributesBlank)
	if text == "" || text[0] == '#' || len(line) >= MaxAttributesLine {
		return attrRule{}, false
	}
	name, rest, quoted := unquoteC(text)
	if !quoted {
		end := strings.IndexAny(text+" ", attributesBlank)
		name, rest = text[:end], text[end:]
	}
	macro, isMacro := strings.CutPrefix(name, macroPrefix)
	if isMacro = isMacro && macro != ""; isMacro {
		macro = strings.TrimLeft(macro, attributesBlank)
		macro = macro[:strings.IndexAny(macro+" ", attributesBlank)]
		if macros == nil || !validAttrName(macro) {
			return attrRule{}, false
		}
	}
	sets, ok := parseAssignments(rest)
	if !ok {
		return attrRule{}, false
	}
	if isMacro {
		macros[macro] = sets
		return attrRule{}, false
	}
	name, _, _ = strings.Cut(name, "\x00")
	if strings.HasPrefix(name, "!") {
		return attrRule{}, false
	}
	return attrRule{parseAttrPattern(name), sets}, true
}

// parseAssignments reads the attributes of a line.
func parseAssignments(text string) ([]attrAssignment, bool) {
	sets := []attrAssignment{}
	blank := func(r rune) bool { return strings.ContainsRune(attributesBlank, r) }
	for _, word := range strings.FieldsFunc(text, blank) {
		name, value, valued := strings.Cut(word, "=")
		state := State{Kind: Set}
		switch {
		case strings.HasPrefix(name, "-"):
			name, state.Kind = name[1:], Unset
		case strings.HasPrefix(name, "!"):
			name, state.Kind = name[1:], attrUnspecified
		case valued:
			state = State{Value, value}
		}
		if !validAttrName(name) {
			return nil, false
		}
		sets = append(sets, attrAssignment{name, state})
	}
	return sets, true
}

func validAttrName(name string) bool {
	if name == "" || name[0] == '-' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if alnum, _ := inClass("alnum", c); !alnum && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// unquoteC reads a name in double quotes at the beginning of text, with C's escapes in it. It returns
// false if there is none or if it is malformed; then the name is to be taken as it stands.
func unquoteC(text string) (name, rest string, ok bool) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", false
	}
	var out strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; c {
		case '"':
			return out.String(), text[i+1:], true
		case '\\':
			i++
			c, n := unescapeC(text[i:])
			if n == 0 {
				return "", "", false
			}
			out.WriteByte(c)
			i += n - 1
		default:
			out.WriteByte(c)
		}
	}
	return "", "", false
}

// unescapeC reads what stands behind a backslash; n is its length, 0 if it is malformed.
func unescapeC(s string) (c byte, n int) {
	if s == "" {
		return 0, 0
	}
	const letters, controls = `abfnrtv\"`, "\a\b\f\n\r\t\v\\\""
	if i := strings.IndexByte(letters, s[0]); i >= 0 {
		return controls[i], 1
	}
	if len(s) < 3 || s[0] > '3' {
		return 0, 0
	}
	for _, d := range []byte(s[:3]) {
		if d < '0' || '7' < d {
			return 0, 0
		}
		c = c<<3 | (d - '0')
	}
	return c, 3
}

// cutAtNUL ends an attribute file of a tree at its first NUL, as git does.
func cutAtNUL(file []byte) []byte {
	file, _, _ = bytes.Cut(file, []byte{0})
	return file
}
