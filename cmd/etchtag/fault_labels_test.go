package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// labelArgument says which argument of which function is the label of an operation.
var labelArgument = map[string]int{
	"labelled": 1, "takeStep": 1,
	"do": 0, "step": 0, "publicDir": 0, "privateDir": 0, "exchange": 0, "renameNoReplace": 0, "rename": 0, "syncDir": 0,
	"syncFS": 0, "removeAll": 0, "remove": 0, "writeFile": 0,
}

// unhitFiles are those, as patterns, whose labels no scenario has, and why.
var unhitFiles = map[string]string{
	"tagging/inventory/stalestore.go": "lookups write it; its own tests fail each of its operations",
	"snapshot/discardedrestore.go":    "restoring is no run of the kind: it makes new files for people, and overwrites none",
	"snapshot/source/copytree.go":     "the same, and for what is on another file system than the working copy",
	"snapshot/source/cvs*.go":         "most of what is done there another program does; the conformance suite interrupts it",
}

// unhitLabels are single labels of that kind.
var unhitLabels = map[string]string{
	"remove packed object":     "needs 5,000 loose objects; the tests of package source do it with less",
	"withdraw manifest":        "needs a tag that somebody else makes at that moment; the tests of package snapshot have one",
	"withdraw table":           "the same",
	"svn cleanup":              "needs an svn that was killed; the tests of package source have one",
	"remove external":          "needs externals; the tests of package source have them",
	"remove discard directory": "needs ten directories that were set aside; the tests of package source do it",
}

// sourceLabels finds the labels that stand in the source, and where. One that goes on with something that the source
// does not say ends in a star.
func sourceLabels(t *testing.T) map[string]string {
	t.Helper()
	labels := map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if strings.HasPrefix(e.Name(), ".") && rel != "." && e.IsDir() {
			return fs.SkipDir
		}
		if !strings.HasSuffix(rel, ".go") || strings.HasSuffix(rel, "_test.go") || isUnhit(rel) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, label := range fileLabels(file) {
			if filepath.Dir(rel) == "tagstate" {
				label += " tagstate" // an editor adds the name of its file
			}
			labels[label] = rel
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return labels
}

func isUnhit(file string) bool {
	for pattern := range unhitFiles {
		if ok, _ := filepath.Match(pattern, file); ok {
			return true
		}
	}
	return false
}

// fileLabels finds the labels in one file.
func fileLabels(file *ast.File) []string {
	var labels []string
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if at, ok := labelArgument[calledName(n)]; ok && at < len(n.Args) {
				labels = appendLabel(labels, n.Args[at])
			}
		case *ast.CompositeLit:
			if name, ok := n.Type.(*ast.Ident); !ok || name.Name != "swap" {
				return true
			}
			for _, field := range n.Elts {
				if field, ok := field.(*ast.KeyValueExpr); ok && field.Key.(*ast.Ident).Name != "name" {
					labels = appendLabel(labels, field.Value)
				}
			}
		}
		return true
	})
	return labels
}

func calledName(call *ast.CallExpr) string {
	switch f := call.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// appendLabel adds the label that an expression is, if it is one.
func appendLabel(labels []string, e ast.Expr) []string {
	rest := ""
	if sum, ok := e.(*ast.BinaryExpr); ok {
		e, rest = sum.X, "*"
	}
	literal, ok := e.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return labels
	}
	text, err := strconv.Unquote(literal.Value)
	if err != nil {
		return labels
	}
	return append(labels, text+rest)
}

// checkLabelsHit fails the test if there is an operation in the source that no scenario has made.
func checkLabelsHit(t *testing.T, hit map[string]bool) {
	t.Helper()
	labels := sourceLabels(t)
	if len(labels) < 80 {
		t.Errorf("only %d labels were found in the source", len(labels))
	}
	var missed []string
	for label, file := range labels {
		if !isHit(label, hit) && unhitLabels[label] == "" {
			missed = append(missed, file+": "+label)
		}
	}
	slices.Sort(missed)
	for _, m := range missed {
		t.Errorf("no scenario makes the operation %s", m)
	}
	for label := range unhitLabels {
		if labels[label] == "" || hit[label] {
			t.Errorf("%q is no exception any more", label)
		}
	}
}

func isHit(label string, hit map[string]bool) bool {
	prefix, open := strings.CutSuffix(label, "*")
	for h := range hit {
		if h == label || open && strings.HasPrefix(h, prefix) {
			return true
		}
	}
	return false
}

