package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/etch/etchtag/tagstate/lines"
	"go.yaml.in/yaml/v3"
)

// maxSize is far more than any configuration needs, in bytes.
const maxSize = 1 << 20

// Load reads the configuration in the file at path. If the file is not required and absent, the
// defaults hold. The error names everything that is wrong with the file, a line each.
func Load(path string, required bool, cron Cron) (*Config, error) {
	return load(path, required, func(c *Config, data []byte) error { return c.Parse(path, data, cron) })
}

func load(path string, required bool, parse func(c *Config, data []byte) error) (*Config, error) {
	c := Default()
	data, err := readFile(path)
	switch {
	case !required && errors.Is(err, fs.ErrNotExist) && !isLink(path):
		return &c, nil
	case err != nil:
		return nil, fmt.Errorf("read the configuration: %w", err)
	}
	if err := parse(&c, data); err != nil {
		return nil, err
	}
	return &c, nil
}

// Salvage returns what a mark needs of the configuration in the file at path, which Load refuses: where marks stand,
// where the working copy is, how often tags are made. Of these, too, what is wrong has its default, and so has all
// else: a tag that is bad is to be marked whatever else is wrong.
func Salvage(path string) *Config {
	c, read := Default(), Default()
	data, err := readFile(path)
	if err != nil {
		return &c
	}
	p := read.parse(path, data, anyCron)
	if !p.concerns("tagstate") {
		c.Tagstate = read.Tagstate
	}
	c.WorkingCopy.Path, c.Tags.Every = read.WorkingCopy.Path, read.Tags.Every // which are taken only if they are right
	return &c
}

func readFile(path string) ([]byte, error) {
	f, err := lines.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("more than 1 MiB is no configuration")}
	}
	return data, nil
}

// isLink tells a link to nowhere, which somebody meant to be a configuration, from a file that is absent.
func isLink(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// Parse sets what data, the contents of file, says.
func (c *Config) Parse(file string, data []byte, cron Cron) error {
	return c.parse(file, data, cron).err()
}

func (c *Config) parse(file string, data []byte, cron Cron) *problems {
	p := &problems{file: file}
	if root := p.document(data); root != nil {
		value{problems: p, node: root, line: root.Line}.mapping(c.fields(cron)...)
	}
	return p
}

// problems collects what is wrong with one file.
type problems struct {
	file  string
	found []problem
}

// problem is one thing that is wrong with a configuration.
type problem struct {
	line    int    // counted from 1
	key     string // its full path, such as "rings[1].delay"; empty for the file as a whole
	about   string // the path of what it may concern: of a key that there is not, the one that was meant
	message string
}

func (p *problems) add(line int, key, message string) {
	p.found = append(p.found, problem{line, key, key, message})
}

// concern says what the last problem may concern, other than its key.
func (p *problems) concern(path string) { p.found[len(p.found)-1].about = path }

func (p *problems) count() int { return len(p.found) }

// concerns reports whether something is wrong with a key, or below it.
func (p *problems) concerns(key string) bool {
	return slices.ContainsFunc(p.found, func(f problem) bool { return isAt(f.key, key) })
}

// isAt reports whether a path is that of a key, or leads to something below it.
func isAt(path, key string) bool {
	rest, ok := strings.CutPrefix(path, key)
	return ok && (rest == "" || strings.ContainsAny(rest[:1], ".["))
}

// err joins the problems in the order of their lines, or is nil if there are none. Passwords in URLs
// are left out.
func (p *problems) err() error {
	slices.SortStableFunc(p.found, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var problems []error
	for _, found := range p.found {
		text := found.message
		if found.key != "" {
			text = found.key + ": " + text
		}
		text = strings.ReplaceAll(withoutUserinfo(text), "\n", " ")
		problems = append(problems, fmt.Errorf("%s:%d: %s", p.file, found.line, text))
	}
	return errors.Join(problems...)
}

// withoutUserinfo hides everything from "://" to the last "@". That may be more than a password, but
// no password is too odd for it.
func withoutUserinfo(text string) string {
	start, end := strings.Index(text, "://"), strings.LastIndexByte(text, '@')
	if start < 0 || end < start {
		return text
	}
	return text[:start+len("://")] + "***" + text[end:]
}

// document returns the top of the only document in data, or nil if there is nothing or it cannot be read.
func (p *problems) document(data []byte) *yaml.Node {
	if line, message := unreadableByte(data); message != "" {
		p.add(line, "", message)
		return nil
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var first, second yaml.Node
	if err := decoder.Decode(&first); err != nil {
		p.addSyntax(err)
		return nil
	}
	if err := decoder.Decode(&second); err == nil {
		p.add(second.Line, "", "a second document starts here: a configuration is a single one")
	} else {
		p.addSyntax(err)
	}
	if len(first.Content) == 0 {
		return nil
	}
	return first.Content[0]
}

// addSyntax adds an error of the YAML parser. The end of the file is no problem.
func (p *problems) addSyntax(err error) {
	if errors.Is(err, io.EOF) {
		return
	}
	line, message := syntaxLine(strings.TrimPrefix(err.Error(), "yaml: "))
	p.add(line, "", "this is not YAML: "+message)
}

// syntaxLine takes "line 7: what is wrong" apart. The number is missing in the first line, and counted
// from 0 if it is the grammar that is broken, not a token.
func syntaxLine(text string) (line int, message string) {
	message = text
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, rest, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				line, message = n, rest
			}
		}
	}
	if line == 0 || isGrammarError(message) {
		line++
	}
	return line, message
}

