package inventory

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"pgregory.net/rapid"
)

func kinds() []inventorytest.Kind {
	return []inventorytest.Kind{
		{
			Name: "etch yml",
			Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
				dir := t.TempDir()
				f.WriteYAML(t, dir)
				return inventorytest.Of(openTree(dir))
			},
			Malformed: "a: [x]\nb: [y]\nc: [[z]]\n", File: "nodes.yml", Open: func(dir string) inventorytest.Inventory { return inventorytest.Of(openTree(dir)) },
		},
		{
			Name: "etch xml",
			Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
				dir := t.TempDir()
				f.WriteXML(t, dir)
				return inventorytest.Of(openTree(dir))
			},
			Malformed: "<nodes>\n <node name=\"a\"/>\n <node name=\"b\"></nodes>\n", File: "nodes.xml", Open: func(dir string) inventorytest.Inventory { return inventorytest.Of(openTree(dir)) },
		},
		{
			Name: "etch table",
			Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
				dir := t.TempDir()
				f.WriteYAML(t, dir)
				return inventorytest.Of(NewEtch(trees(Tree{Label: "tag", Dir: dir, Table: compileTable(t, dir)})))
			},
			Malformed: "x: [a]\ny: [b]\nx: [c]\n", File: "nodegroups.yml",
			Open: func(dir string) inventorytest.Inventory {
				var table strings.Builder
				_ = CompileTo(&table, dir)
				return inventorytest.Of(openTableFile(dir, table.String()))
			},
		},
		{
			Name: "file",
			Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
				path := filepath.Join(t.TempDir(), "hosts.yml")
				f.WriteFileKind(t, path)
				return inventorytest.Of(NewFile(path, ""))
			},
			Malformed: "a: {groups: [x]}\nb:\n  group: [y]\n", File: "hosts.yml",
			Open: func(dir string) inventorytest.Inventory {
				return inventorytest.Of(NewFile(filepath.Join(dir, "hosts.yml"), ""))
			},
			Pins: true, PinFrom: "hosts.yml:3",
		},
		{
			Name: "file table",
			Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
				path := filepath.Join(t.TempDir(), "hosts.yml")
				f.WriteFileKind(t, path)
				return inventorytest.Of(withTable(t, path))
			},
			Malformed: "a: {groups: [x]}\nb:\n  group: [y]\n", File: "hosts.yml",
			Open: func(dir string) inventorytest.Inventory {
				path := filepath.Join(dir, "hosts.yml")
				_, _ = RefreshFileTable(path, path+".table", nil)
				return inventorytest.Of(NewFile(path, path+".table"))
			},
			Pins: true, PinFrom: "hosts.yml:3",
		},
		{Name: "nodegrouper", Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
			return inventorytest.Of(nodegrouperOf(t, f))
		}, Grouped: true},
		{Name: "command", Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
			return inventorytest.Of(commandOf(t, f))
		}},
		{
			Name: "file with stale answers",
			Make: func(t *testing.T, f inventorytest.Fleet) inventorytest.Inventory {
				path := filepath.Join(t.TempDir(), "hosts.yml")
				f.WriteFileKind(t, path)
				return inventorytest.Of(withStaleAnswers(NewFile(path, ""), t.TempDir()))
			},
			Malformed: "a: {groups: [x]}\nb:\n  group: [y]\n", File: "hosts.yml",
			Open: func(dir string) inventorytest.Inventory {
				return inventorytest.Of(withStaleAnswers(NewFile(filepath.Join(dir, "hosts.yml"), ""), dir))
			},
			Pins: true, PinFrom: "hosts.yml:3",
		},
	}
}

func TestConformance(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.Name, k.Conform)
	}
}

func TestAllFormsOfAFleetGiveTheSameAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := inventorytest.GenFleet(40).Draw(t, "fleet")
		yml, xml, file := inventorytest.TempDir(t), inventorytest.TempDir(t), filepath.Join(inventorytest.TempDir(t), "hosts.yml")
		fleet.WriteYAML(t, yml)
		fleet.WriteXML(t, xml)
		fleet.WriteFileKind(t, file)
		checkFleet(t, NewEtch(trees(Tree{Dir: yml})), fleet)
		checkFleet(t, NewEtch(trees(Tree{Dir: xml})), fleet)
		checkFleet(t, NewFile(file, ""), fleet)
	})
}
