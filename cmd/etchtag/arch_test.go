package main

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/etch/etchtag/"

// moduleRoot is the module's directory, as seen from this package's tests.
var moduleRoot = filepath.Join("..", "..")

// room says what a package imports. Each field is a list of words.
type room struct {
	ours   string // packages of this module
	tests  string // those that its tests import besides
	others string // libraries, and watched packages, but for what only tests import
}

// watched are packages of Go's own that not every room is to have: domain packages know nothing of flags or of
// printing, few start programs, and few speak to the network.
var watched = []string{"flag", "log", "log/slog", "net/http", "os/exec"}

// rooms are all packages of the module. Who moves a wall edits this table.
var rooms = map[string]room{
	"cmd/etchtag": {
		ours: "cmd/etchtag/manual cmd/internal/build cmd/internal/config cmd/internal/decide cmd/internal/demorepo " +
			"cmd/internal/health cmd/internal/term examples schedule snapshot snapshot/aside snapshot/disk " +
			"snapshot/source snapshot/staged tagging tagging/inventory tagging/tag tagstate tagstate/lines",
		tests: "snapshot/mounttest snapshot/runtest",
		others: "github.com/coreos/go-systemd/v22 github.com/google/renameio/v2 github.com/urfave/cli/v2 " +
			"golang.org/x/sys log/slog os/exec",
	},
	"cmd/etchtag-bench":  {tests: "snapshot/runtest", others: "flag golang.org/x/sys os/exec"},
	"cmd/etchtag/manual": {},
	"cmd/internal/build": {
		ours: "cmd/internal/config cmd/internal/decide cmd/internal/term snapshot snapshot/aside snapshot/source " +
			"snapshot/source/cvs snapshot/source/dir snapshot/source/git snapshot/source/remote " +
			"snapshot/source/svn tagging tagging/inventory tagging/inventory/nventory tagging/inventory/parse " +
			"tagging/tag tagstate tagstate/lines",
		others: "log/slog",
	},
	"cmd/internal/config": {
		ours:   "examples tagging tagging/inventory/parse tagging/tag tagstate/lines",
		tests:  "schedule",
		others: "go.yaml.in/yaml/v3",
	},
	"cmd/internal/decide":   {ours: "cmd/internal/config tagging tagging/inventory tagging/tag tagstate"},
	"cmd/internal/demorepo": {ours: "snapshot/disk", others: "github.com/go-git/go-git/v5"},
	"cmd/internal/health": {
		ours: "cmd/internal/config cmd/internal/term schedule snapshot snapshot/aside snapshot/staged tagging " +
			"tagging/inventory tagging/tag tagstate",
	},
	"cmd/internal/term": {ours: "tagging/tag", others: "golang.org/x/term log/slog"},
	"cmd/nodetagger": {
		ours:   "cmd/internal/decide cmd/internal/term",
		tests:  "snapshot/runtest tagging/tag tagging/tag/tagtest",
		others: "log/slog",
	},
	"examples": {},
	"schedule": {others: "github.com/robfig/cron/v3"},
	"snapshot": {
		ours:   "snapshot/aside snapshot/disk snapshot/source snapshot/staged tagging/supervise tagging/tag",
		tests:  "snapshot/mounttest snapshot/runtest tagging tagstate",
		others: "github.com/gofrs/flock github.com/google/renameio/v2 golang.org/x/sys",
	},
	"snapshot/aside": {
		ours:   "snapshot/disk",
		tests:  "snapshot/mounttest snapshot/runtest snapshot/source snapshot/testbed",
		others: "golang.org/x/sys",
	},
	"snapshot/disk":      {tests: "snapshot/mounttest snapshot/runtest snapshot/testbed", others: "golang.org/x/sys"},
	"snapshot/mounttest": {others: "golang.org/x/sys"},
	"snapshot/runtest":   {others: "flag golang.org/x/sys"},
	"snapshot/source":    {},
	"snapshot/source/cvs": {
		ours:   "snapshot/aside snapshot/disk snapshot/source snapshot/source/remote snapshot/source/workcopy",
		tests:  "snapshot/mounttest snapshot/runtest snapshot/source/sourcetest snapshot/testbed",
		others: "golang.org/x/sys os/exec",
	},
	"snapshot/source/dir": {
		ours:   "snapshot/disk snapshot/source snapshot/source/workcopy",
		tests:  "snapshot/mounttest snapshot/runtest snapshot/source/sourcetest snapshot/testbed",
		others: "golang.org/x/sys",
	},
	"snapshot/source/git": {
		ours: "snapshot/aside snapshot/disk snapshot/source snapshot/source/git/checkout snapshot/source/git/object " +
			"snapshot/source/git/repo snapshot/source/git/wire snapshot/source/remote snapshot/source/workcopy",
		tests: "snapshot/mounttest snapshot/runtest snapshot/source/git/gittest snapshot/source/sourcetest " +
			"snapshot/testbed",
		others: "github.com/go-git/go-git/v5",
	},
	"snapshot/source/git/attr": {ours: "snapshot/source/git/repo", tests: "snapshot/runtest snapshot/source/git/gittest"},
	"snapshot/source/git/checkout": {
		ours: "snapshot/aside snapshot/disk snapshot/source snapshot/source/git/attr snapshot/source/git/object " +
			"snapshot/source/git/repo snapshot/source/workcopy",
		tests: "snapshot/mounttest snapshot/runtest snapshot/source/git/gittest snapshot/source/sourcetest " +
			"snapshot/testbed",
		others: "github.com/go-git/go-git/v5 golang.org/x/sys",
	},
	"snapshot/source/git/gittest": {
		ours:   "snapshot/source snapshot/testbed",
		others: "github.com/go-git/go-git/v5 log net/http os/exec pgregory.net/rapid",
	},
	"snapshot/source/git/object": {
		ours:   "snapshot/disk snapshot/source snapshot/source/git/repo",
		tests:  "snapshot/runtest snapshot/source/git/gittest snapshot/testbed",
		others: "github.com/go-git/go-git/v5 github.com/klauspost/compress",
	},
	"snapshot/source/git/repo": {
		ours:   "snapshot/disk snapshot/source/remote",
		tests:  "snapshot/runtest snapshot/source/git/gittest snapshot/testbed",
		others: "github.com/go-git/go-git/v5",
	},
	"snapshot/source/git/wire": {
		ours: "snapshot/disk snapshot/source snapshot/source/git/object snapshot/source/git/repo " +
			"snapshot/source/remote",
		tests:  "snapshot/runtest snapshot/source/git/gittest",
		others: "github.com/go-git/go-git/v5 net/http",
	},
	"snapshot/source/remote": {ours: "snapshot/disk", tests: "snapshot/runtest", others: "golang.org/x/sys os/exec"},
	"snapshot/source/sourcetest": {
		ours: "snapshot/aside snapshot/disk snapshot/mounttest snapshot/runtest snapshot/source " +
			"snapshot/source/workcopy snapshot/testbed",
		others: "golang.org/x/sys",
	},
	"snapshot/source/svn": {
		ours:   "snapshot/aside snapshot/disk snapshot/source snapshot/source/remote snapshot/source/workcopy",
		tests:  "snapshot/mounttest snapshot/runtest snapshot/source/sourcetest snapshot/testbed",
		others: "golang.org/x/sys",
	},
	"snapshot/source/workcopy": {
		ours:   "snapshot/disk snapshot/source",
		tests:  "snapshot/runtest snapshot/source/git/gittest snapshot/testbed",
		others: "github.com/otiai10/copy golang.org/x/sys",
	},
	"snapshot/staged": {
		ours:   "snapshot/disk snapshot/source snapshot/source/workcopy tagging/tag",
		tests:  "snapshot/runtest",
		others: "golang.org/x/sys",
	},
	"snapshot/testbed": {ours: "snapshot/source", others: "flag os/exec pgregory.net/rapid"},
	"tagging": {
		ours:   "tagging/inventory tagging/tag tagstate tagstate/lines",
		tests:  "tagging/tag/tagtest",
		others: "golang.org/x/sys",
	},
	"tagging/inventory": {
		ours:   "tagging/inventory/parse tagging/supervise tagstate/lines",
		tests:  "tagging/inventory/inventorytest tagging/inventory/parse/parsetest",
		others: "github.com/google/renameio/v2 go.yaml.in/yaml/v3 golang.org/x/sys",
	},
	"tagging/inventory/inventorytest": {ours: "tagging/inventory/parse", others: "pgregory.net/rapid"},
	"tagging/inventory/nventory": {
		ours:   "tagging/inventory tagging/inventory/parse",
		tests:  "tagging/inventory/inventorytest",
		others: "golang.org/x/sys net/http",
	},
	"tagging/inventory/parse":           {tests: "tagging/inventory/parse/parsetest", others: "go.yaml.in/yaml/v3 golang.org/x/sys"},
	"tagging/inventory/parse/parsetest": {},
	"tagging/supervise":                 {others: "golang.org/x/sys os/exec"},
	"tagging/tag":                       {tests: "tagging/tag/tagtest", others: "golang.org/x/sys"},
	"tagging/tag/tagtest":               {ours: "tagging/tag"},
	"tagstate":                          {ours: "tagstate/lines", tests: "tagstate/lines/linestest"},
	"tagstate/lines":                    {tests: "tagstate tagstate/lines/linestest", others: "github.com/gofrs/flock golang.org/x/sys"},
	"tagstate/lines/linestest":          {others: "pgregory.net/rapid"},
}