func isGrammarError(message string) bool {
	switch strings.TrimPrefix(message, "did not find expected ") {
	case "key", "node content", "',' or ']'", "',' or '}'", "'-' indicator", "<document start>":
		return true
	}
	return false
}

// unreadableByte finds the first byte that YAML does not allow, because its parser does not say where that is.
func unreadableByte(data []byte) (line int, message string) {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			message = fmt.Sprintf("the byte 0x%02x is not UTF-8", data[i])
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			message = fmt.Sprintf("the control character 0x%02x is not allowed", r)
		}
		if message != "" {
			return 1 + bytes.Count(data[:i], []byte("\n")), message
		}
		i += size
	}
	return 0, ""
}

// value is one value of the file, and where it stands.
type value struct {
	problems *problems
	node     *yaml.Node
	line     int
	key      string // its full path
}

// field is a key that a mapping may have, and what takes its value.
type field struct {
	name string
	read func(value)
}

func (v value) fail(format string, args ...any) {
	v.problems.add(v.line, v.key, fmt.Sprintf(format, args...))
}

// check reports err, if there is one.
func (v value) check(err error) {
	if err != nil {
		v.fail("%s", err)
	}
}

// is reports whether the value is of a kind, and of one of the types that tags name. It is a problem if not.
func (v value) is(what string, kind yaml.Kind, tags ...string) bool {
	switch {
	case v.node.Kind == yaml.AliasNode:
		v.fail("an alias is not supported: write the value out")
	case v.node.Tag == "!!null":
		v.fail("has no value: without the key, its default holds")
	case v.node.Kind == kind && slices.Contains(tags, v.node.Tag):
		return true
	case kind == yaml.ScalarNode && v.node.Kind == kind && what == "text":
		v.fail("must be text: write %q in quotes", v.node.Value)
	default:
		v.fail("must be %s, not %s", what, describeNode(v.node))
	}
	return false
}

// describeNode says what a node is in the words of our messages.
func describeNode(n *yaml.Node) string {
	what := strconv.Quote(n.Value)
	switch {
	case n.Kind == yaml.MappingNode:
		what = "a mapping"
	case n.Kind == yaml.SequenceNode:
		what = "a list"
	case n.Kind == yaml.AliasNode:
		return "an alias"
	case n.Tag == "!!str":
		return "text"
	}
	if n.Style&yaml.TaggedStyle != 0 {
		what += " of the type " + n.Tag
	}
	return what
}

// mapping reads the entries of a mapping that are given. A mapping without any, as when all of them are
// commented out, is no problem.
func (v value) mapping(entries ...field) {
	if v.node.Tag == "!!null" || !v.is("a mapping", yaml.MappingNode, "!!map") {
		return
	}
	lines := make([]int, len(entries))
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		at := v.sub(key, v.node.Content[i+1])
		known := slices.IndexFunc(entries, func(e field) bool { return e.name == key.Value })
		switch {
		case key.Tag == "!!merge":
			at.fail("a merge key is not supported: write the keys out")
			v.problems.concern(v.key)
		case key.Kind != yaml.ScalarNode:
			v.problems.add(key.Line, v.key, "a key must be a word, not "+describeNode(key))
		case known < 0:
			at.unknown(v.key, key.Value, entries)
		case lines[known] > 0:
			at.fail("is given twice, first in line %d", lines[known])
		default:
			lines[known] = key.Line
			entries[known].read(at)
		}
	}
}

// sub is the value of a key in the mapping v.
func (v value) sub(key, node *yaml.Node) value {
	name := key.Value
	if quoted := strconv.Quote(name); quoted != `"`+name+`"` || name == "" || strings.ContainsAny(name, " :") {
		name = quoted
	}
	return value{v.problems, node, key.Line, joinKey(v.key, name)}
}

func joinKey(mapping, key string) string {
	if mapping == "" {
		return key
	}
	return mapping + "." + key
}

