package inventory

import (
	"context"
	"errors"
	"strings"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"go.yaml.in/yaml/v3"
)

// Command is the inventory that any program can be. It is run for each host, whose name is its last argument,
// and prints a mapping in YAML or JSON: {groups: [...], tag: PATH}. Both keys may be left out; a single group
// needs no list; a tag that is empty or null is no pin. No output, null or an empty mapping says that the
// host is unknown. Any other key is an error, because a misspelt pin must not be lost without a word.
type Command struct {
	words   []string
	options ProgramOptions
}

var _ Inventory = (*Command)(nil)

// NewCommand returns the inventory that runs words, the program and its arguments before the host. A
// program without a slash is looked for in $PATH.
func NewCommand(words []string, o ProgramOptions) *Command { return &Command{words: words, options: o} }

// Name implements Inventory.
func (c *Command) Name() string { return "command " + strings.Join(c.words, " ") }

// Lookup implements Inventory.
func (c *Command) Lookup(ctx context.Context, host string) (Answer, error) {
	if len(c.words) == 0 {
		return Answer{}, errors.New("no command is configured")
	}
	p := program{path: c.words[0], args: c.words[1:], options: c.options}
	output, err := p.ask(ctx, host)
	if err != nil {
		return Answer{}, err
	}
	a, err := parseAnswer("output of "+p.path, host, output)
	if err != nil {
		return Answer{}, err
	}
	if a.Pin != "" {
		a.PinFrom = c.Name()
	}
	return a, nil
}

// parseAnswer reads what a program prints about a host. All errors are Faults of file.
func parseAnswer(file, host, text string) (Answer, error) {
	var r *answerReader
	begin := func() parse.Visitor {
		r = &answerReader{host: host, content: fileContent{path: file, lists: parse.NewLists()}, lineOf: map[string]int{}}
		return r.addKey
	}
	var err error
	if isJSONObject(text) {
		err = eachJSONEntry(file, text, begin())
	} else {
		err = parse.EachEntry(file, text, begin)
	}
	if err != nil {
		return Answer{}, err
	}
	return Answer{
		Known:  len(r.lineOf) > 0,
		Groups: r.content.lists.Union(r.entry.groups...),
		Pin:    r.entry.pin,
	}, nil
}

// answerReader collects an answer, which is like one entry of a File.
type answerReader struct {
	host    string
	content fileContent
	entry   fileHost
	lineOf  map[string]int // of the keys
}

// addKey adds one key of the answer.
func (r *answerReader) addKey(key, value *yaml.Node) error {
	file := r.content.path
	name, err := parse.KeyText(file, key)
	if err != nil {
		return err
	}
	if first, found := r.lineOf[name]; found {
		return parse.Faultf(file, key.Line, "key %q stands here a second time; the first is in line %d", name, first)
	}
	r.lineOf[name] = key.Line
	entry := yaml.Node{Kind: yaml.MappingNode, Line: key.Line, Content: []*yaml.Node{key, value}}
	if err := r.content.addKeys(&r.entry, r.host, &entry); err != nil {
		return err
	}
	if name != "groups" {
		return nil
	}
	for _, group := range r.content.lists.Union(r.entry.groups...) {
		if !isGroupName(group) {
			return parse.Faultf(file, value.Line, "%.100q is no group: it has characters that cannot be seen", group)
		}
	}
	return nil
}
