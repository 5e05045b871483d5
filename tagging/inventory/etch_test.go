package inventory

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"github.com/etch/etchtag/tagging/inventory/parse"
	"golang.org/x/sys/unix"
)

func TestParentsOfGroups(t *testing.T) {
	tests := []struct {
		name       string
		nodegroups string
		want       string
	}{
		{"no hierarchy", "", "web"},
		{"a chain", "http: [web]\nserver: [http]\nall: [server]", "all http server web"},
		{"two parents", "b: [web]\na: [web, mail]", "a b web"},
		{"a circle", "b: [web]\nc: [b]\nweb: [c]", "b c web"},
		{"its own parent", "web: [web]", "web"},
		{"a single child without brackets", "http: web", "http web"},
		{"a parent without children", "http:\nserver: []", "web"},
		{"children are not inherited", "web: [nginx]", "web"},
		{"names in upper case differ", "http: [Web]", "web"},
		{"a child twice", "http: [web, web]", "http web"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := inventorytest.TreeOf(t, "nodes.yml", "h: [web]", "nodegroups.yml", test.nodegroups)
			for _, table := range []string{"", compileTable(t, dir)} {
				a := mustLookup(t, NewEtch(trees(Tree{Dir: dir, Table: table})), "h")
				if got := strings.Join(a.Groups, " "); got != test.want {
					t.Errorf("with table %q: groups %q, want %q", table, got, test.want)
				}
			}
		})
	}
}

func TestWhichFilesOfATreeAreRead(t *testing.T) {
	const (
		nodesXML  = `<nodes><node name="h"><group>xml</group></node></nodes>`
		groupsXML = `<nodegroups><nodegroup name="pxml"><child>xml</child><child>yml</child></nodegroup></nodegroups>`
		nodesYML  = "h: [yml]"
		groupsYML = "pyml: [xml, yml]"
	)
	tests := []struct {
		name  string
		files []string
		want  string
	}{
		{"yaml before xml", []string{"nodes.yml", nodesYML, "nodes.xml", nodesXML}, "yml"},
		{"each file for itself", []string{"nodes.yml", nodesYML, "nodegroups.xml", groupsXML}, "pxml yml"},
		{"and the other way round", []string{"nodes.xml", nodesXML, "nodegroups.yml", groupsYML}, "pyml xml"},
		{"all four", []string{"nodes.yml", nodesYML, "nodes.xml", nodesXML, "nodegroups.yml", groupsYML,
			"nodegroups.xml", groupsXML}, "pyml yml"},
		{"xml is not read if there is yaml", []string{"nodes.yml", nodesYML, "nodes.xml", "<"}, "yml"},
		{"an empty file is one", []string{"nodes.yml", "", "nodes.xml", nodesXML}, ""},
		{"no hosts", []string{"nodegroups.yml", groupsYML}, ""},
		{"nothing", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := mustLookup(t, NewEtch(trees(Tree{Dir: inventorytest.TreeOf(t, test.files...)})), "h")
			if got := strings.Join(a.Groups, " "); got != test.want || a.Known != (test.want != "") {
				t.Errorf("known %v, groups %q, want %q", a.Known, got, test.want)
			}
		})
	}
}

