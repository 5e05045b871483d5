package inventory

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// Nodegrouper is the inventory that each of etch's trees has in its program nodegrouper, which prints the
// groups of the host that is its argument, one a line. It knows the hosts that it names a group of.
//
// As in the etch server a line is a name, blanks within it included, and the parents that nodegroups.yml
// gives groups do not count for these.
type Nodegrouper struct {
	trees   iter.Seq[Tree]
	options ProgramOptions
}

var _ Inventory = (*Nodegrouper)(nil)

// NewNodegrouper returns the inventory that runs the program of the first of trees, in that tree. The trees
// are asked for anew for each Lookup. If that program is missing or fails, so does the Lookup: the etch
// server refuses such a tree, too, and to mark its tag bad leads to another. Without any tree no host is known.
func NewNodegrouper(trees iter.Seq[Tree], o ProgramOptions) *Nodegrouper {
	return &Nodegrouper{trees: trees, options: o}
}

// Name implements Inventory.
func (n *Nodegrouper) Name() string { return "nodegrouper" }

// Lookup implements Inventory.
func (n *Nodegrouper) Lookup(ctx context.Context, host string) (Answer, error) {
	if err := ctx.Err(); err != nil {
		return Answer{}, err
	}
	for tree := range n.trees {
		groups, err := n.groups(ctx, tree, host)
		if err != nil {
			return Answer{}, fmt.Errorf("ask the nodegrouper of %s: %w", tree.Label, err)
		}
		return Answer{Known: len(groups) > 0, Groups: groups}, nil
	}
	return Answer{}, nil
}

// groups asks the program of a tree.
func (n *Nodegrouper) groups(ctx context.Context, tree Tree, host string) ([]string, error) {
	dir, err := filepath.Abs(tree.Dir) // because it runs there
	if err != nil {
		return nil, err
	}
	p := program{path: filepath.Join(dir, "nodegrouper"), dir: dir, options: n.options}
	output, err := p.ask(ctx, host)
	if err != nil {
		return nil, err
	}
	return parseGroups("output of "+p.path, output)
}

// parseGroups reads names, one a line, and returns them sorted and without repetition. White space around
// them does not matter.
func parseGroups(file, text string) ([]string, error) {
	var groups []string
	number := 0
	for line := range strings.Lines(text) {
		number++
		group := strings.TrimSpace(line)
		if group == "" {
			continue
		}
		if !isGroupName(group) {
			return nil, parse.Faultf(file, number, "%.100q is no group: it has characters that cannot be seen", group)
		}
		groups = append(groups, group)
	}
	return parse.SortedSet(groups), nil
}

// isGroupName reports whether a program may call a group so. No selector of a ring could be seen to differ
// from a name with invisible characters.
func isGroupName(name string) bool {
	return utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) })
}
