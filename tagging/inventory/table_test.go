package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"github.com/etch/etchtag/tagging/inventory/parse"
	"pgregory.net/rapid"
)

func TestTableAgreesWithTheFilesItWasCompiledFrom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fleet := inventorytest.GenFleet(400).Draw(t, "fleet")
		dir := inventorytest.TempDir(t)
		fleet.WriteYAML(t, dir)
		inv := NewEtch(trees(Tree{Dir: dir, Table: compileTable(t, dir)}))
		checkFleet(t, inv, fleet)
		for host := range fleet.Answers() {
			if a := mustLookup(t, inv, host); len(a.Notes) > 0 {
				t.Fatalf("the table was not used: %q", a.Notes)
			}
		}
	})
}

// bigTree writes a tree with enough hosts for several blocks, and one with a set longer than one read.
func bigTree(t testing.TB, hosts int) string {
	var nodes strings.Builder
	fmt.Fprintf(&nodes, "big: [%s]\n", strings.Repeat("x", 5000))
	for i := range hosts {
		fmt.Fprintf(&nodes, "host%d.example.com: [web, dc%d]\n", i, i%7)
	}
	dir := t.TempDir()
	inventorytest.WriteFile(t, filepath.Join(dir, "nodes.yml"), nodes.String())
	inventorytest.WriteFile(t, filepath.Join(dir, "nodegroups.yml"), "all: [web]\nsite: [dc1, dc2]\n")
	return dir
}

func TestTableIsTheSameForTheSameFiles(t *testing.T) {
	one, two := inventorytest.TreeOf(t, "nodes.yml", "b: [y, x]\na: [x]\n", "nodegroups.yml", "q: [x]\np: [x, y]\n"),
		inventorytest.TreeOf(t, "nodes.yml", "a: [x]\nb: [x, y]\n", "nodegroups.yml", "p: [y, x]\nq: [x]\n")
	var first, again, other bytes.Buffer
	if err := errors.Join(CompileTo(&first, one), CompileTo(&again, one), CompileTo(&other, two)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), again.Bytes()) {
		t.Error("compiling twice gives different bytes")
	}
	if !bytes.Equal(blocksOf(first.Bytes(), 0), blocksOf(other.Bytes(), 0)) || first.Len() != other.Len() {
		t.Error("the order of entries shows in the size of the table")
	}
}