func TestFirstTreeThatCanBeReadAnswers(t *testing.T) {
	good := inventorytest.TreeOf(t, "nodes.yml", "h: [good]")
	older := inventorytest.TreeOf(t, "nodes.yml", "h: [older]")
	broken := inventorytest.TreeOf(t, "nodes.yml", "\nh: {")
	worse := inventorytest.TreeOf(t, "nodes.yml", "h: {}")
	tests := []struct {
		name  string
		trees []Tree
		want  string
		notes []string // parts of them
	}{
		{"with its table", []Tree{{"T1", good, compileTable(t, good)}, {Label: "T2", Dir: older}}, "good", nil},
		{"without a table", []Tree{{Label: "T1", Dir: good}, {Label: "T2", Dir: older}}, "good",
			[]string{"T1 has no table"}},
		{"with a table that is not there", []Tree{{"T1", good, good + "/none"}}, "good",
			[]string{"T1 has no table"}},
		{"after one with a mistake", []Tree{{Label: "T1", Dir: broken}, {"T2", older, compileTable(t, older)}}, "older",
			[]string{"T1 is passed over: " + broken + "/nodes.yml:2: ", "the groups are those of T2"}},
		{"after two", []Tree{{Label: "T1", Dir: broken}, {Label: "T2", Dir: worse}, {Label: "T3", Dir: good}}, "good",
			[]string{"T1 is passed over: ", "T2 is passed over: ", "the groups are those of T3", "T3 has no table"}},
		{"after one that was pruned meanwhile", []Tree{{Label: "T1", Dir: good + "/none"}, {Label: "T2", Dir: good}}, "good",
			[]string{"T1 is passed over: ", "the groups are those of T2", "T2 has no table"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			inv := NewEtch(trees(test.trees...))
			for _, a := range []Answer{mustLookup(t, inv, "h"), listAll(t, inv)["h"]} {
				if !slices.Equal(a.Groups, []string{test.want}) {
					t.Errorf("groups %q, want %q", a.Groups, test.want)
				}
				if !slices.EqualFunc(a.Notes, test.notes, strings.HasPrefix) {
					t.Errorf("notes %q, want %q", a.Notes, test.notes)
				}
			}
		})
	}
}

func TestNoTreeCanBeRead(t *testing.T) {
	first, second := inventorytest.TreeOf(t, "nodes.yml", "h: {}"), inventorytest.TreeOf(t, "nodes.xml", "")
	_, err := NewEtch(trees(Tree{Label: "T1", Dir: first}, Tree{Label: "T2", Dir: second})).Lookup(t.Context(), "h")
	fault, ok := errors.AsType[*parse.Fault](err)
	if !ok || fault.File != first+"/nodes.yml" || !strings.Contains(err.Error(), "T1") {
		t.Errorf("got %v, want the fault of the first tree", err)
	}
}

func TestWithoutAnyTreeNoHostIsKnown(t *testing.T) {
	checkFleet(t, NewEtch(trees()), inventorytest.Fleet{})
}

func TestTreesAreAskedForOnceAndNoFurtherThanNeeded(t *testing.T) {
	broken, good := inventorytest.TreeOf(t, "nodes.yml", "["), inventorytest.TreeOf(t, "nodes.yml", "h: [a]")
	var asked []string
	inv := NewEtch(func(yield func(Tree) bool) {
		for _, tree := range []Tree{{Label: "1", Dir: broken}, {Label: "2", Dir: good}, {Label: "3", Dir: good}} {
			asked = append(asked, tree.Label)
			if !yield(tree) {
				return
			}
		}
	})
	mustLookup(t, inv, "h")
	if !slices.Equal(asked, []string{"1", "2"}) {
		t.Errorf("asked for trees %q", asked)
	}
}

func TestCancelledWhileTreesAreChosen(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	inv := NewEtch(func(yield func(Tree) bool) {
		cancel()
		yield(Tree{Dir: t.TempDir()})
	})
	if _, err := inv.Lookup(ctx, "h"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestTreeThatCannotBeReadIsNotEmpty(t *testing.T) {
	fifo := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(fifo, "nodes.yml"), 0o644); err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "nodes.xml"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(inventorytest.TreeOf(t, "a", ""), "a")
	for name, dir := range map[string]string{"a pipe": fifo, "a directory": directory, "no tree": file, "none": file + "b"} {
		if a, err := openTree(dir).Lookup(t.Context(), "h"); err == nil {
			t.Errorf("%s: got %+v, want an error", name, a)
		}
		var table strings.Builder
		if err := CompileTo(&table, dir); err == nil || table.Len() > 0 {
			t.Errorf("%s: compiled to %d bytes, error %v", name, table.Len(), err)
		}
	}
	if _, err := openTree(file+"b").Lookup(t.Context(), "h"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want one that says that the directory does not exist", err)
	}
}

func TestLinksInATreeAreFollowed(t *testing.T) {
	dir := inventorytest.TreeOf(t, "real.yml", "h: [a]")
	if err := os.Symlink("real.yml", filepath.Join(dir, "nodes.yml")); err != nil {
		t.Fatal(err)
	}
	checkFleet(t, openTree(dir), inventorytest.Fleet{Hosts: []inventorytest.Host{{Name: "h", Groups: []string{"a"}}}})
}
