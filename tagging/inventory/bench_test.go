package inventory

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
)

// benchTree writes a tree with so many hosts, each in three groups of its own and in parents of them.
func benchTree(b *testing.B, hosts int) (dir string) {
	var nodes bytes.Buffer
	for i := range hosts {
		fmt.Fprintf(&nodes, "web%d.dc%d.example.com:\n- web\n- dc%d\n- rack%d\n", i, i%9, i%9, i%997)
	}
	dir = b.TempDir()
	inventorytest.WriteFile(b, filepath.Join(dir, "nodes.yml"), nodes.String())
	inventorytest.WriteFile(b, filepath.Join(dir, "nodegroups.yml"), "server: [web, mail]\nlinux: [server]\nsite: [dc1, dc2]\n")
	return dir
}

// eachSize runs a benchmark for fleets of several sizes.
func eachSize(b *testing.B, run func(b *testing.B, dir string, hosts int)) {
	for _, hosts := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			run(b, benchTree(b, hosts), hosts)
		})
	}
}

// benchLookup looks up the hosts of a tree, in an order that jumps.
func benchLookup(b *testing.B, tree Tree, hosts int) {
	inv := NewEtch(trees(tree))
	i := 0
	for b.Loop() {
		i = (i + 7919) % hosts
		if a := mustLookup(b, inv, fmt.Sprintf("web%d.dc%d.example.com", i, i%9)); !a.Known {
			b.Fatal("unknown")
		}
	}
}

func BenchmarkLookupInTable(b *testing.B) {
	eachSize(b, func(b *testing.B, dir string, hosts int) {
		benchLookup(b, Tree{Dir: dir, Table: compileTable(b, dir)}, hosts)
	})
}

// benchFile writes a file of the kind "file" with so many hosts.
func benchFile(b *testing.B, hosts int) (path string) {
	var text bytes.Buffer
	for i := range hosts {
		fmt.Fprintf(&text, "web%d.dc%d.example.com: {groups: [web, dc%d, rack%d]}\n", i, i%9, i%9, i%997)
	}
	path = filepath.Join(b.TempDir(), "hosts.yml")
	inventorytest.WriteFile(b, path, text.String())
	return path
}

func BenchmarkLookupInFileTable(b *testing.B) {
	for _, hosts := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(hosts), func(b *testing.B) {
			inv := withTable(b, benchFile(b, hosts))
			i := 0
			for b.Loop() {
				i = (i + 7919) % hosts
				if a := mustLookup(b, inv, fmt.Sprintf("web%d.dc%d.example.com", i, i%9)); !a.Known {
					b.Fatal("unknown")
				}
			}
		})
	}
}

func BenchmarkRefreshFileTable(b *testing.B) {
	path := benchFile(b, 1_000_000)
	b.Run("changed", func(b *testing.B) {
		for b.Loop() {
			if _, err := (fileTable{path: path, table: path + ".table", now: touch}).replace(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		for b.Loop() {
			if rebuilt, err := RefreshFileTable(path, path+".table", nil); err != nil || rebuilt {
				b.Fatal(rebuilt, err)
			}
		}
	})
}

func BenchmarkLookupInFiles(b *testing.B) {
	eachSize(b, func(b *testing.B, dir string, hosts int) { benchLookup(b, Tree{Dir: dir}, hosts) })
}

func BenchmarkCompile(b *testing.B) {
	eachSize(b, func(b *testing.B, dir string, _ int) {
		b.ReportAllocs()
		for b.Loop() {
			if err := CompileTo(io.Discard, dir); err != nil {
				b.Fatal(err)
			}
		}
	})
}