func TestEveryHostIsFoundInTablesOfAnyNumberOfBlocks(t *testing.T) {
	for _, hosts := range []int{0, 1, 100, 200, 300, 400, 500, 600, 700, 1000} {
		dir := bigTree(t, hosts)
		fleet, err := readFleet(dir)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(compileTable(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		table, err := newTable(bytes.NewReader(data), int64(len(data)), identity{})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range fleet.nodes.rows {
			e, known, err := table.lookup(r.name)
			if want := fleet.groups([]row{r}); err != nil || !known || !reflect.DeepEqual(e, entry{groups: want}) {
				t.Fatalf("of %d hosts %q: %v, %+v, %v; want %q", hosts, r.name, known, e, err, want)
			}
			for _, other := range []string{r.name + "\x00", r.name[:len(r.name)-1]} {
				if _, known, err := table.lookup(other); known || err != nil {
					t.Fatalf("of %d hosts %q: %v, %v", hosts, other, known, err)
				}
			}
		}
	}
}

// blocksOf returns block i of a table.
func blocksOf(table []byte, i int) []byte { return table[i*tableBlock : (i+1)*tableBlock] }

func TestTableKeepsEqualSetsOnce(t *testing.T) {
	few, many := compileTable(t, bigTree(t, 7)), compileTable(t, bigTree(t, 700))
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	if grown := size(many) - size(few); grown%tableBlock != 0 {
		t.Errorf("700 hosts in the groups of 7 take %d bytes more, not a number of blocks", grown)
	}
}

// lookups returns the answers for some hosts of bigTree and some others, without notes.
func lookups(t testing.TB, inv Inventory) map[string]Answer {
	t.Helper()
	all := map[string]Answer{}
	for _, host := range []string{"big", "host150.example.com", "host99.example.com", "host"} {
		a := mustLookup(t, inv, host)
		a.Notes = nil
		all[host] = a
	}
	return all
}

// checkDamaged fails the test unless the table of the tree in dir, replaced by data, leads to right answers;
// noticed says whether every lookup must have a note.
func checkDamaged(t *testing.T, dir string, data []byte, noticed bool, want map[string]Answer) {
	t.Helper()
	path := filepath.Join(dir, "damaged")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	inv := NewEtch(trees(Tree{Label: "tag", Dir: dir, Table: path}))
	for host, w := range want {
		a := mustLookup(t, inv, host)
		if a.Known != w.Known || !reflect.DeepEqual(a.Groups, w.Groups) {
			t.Fatalf("host %q: %+v, want %+v", host, a, w)
		}
		if noticed && (len(a.Notes) != 1 || !strings.HasPrefix(a.Notes[0], "the table of tag is not used (")) {
			t.Fatalf("host %q: notes %q", host, a.Notes)
		}
	}
}

func TestDamagedTableNeverGivesAWrongAnswer(t *testing.T) {
	dir := bigTree(t, 200)
	path := compileTable(t, dir)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := lookups(t, NewEtch(trees(Tree{Dir: dir, Table: path})))
	if slow := lookups(t, openTree(dir)); !reflect.DeepEqual(want, slow) {
		t.Fatalf("table: %+v\nfiles: %+v", want, slow)
	}
	t.Run("a changed byte", func(t *testing.T) {
		data := bytes.Clone(good)
		for i := range data {
			data[i] ^= 1 << (i % 8)
			table, err := newTable(bytes.NewReader(data), int64(len(data)), identity{})
			checkTable(t, i, table, err, want)
			data[i] = good[i]
		}
	})
	t.Run("cut off", func(t *testing.T) {
		for n := range good {
			if _, err := newTable(bytes.NewReader(good[:n]), int64(n), identity{}); !errors.Is(err, errDamaged) {
				t.Fatalf("cut off after %d bytes: %v", n, err)
			}
		}
	})
	t.Run("cut off while it is read", func(t *testing.T) {
		for n := range good {
			table, err := newTable(bytes.NewReader(good[:n]), int64(len(good)), identity{})
			checkTable(t, n, table, err, want)
		}
	})
	t.Run("two blocks in each other's place", func(t *testing.T) {
		swapped := bytes.Clone(good)
		copy(blocksOf(swapped, 1), blocksOf(good, 2))
		copy(blocksOf(swapped, 2), blocksOf(good, 1))
		checkDamaged(t, dir, swapped, false, want)
	})
	t.Run("as files", func(t *testing.T) {
		for _, i := range []int{0, 8, 12, 100, tableBlock - 1} {
			checkDamaged(t, dir, flipped(good, i), true, want)
		}
		for _, n := range []int{0, 1, tableBlock - 1, tableBlock, len(good) - 1} {
			checkDamaged(t, dir, good[:n], true, want)
		}
		checkDamaged(t, dir, append(bytes.Clone(good), 0), true, want)
		checkDamaged(t, dir, []byte("a: [b]\n"), true, want)
		checkDamaged(t, dir, make([]byte, len(good)), true, want)
		checkDamaged(t, dir, flipped(good, tableBlock), false, want)
	})
}

// flipped returns data with one bit of byte i changed.
func flipped(data []byte, i int) []byte {
	changed := bytes.Clone(data)
	changed[i] ^= 1 << (i % 8)
	return changed
}

// checkTable fails the test if a table that may be damaged at some byte gives a wrong answer.
func checkTable(t *testing.T, at int, table *table, err error, want map[string]Answer) {
	t.Helper()
	if err != nil {
		if _, ok := errors.AsType[*parse.Fault](err); ok {
			t.Fatalf("byte %d: read as a fault of the files: %v", at, err)
		}
		return
	}
	for host, w := range want {
		e, known, err := table.lookup(host)
		if err == nil && (known != w.Known || !reflect.DeepEqual(e, entry{groups: w.Groups})) {
			t.Fatalf("byte %d: host %q: %v %+v, want %+v", at, host, known, e, w)
		}
	}
}

func TestListingGoesOnInTheFilesIfTheTableIsDamagedHalfWay(t *testing.T) {
	dir := bigTree(t, 200)
	good, err := os.ReadFile(compileTable(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	want := listAll(t, openTree(dir))
	last := int(len(good)/tableBlock) - 1
	for i := 1; i < last; i++ {
		path := filepath.Join(t.TempDir(), "table")
		if err := os.WriteFile(path, flipped(good, i*tableBlock+10), 0o644); err != nil {
			t.Fatal(err)
		}
		got := listAll(t, NewEtch(trees(Tree{Label: "tag", Dir: dir, Table: path})))
		if len(got) != len(want) {
			t.Errorf("block %d damaged: %d hosts, want %d", i, len(got), len(want))
		}
	}
}

func TestTableOfAnotherVersionIsNotUsed(t *testing.T) {
	dir := inventorytest.TreeOf(t, "nodes.yml", "h: [a]")
	data, err := os.ReadFile(compileTable(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	data[len(tableMagic)]++
	reseal(data)
	checkDamaged(t, dir, data, true, map[string]Answer{"h": {Known: true, Groups: []string{"a"}}})
}

func TestTableSaysThatTheFilesHaveAMistake(t *testing.T) {
	broken, good := inventorytest.TreeOf(t, "nodegroups.xml", "<nodegroups>\n<nodegroup/></nodegroups>"), inventorytest.TreeOf(t, "nodes.yml", "h: [a]")
	var table strings.Builder
	err := CompileTo(&table, broken)
	inventorytest.CheckFault(t, err, "nodegroups.xml", 2, "needs one attribute")
	path := filepath.Join(t.TempDir(), "table")
	inventorytest.WriteFile(t, path, table.String())
	if err := os.Remove(filepath.Join(broken, "nodegroups.xml")); err != nil {
		t.Fatal(err) // the files themselves are not read any more
	}
	_, err = NewEtch(trees(Tree{"T1", broken, path})).Lookup(t.Context(), "h")
	inventorytest.CheckFault(t, err, broken+"/nodegroups.xml", 2, "needs one attribute")
	a := mustLookup(t, NewEtch(trees(Tree{"T1", broken, path}, Tree{"T2", good, compileTable(t, good)})), "h")
	if !a.Known || len(a.Notes) != 2 || !strings.Contains(a.Notes[0], "nodegroups.xml:2: ") {
		t.Errorf("got %+v", a)
	}
}

// failingWriter takes so many bytes.
type failingWriter struct{ room int }

func (w *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestCompileReportsAFullDisk(t *testing.T) {
	good, broken := inventorytest.TreeOf(t, "nodes.yml", "h: [a]"), inventorytest.TreeOf(t, "nodes.yml", "[")
	for _, dir := range []string{good, broken} {
		var size bytes.Buffer
		_ = CompileTo(&size, dir)
		for room := 0; room < size.Len(); room += 111 {
			if err := CompileTo(&failingWriter{room}, dir); !errors.Is(err, io.ErrShortWrite) {
				t.Fatalf("with room for %d of %d bytes: %v", room, size.Len(), err)
			}
		}
	}
}

// compileTable compiles the tree in dir to a file beside it and returns its path.
func compileTable(t rapid.TB, dir string) string {
	t.Helper()
	var table bytes.Buffer
	if err := CompileTo(&table, dir); err != nil {
		t.Fatal(err)
	}
	path := dir + ".table"
	inventorytest.WriteFile(t, path, table.String())
	return path
}