// TestImportsFollowTheArrows fails on an import that no arrow allows, and on an arrow that nothing follows.
func TestImportsFollowTheArrows(t *testing.T) {
	found := findRooms(t)
	for name := range rooms {
		if found[name] == nil {
			t.Errorf("%s is drawn, and is no package", name)
		}
	}
	for name, imports := range found {
		drawn, ok := rooms[name]
		if !ok {
			t.Errorf("package %s is not drawn", name)
		}
		isDrawn(t, name, drawn.ours, imports.ours)
		isDrawn(t, name+"'s tests", drawn.tests, imports.tests)
		isDrawn(t, name, drawn.others, imports.others)
	}
}

// isDrawn compares what is drawn with what there is.
func isDrawn(t *testing.T, who, drawn string, imports map[string]bool) {
	t.Helper()
	words := strings.Fields(drawn)
	for to := range imports {
		if !slices.ContainsFunc(words, func(word string) bool { return covers(word, to) }) {
			t.Errorf("%s: no arrow leads to %s", who, to)
		}
	}
	all := slices.Collect(maps.Keys(imports))
	for _, word := range words {
		if !slices.ContainsFunc(all, func(to string) bool { return covers(word, to) }) {
			t.Errorf("%s: an arrow leads to %s, and nothing follows it", who, word)
		}
	}
}