// stagedWrites are what makes a staged tag.
var stagedWrites = []string{"make staged directory", "make staged link", "write staged file", "clone staged file",
	"link staged file", "replace staged file", "set directory times", "settle tree", "export", "write table"}

// durability says what must be synced before something gets the name that readers look for: after the last
// of the writes the sync must come, and then only the publishing.
var durability = []struct {
	publish []string
	sync    string
	writes  []string
}{
	{[]string{"publish table", "publish manifest", "publish tag"}, "sync stage", stagedWrites},
	{[]string{"publish manifest"}, "sync manifest", []string{"write manifest"}},
	{[]string{"publish tag"}, "sync manifests", []string{"publish manifest"}},
	{[]string{"publish tag"}, "sync tables", []string{"publish table"}},
	{[]string{"rename pack", "rename idx"}, "sync pack",
		[]string{"create pack", "write pack", "write pack index", "copy pack", "copy idx", "protect pack"}},
	{[]string{"rename object"}, "sync objects", []string{"write object", "copy object"}},
	{[]string{"rename main"}, "sync object names", []string{"rename object"}},
	{[]string{"rename main"}, "sync pack names", []string{"rename pack", "rename idx"}},
	{[]string{"rename main"}, "sync file system", []string{"rename file", "write file", "make link"}},
	{[]string{"rename index"}, "sync file system", []string{"rename file", "write file", "make link", "remove file",
		"change mode", "make directory", "remove directory"}},
	{[]string{"rename index"}, "sync index", []string{"write index"}},
	{[]string{"rename clone", "exchange working copies"}, "sync clone", []string{"write repository", "rename file",
		"write file", "make link", "make directory", "rename object", "rename pack", "rename idx", "rename index",
		"rename HEAD", "rename main", "rename etchtag-state"}},
	{[]string{"rename clone"}, "sync clone", []string{"svn checkout"}},
	{[]string{"exchange working copies"}, "sync working copy", []string{"svn checkout"}},
	{[]string{"exchange tags"}, "sync stage", stagedWrites},
	{[]string{"exchange repository"}, "sync repository",
		[]string{"write repository", "rename object", "rename pack", "rename idx", "rename HEAD", "rename main"}},
	{[]string{"rename killswitch copy"}, "sync killswitch copy", []string{"write killswitch copy"}},
	{[]string{"rename tagstate"}, "sync tagstate", []string{"create tagstate", "write tagstate", "chown tagstate", "chmod tagstate"}},
	{[]string{"rename main"}, "sync main", []string{"create main", "write main"}},
	{[]string{"rename HEAD"}, "sync HEAD", []string{"create HEAD", "write HEAD"}},
	{[]string{"rename config"}, "sync config", []string{"create config", "write config"}},
	{[]string{"rename ETCHTAG_HEAD"}, "sync ETCHTAG_HEAD", []string{"create ETCHTAG_HEAD", "write ETCHTAG_HEAD"}},
	{[]string{"rename etchtag-state"}, "sync etchtag-state", []string{"create etchtag-state", "write etchtag-state"}},
	{[]string{"rename etchtag-journal"}, "sync etchtag-journal", []string{"create etchtag-journal", "write etchtag-journal"}},
}

// ownDurability are names that are given without a sync of their own before, and why.
var ownDurability = map[string]string{
	"rename file": "the journal says that the working copy is being changed, and the index says of no file that it is " +
		"whole before the sync that all of them share: until then each is compared with what it should be",
	"rename file table": "the library that renames it syncs it first",
}

// checkDurability proves of a recorded run that nothing got its name before it was durable.
func checkDurability(t *testing.T, steps []faultStep) {
	t.Helper()
	for i, s := range steps {
		known := ownDurability[s.label] != ""
		for _, rule := range durability {
			if !slices.Contains(rule.publish, s.label) {
				continue
			}
			known = true
			written, synced := -1, -1
			for j, before := range steps[:i] {
				if slices.Contains(rule.writes, before.label) {
					written = j
				}
				if before.label == rule.sync {
					synced = j
				}
			}
			if written > synced {
				t.Errorf("%s comes after %s without %s between", s, steps[written], rule.sync)
			}
		}
		if !known && beginsWith(s.label, []string{"rename", "publish", "exchange"}) {
			t.Errorf("no rule says what has to be durable before %s", s)
		}
	}
}
