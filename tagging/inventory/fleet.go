package inventory

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// fleet is what etch's files in one tree say of all hosts.
type fleet struct {
	nodes   *roster             // names in lower case
	parents map[string][]string // of a group
}

// readFleet reads the files of the tree in the directory dir. A file that is not there is empty, but only
// if the directory is still there afterwards: a tag that is pruned meanwhile must not read as a tree
// without hosts. A mistake in a file is a Fault whose File is the name without dir.
func readFleet(dir string) (*fleet, error) {
	before, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	nodes, err := readRoster(dir, form{stem: "nodes", element: "node", member: "group"})
	if err != nil {
		return nil, err
	}
	groups, err := readRoster(dir, form{stem: "nodegroups", element: "nodegroup", member: "child"})
	if err != nil {
		return nil, err
	}
	after, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !os.SameFile(before, after) {
		return nil, fmt.Errorf("read %s: it was replaced meanwhile", dir)
	}
	return newFleet(nodes, groups)
}

// newFleet makes a fleet from the hosts with their groups and the groups with their children.
func newFleet(nodes, groups *roster) (*fleet, error) {
	if err := nodes.lowerNames(); err != nil {
		return nil, err
	}
	f := &fleet{nodes: nodes, parents: make(map[string][]string)}
	for _, parent := range groups.rows {
		for _, child := range groups.lists.All[parent.list] {
			f.parents[child] = append(f.parents[child], parent.name)
		}
	}
	return f, nil
}

// lookup returns the groups of one host.
func (f *fleet) lookup(host string) (groups []string, known bool) {
	var rows []row
	for _, r := range f.nodes.rows {
		if r.name == host {
			rows = append(rows, r)
		}
	}
	return f.groups(rows), len(rows) > 0
}

// groups returns the groups of a host that stands in rows: its own, the parents of those, the parents of
// the parents and so on. Circles in the hierarchy do no harm.
func (f *fleet) groups(rows []row) []string {
	indices := make([]int32, len(rows))
	for i, r := range rows {
		indices[i] = r.list
	}
	found := f.nodes.lists.Union(indices...)
	seen := make(map[string]bool, len(found))
	for _, group := range found {
		seen[group] = true
	}
	for i := 0; i < len(found); i++ {
		for _, parent := range f.parents[found[i]] {
			if !seen[parent] {
				seen[parent] = true
				found = append(found, parent)
			}
		}
	}
	slices.Sort(found)
	return found
}

// hosts calls yield for each host in the order of their names, with the rows that it stands in, until
// yield returns false. It sorts the fleet's rows.
func (f *fleet) hosts(yield func(host string, rows []row) bool) {
	rows := f.nodes.rows
	slices.SortFunc(rows, func(a, b row) int { return strings.Compare(a.name, b.name) })
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].name == rows[0].name {
			n++
		}
		if !yield(rows[0].name, rows[:n]) {
			return
		}
		rows = rows[n:]
	}
}