// at finds the value of a key that v may have. If it is not given, what is said of it is said of v's place.
func (v value) at(name string) (at value, given bool) {
	if v.node.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(v.node.Content); i += 2 {
			if key := v.node.Content[i]; key.Value == name {
				return v.sub(key, v.node.Content[i+1]), true
			}
		}
	}
	return value{v.problems, v.node, v.line, joinKey(v.key, name)}, false
}

// require reports the keys that the mapping v lacks.
func (v value) require(names ...string) {
	if v.node.Kind != yaml.MappingNode && v.node.Tag != "!!null" {
		return // which was reported already
	}
	for _, name := range names {
		if at, given := v.at(name); !given {
			at.fail("is missing")
		}
	}
}

// refuse reports a key that makes no sense beside the others in the mapping v.
func (v value) refuse(name, why string) {
	if at, given := v.at(name); given {
		at.fail("%s", why)
	}
}

// list calls read for each item of a list, and reports whether there is a list.
func (v value) list(read func(item value)) bool {
	if !v.is("a list", yaml.SequenceNode, "!!seq") {
		return false
	}
	for i, node := range v.node.Content {
		read(value{v.problems, node, node.Line, fmt.Sprintf("%s[%d]", v.key, i)})
	}
	return true
}

// readText takes a text that check accepts.
func readText(to *string, check func(string) error) func(value) {
	return func(v value) {
		if !v.is("text", yaml.ScalarNode, "!!str", "!!timestamp") {
			return
		}
		if err := check(v.node.Value); err != nil {
			v.check(err)
			return
		}
		*to = v.node.Value
	}
}

// readTexts takes a list of texts that check accepts.
func readTexts(to *[]string, check func(string) error) func(value) {
	return func(v value) {
		var all []string
		if v.list(func(item value) {
			before := v.problems.count()
			var one string
			readText(&one, check)(item)
			if v.problems.count() == before {
				all = append(all, one)
			}
		}) {
			*to = all
		}
	}
}

// readDuration takes a duration that check accepts, in the text form of Go.
func readDuration(to *time.Duration, check func(time.Duration) error) func(value) {
	return func(v value) {
		const example = `such as "90s", "5m" or "1h30m"`
		if !v.is("a duration "+example, yaml.ScalarNode, "!!str", "!!int", "!!float") {
			return
		}
		d, err := time.ParseDuration(v.node.Value)
		switch _, number := strconv.ParseFloat(v.node.Value, 64); {
		case err != nil && number == nil:
			v.fail("%s has no unit: write a duration %s", v.node.Value, example)
		case err != nil:
			v.fail("%q is not a duration %s", v.node.Value, example)
		default:
			if err := check(d); err != nil {
				v.check(err)
				return
			}
			*to = d
		}
	}
}

// readCount takes a whole number, 0 or more.
func readCount(to *int) func(value) {
	return func(v value) {
		const what = "a whole number, 0 or more"
		if !v.is(what, yaml.ScalarNode, "!!int") {
			return
		}
		n, err := strconv.Atoi(v.node.Value)
		if err != nil || n < 0 || strconv.Itoa(n) != v.node.Value {
			v.fail("must be %s, not %s", what, v.node.Value)
			return
		}
		*to = n
	}
}

// readPercent takes a number from 0 to 100, and notes that there is one.
func readPercent(to *float64, given *bool) func(value) {
	return func(v value) {
		const what = "a number from 0 to 100"
		if !v.is(what, yaml.ScalarNode, "!!int", "!!float") {
			return
		}
		n, err := strconv.ParseFloat(v.node.Value, 64)
		if err != nil || !(0 <= n && n <= 100) {
			v.fail("must be %s, not %s", what, v.node.Value)
			return
		}
		*to, *given = n, true
	}
}

// unknown reports a key of a mapping that there is not, and helps somebody who has misspelt one.
func (v value) unknown(mapping, name string, entries []field) {
	if near := nearestKey(name, entries); near != "" {
		v.fail("unknown key, did you mean %q?", near)
		v.problems.concern(joinKey(mapping, near))
		return
	}
	v.fail("unknown key, the keys here are %s", strings.Join(names(entries), ", "))
}

func names(entries []field) []string {
	all := make([]string, len(entries))
	for i, e := range entries {
		all[i] = e.name
	}
	return all
}

// nearestKey is the key that was meant, if one is so near that there is no doubt.
func nearestKey(name string, entries []field) string {
	const near = 2 // mistakes
	best, distance := "", near+1
	for _, e := range entries {
		if len(name) > len(e.name)+near {
			continue
		}
		if d := editDistance(name, e.name); d < distance {
			best, distance = e.name, d
		}
	}
	if distance >= len(best) {
		return ""
	}
	return best
}

// editDistance counts the letters to insert, remove or replace (Levenshtein's distance).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