// covers reports whether a word means an imported package: the name of a library means all packages of it.
func covers(word, imported string) bool {
	return word == imported || isLibrary(word) && strings.HasPrefix(imported, word+"/")
}

func isLibrary(name string) bool {
	first, _, _ := strings.Cut(name, "/")
	return strings.Contains(first, ".")
}

// imports are what the files of a package import.
type imports struct{ ours, tests, others map[string]bool }

// add notes an import.
func (i *imports) add(from, to string, test bool) {
	name, ours := strings.CutPrefix(to, module)
	switch {
	case ours && test && name != from:
		i.tests[name] = true
	case ours && !test:
		i.ours[name] = true
	case !ours && !test && (isLibrary(to) || slices.Contains(watched, to)):
		i.others[to] = true
	}
}

// findRooms reads what all packages import. It reads the files itself, so that a test result that is remembered ends
// with them, and takes them all, whatever system they are for.
func findRooms(t *testing.T) map[string]*imports {
	t.Helper()
	found := map[string]*imports{}
	for _, file := range goFiles(t) {
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleRoot, file), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		from := path.Dir(file)
		if found[from] == nil {
			found[from] = &imports{map[string]bool{}, map[string]bool{}, map[string]bool{}}
		}
		for _, spec := range syntax.Imports {
			to, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			found[from].add(from, to, strings.HasSuffix(file, "_test.go"))
		}
	}
	for _, i := range found {
		maps.DeleteFunc(i.tests, func(name string, _ bool) bool { return i.ours[name] })
	}
	return found
}

