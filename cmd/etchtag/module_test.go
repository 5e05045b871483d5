package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// loadedModule is the module's code with its types, without tests.
type loadedModule struct {
	fset  *token.FileSet
	info  *types.Info
	files []*ast.File

	packages map[string]*types.Package
	others   types.Importer
}

// theModule is loaded once for all tests that look at it, because that takes seconds.
var theModule struct {
	sync.Mutex
	*loadedModule
}

// loadModule reads and checks all packages of ours. Of others it takes what the compiler has left. It must not be changed.
func loadModule(t *testing.T) *loadedModule {
	t.Helper()
	theModule.Lock()
	defer theModule.Unlock()
	if theModule.loadedModule == nil {
		theModule.loadedModule = readModule(t)
	}
	return theModule.loadedModule
}

func readModule(t *testing.T) *loadedModule {
	t.Helper()
	m := &loadedModule{
		fset: token.NewFileSet(),
		info: &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Defs: map[*ast.Ident]types.Object{},
			Uses: map[*ast.Ident]types.Object{}},
		packages: map[string]*types.Package{},
	}
	m.others = importer.ForCompiler(m.fset, "gc", compiled(t))
	for _, name := range slices.Sorted(maps.Keys(findRooms(t))) {
		if _, err := m.Import(module + name); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// Import checks a package of ours, or finds another.
func (m *loadedModule) Import(name string) (*types.Package, error) {
	ours, ok := strings.CutPrefix(name, module)
	if !ok {
		return m.others.Import(name)
	}
	if p := m.packages[name]; p != nil {
		return p, nil
	}
	dir := filepath.Join(moduleRoot, filepath.FromSlash(ours))
	files, err := m.parse(dir)
	if err != nil {
		return nil, err
	}
	config := types.Config{Importer: m}
	p, err := config.Check(name, m.fset, files, m.info)
	if err != nil {
		return nil, err
	}
	m.packages[name] = p
	m.files = append(m.files, files...)
	return p, nil
}

func (m *loadedModule) parse(dir string) ([]*ast.File, error) {
	p, err := build.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(m.fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

// file is the file of a node, from the module's root.
func (m *loadedModule) file(n ast.Node) string {
	name, _ := filepath.Rel(moduleRoot, m.fset.Position(n.Pos()).Filename)
	return filepath.ToSlash(name)
}

// compiled returns what opens the compiler's summary of a package that is not ours.
func compiled(t *testing.T) func(name string) (io.ReadCloser, error) {
	t.Helper()
	args := []string{"list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}", "./..."}
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Stderr = moduleRoot, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	archives := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, archive, _ := strings.Cut(strings.TrimSpace(line), " ")
		archives[name] = archive
	}
	return func(name string) (io.ReadCloser, error) {
		if archives[name] == "" {
			return nil, fmt.Errorf("nobody has compiled %s", name)
		}
		return os.Open(archives[name])
	}
}
