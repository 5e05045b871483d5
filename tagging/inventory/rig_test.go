package inventory

import (
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"pgregory.net/rapid"
)

// mustLookup looks up a host.
func mustLookup(t rapid.TB, inv Inventory, host string) Answer {
	t.Helper()
	a, err := inv.Lookup(context.Background(), host)
	if err != nil {
		t.Fatalf("look up %q in %s: %v", host, inv.Name(), err)
	}
	return a
}

// listAll returns all that an inventory lists, and checks the order.
func listAll(t rapid.TB, inv Lister) map[string]Answer {
	all := map[string]Answer{}
	for host, a := range inventorytest.ListAll(t, inventorytest.Of(inv)) {
		all[host] = Answer(a)
	}
	return all
}

// checkFleet fails the test unless inv answers for every host of f, and for some others, as it must.
func checkFleet(t rapid.TB, inv Lister, f inventorytest.Fleet) {
	t.Helper()
	inventorytest.CheckFleet(t, inventorytest.Of(inv), f)
}

// trees makes a sequence of trees.
func trees(list ...Tree) func(yield func(Tree) bool) { return slices.Values(list) }

func openTree(dir string) Lister { return NewEtch(trees(Tree{Label: "tag", Dir: dir})) }

// openTableFile returns an inventory of a tree with the given table.
func openTableFile(dir, table string) Lister {
	path := filepath.Join(dir, "table")
	if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
		panic(err)
	}
	return NewEtch(trees(Tree{Label: "tag", Dir: dir, Table: path}))
}