// goFiles lists the module's Go files, from its root.
func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := fs.WalkDir(os.DirFS(moduleRoot), ".", func(name string, e fs.DirEntry, err error) error {
		hidden := name != "." && (strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), "_"))
		switch {
		case err != nil:
			return err
		case e.IsDir() && (hidden || e.Name() == "testdata"):
			return fs.SkipDir
		case !e.IsDir() && !hidden && strings.HasSuffix(name, ".go"):
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// changing are the functions of packages os and unix that change a disk.
var changing = regexp.MustCompile(`\b(os|unix|syscall)\.(Rename|Renameat2?|Mkdir|Mkdirat|MkdirAll|MkdirTemp|Remove|RemoveAll|Unlink|Unlinkat|` +
	`Rmdir|Create|CreateTemp|WriteFile|Symlink|Symlinkat|Link|Linkat|Chmod|Fchmod|Fchmodat|Chown|Lchown|Fchown|Fchownat|Chtimes|` +
	`UtimesNanoAt|Truncate|Ftruncate|Fallocate|Mknodat?|Mkfifo|IoctlFileClone)\(|\.RemoveAll\(|\bO_CREAT`)

// changers may change a disk by themselves.
var changers = map[string]string{
	"snapshot/disk":          "it is how the disk is changed",
	"snapshot/lock.go":       "it makes the lock in a directory that it has open",
	"snapshot/staged/dir.go": "it makes a file in a directory that it has open",
	"tagstate/lines":         "it replaces small files, with labels of its own",
	"tagging/killswitch.go":  "it must work when nothing else does, and has labels of its own",
	"tagging/inventory":      "its cache may be lost, and is no other program's",
	"tagging/supervise":      "it says its name to ps, in /proc",
	"cmd/etchtag-bench":      "it removes what it has made",
}

// TestTheDiskIsChangedInOnePlace fails on whatever changes the disk by other means than package disk, whose removal of
// trees enters no mount. Tests may.
func TestTheDiskIsChangedInOnePlace(t *testing.T) {
	used := map[string]bool{}
	for _, file := range goFiles(t) {
		dir := path.Dir(file)
		if strings.HasSuffix(file, "_test.go") || strings.HasSuffix(dir, "test") || dir == "snapshot/testbed" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(moduleRoot, file))
		if err != nil {
			t.Fatal(err)
		}
		found := changing.FindString(string(text))
		if who := cmp.Or(changerOf(file), changerOf(dir)); who != "" {
			used[who] = used[who] || found != ""
		} else if found != "" {
			t.Errorf("%s changes the disk by %s, not by package disk", file, found)
		}
	}
	for who := range changers {
		if !used[who] {
			t.Errorf("%s may change the disk, and does not", who)
		}
	}
}

func changerOf(name string) string {
	if changers[name] == "" {
		return ""
	}
	return name
}

func TestTheTopLevelHoldsNothingElse(t *testing.T) {
	out, err := exec.Command("git", "-C", moduleRoot, "ls-files").Output()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("git ls-files: %v", err)
		}
		t.Skip("not a checkout")
	}
	allowed := []string{"cmd", "snapshot", "tagging", "schedule", "tagstate", "examples", "go.mod", "go.sum", "README.md"}
	for file := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(path.Clean(strings.TrimSpace(file)), "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s is not in the layout", top)
		}
	}
}
