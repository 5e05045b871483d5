package inventory

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
)

// nodegrouperTree makes a tree with a nodegrouper of shell commands.
func nodegrouperTree(t *testing.T, commands string) Tree {
	t.Helper()
	return Tree{Label: "T1", Dir: filepath.Dir(renamed(t, script(t, commands).path, "nodegrouper"))}
}

func renamed(t *testing.T, path, name string) string {
	t.Helper()
	renamed := filepath.Join(filepath.Dir(path), name)
	if err := os.Rename(path, renamed); err != nil {
		t.Fatal(err)
	}
	return renamed
}

func TestLinesOfANodegrouper(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"nothing", "", nil},
		{"blank lines alone", "\n \r\n\t\n", nil},
		{"one", "web\n", []string{"web"}},
		{"without an end of line", "web", []string{"web"}},
		{"several, some of them twice", "web\nprod\nweb\n", []string{"prod", "web"}},
		{"from Windows", "web\r\nprod\r\n", []string{"prod", "web"}},
		{"indented", "  web\t\n\v\n", []string{"web"}},
		{"a name with a blank, as etch has it", "dc 1\n", []string{"dc 1"}},
		{"upper case", "Web\nweb\n", []string{"Web", "web"}},
		{"other scripts", "wéb\n東京\n", []string{"wéb", "東京"}},
		{"like a comment", "#web\n", []string{"#web"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			groups, err := parseGroups("f", test.text)
			if err != nil || !slices.Equal(groups, test.want) {
				t.Errorf("got %q, %v; want %q", groups, err, test.want)
			}
		})
	}
}

func TestLinesThatAreNoGroup(t *testing.T) {
	for _, line := range []string{
		"a\x00", "\x00", "a\tb", "a\x1b[0m", "a\x7f", "a\u0085b", "\ufeffweb", "we\u200bb", "\u202ebew", "\xff", "w\xe9b",
	} {
		groups, err := parseGroups("f", "ok\n\n"+line+"\n")
		if groups != nil {
			t.Errorf("%q: got %q", line, groups)
		}
		inventorytest.CheckFault(t, err, "f", 3, "no group")
	}
}

func TestNodegrouperRunsInTheFirstTree(t *testing.T) {
	first := nodegrouperTree(t, `cat here; echo "$1"`)
	inventorytest.WriteFile(t, filepath.Join(first.Dir, "here"), "first\n")
	second := nodegrouperTree(t, "echo second")
	a, err := NewNodegrouper(trees(first, second), ProgramOptions{}).Lookup(t.Context(), "web1")
	if err != nil || !a.Known || !slices.Equal(a.Groups, []string{"first", "web1"}) {
		t.Errorf("got %+v, %v", a, err)
	}
}

func TestNodegrouperOfATreeWithARelativePath(t *testing.T) {
	tree := nodegrouperTree(t, "cat here")
	inventorytest.WriteFile(t, filepath.Join(tree.Dir, "here"), "web\n")
	t.Chdir(filepath.Dir(tree.Dir))
	tree.Dir = filepath.Base(tree.Dir)
	if a := mustLookup(t, NewNodegrouper(trees(tree), ProgramOptions{}), "h"); !slices.Equal(a.Groups, []string{"web"}) {
		t.Errorf("got %+v", a)
	}
}

func TestNodegrouperThatIsALinkOutOfTheTree(t *testing.T) {
	outside := script(t, "echo web")
	tree := Tree{Label: "T1", Dir: t.TempDir()}
	if err := os.Symlink(outside.path, filepath.Join(tree.Dir, "nodegrouper")); err != nil {
		t.Fatal(err)
	}
	if a := mustLookup(t, NewNodegrouper(trees(tree), ProgramOptions{}), "h"); !slices.Equal(a.Groups, []string{"web"}) {
		t.Errorf("got %+v", a)
	}
}

func TestNodegrouperWithoutGroupsDoesNotKnowTheHost(t *testing.T) {
	for _, n := range []*Nodegrouper{
		NewNodegrouper(trees(nodegrouperTree(t, "echo")), ProgramOptions{}),
		NewNodegrouper(trees(), ProgramOptions{}),
	} {
		if a := mustLookup(t, n, "h"); a.Known || a.Groups != nil {
			t.Errorf("got %+v", a)
		}
	}
}

// No other tree answers in place of the first: a host must not change its ring because a program fails.
func TestNodegrouperThatFailsFailsTheLookup(t *testing.T) {
	good := nodegrouperTree(t, "echo web")
	locked := nodegrouperTree(t, "echo web")
	if err := os.Chmod(filepath.Join(locked.Dir, "nodegrouper"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		tree Tree
		want []string // parts of the error
		is   error
	}{
		{"missing", Tree{Label: "T1", Dir: t.TempDir()}, []string{"/nodegrouper", "no such file"}, fs.ErrNotExist},
		{"a tree that is gone", Tree{Label: "T1", Dir: good.Dir + "/none"}, []string{"/none/nodegrouper"}, fs.ErrNotExist},
		{"not executable", locked, []string{"/nodegrouper", "chmod +x"}, fs.ErrPermission},
		{"its status", nodegrouperTree(t, "echo web; echo no database >&2; exit 2"),
			[]string{"exit status 2", "no database"}, nil},
		{"malformed output", nodegrouperTree(t, `printf 'web\n\0\n'`), []string{"output of ", "/nodegrouper:2: "}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, err := NewNodegrouper(trees(test.tree, good), ProgramOptions{}).Lookup(t.Context(), "h")
			if err == nil || a.Known || test.is != nil && !errors.Is(err, test.is) {
				t.Fatalf("got %+v, %v", a, err)
			}
			for _, part := range append(test.want, "nodegrouper of T1") {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q is not in: %v", part, err)
				}
			}
		})
	}
}

func FuzzNodegrouperOutput(f *testing.F) {
	for _, seed := range []string{"", "web\n", "web\r\nprod", " a b \n\n\x00", "\xff\n", "a\u2028b\n", "b\na\nb\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		groups, err := parseGroups("f", text)
		checkParsed(t, text, err)
		if !slices.IsSorted(groups) || err != nil && groups != nil {
			t.Errorf("groups %q, %v", groups, err)
		}
		again, err := parseGroups("f", strings.Join(groups, "\r\n \n"))
		if err != nil || !slices.Equal(again, groups) {
			t.Errorf("%q printed again: %q, %v", groups, again, err)
		}
	})
}
