package main

import (
	"flag"
	"fmt"
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the list of labels anew")

// TestLabelsAreThoseOfTheList compares the labels in the source, and how often each stands there, with the list of
// them: none may get lost while code moves. An operation that is new, or gone on purpose, changes the list with
//
//	go test -run Labels ./cmd/etchtag -update
func TestLabelsAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	var list strings.Builder
	sites := labelSites(t)
	for _, label := range slices.Sorted(maps.Keys(sites)) {
		fmt.Fprintf(&list, "%d %s\n", len(sites[label]), label)
	}
	for pattern := range unhitFiles {
		matches := func(file string) bool { ok, _ := path.Match(pattern, file); return ok }
		if !slices.ContainsFunc(slices.Concat(slices.Collect(maps.Values(sites))...), matches) {
			t.Errorf("%s is excepted from the scenarios, and has no labels", pattern)
		}
	}
	name := filepath.Join("testdata", "labels")
	if *update {
		must(t, os.WriteFile(name, []byte(list.String()), 0o644))
	}
	want, err := os.ReadFile(name)
	must(t, err)
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(list.String(), "\n")); diff != "" {
		t.Errorf("%s and the source differ (-list +source):\n%s", name, diff)
	}
}

// labelSites finds the labels of all operations that change something, each with the files that say it, one for each
// time that they do.
//
// A label is what is passed to a hook, which is any variable of type func(label string) error. Often that is a
// parameter or a field: then it is what the callers pass, or what the field is given, and so on, up to constants. A
// part of a label may come that way, too. A label that is no constant in the end fails the test: nobody could say
// which there are.
func labelSites(t *testing.T) map[string][]string {
	t.Helper()
	m := loadModule(t)
	f := &labelFinder{module: m, values: map[*types.Var][]ast.Expr{}, owner: map[*types.Var]*types.Func{},
		calls: map[*types.Func]int{}, passedOn: map[*types.Var]bool{}, done: map[labelPart]bool{}, sites: map[string][]string{}}
	for _, file := range m.files {
		ast.Inspect(file, f.noteValues)
	}
	for _, file := range m.files {
		ast.Inspect(file, f.followHook)
	}
	f.findEscapes()
	for _, files := range f.sites {
		slices.Sort(files)
	}
	for _, err := range f.errs {
		t.Error(err)
	}
	return f.sites
}

// labelFinder follows labels back to where they are constants.
type labelFinder struct {
	module   *loadedModule
	values   map[*types.Var][]ast.Expr  // what a variable, a parameter or a field is given; nil where that is no expression
	owner    map[*types.Var]*types.Func // whose parameter it is
	calls    map[*types.Func]int        // how often a function is called by its name
	passedOn map[*types.Var]bool        // the parameters of function literals that are hooks: they pass on what a hook was given

	done  map[labelPart]bool
	sites map[string][]string
	errs  []error
}

// labelPart is a variable that is a part of labels, with what is before and after it.
type labelPart struct {
	of            *types.Var
	before, after string
}

// noteValues notes what variables are given in one node.
func (f *labelFinder) noteValues(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CallExpr:
		f.noteArguments(n)
	case *ast.CompositeLit:
		f.noteFields(n)
	case *ast.FuncLit:
		if signature := f.module.info.TypeOf(n).(*types.Signature); isHook(signature) {
			f.passedOn[signature.Params().At(0)] = true
		}
	case *ast.AssignStmt:
		for i, to := range n.Lhs {
			if len(n.Lhs) == len(n.Rhs) && (n.Tok == token.ASSIGN || n.Tok == token.DEFINE) {
				f.note(f.variable(to), n.Rhs[i])
			} else {
				f.note(f.variable(to), nil)
			}
		}
	case *ast.ValueSpec:
		for i, name := range n.Names {
			if len(n.Values) == len(n.Names) {
				f.note(f.variable(name), n.Values[i])
			}
		}
	case *ast.RangeStmt:
		f.note(f.variable(n.Key), nil)
		f.note(f.variable(n.Value), nil)
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			f.note(f.variable(n.X), nil)
		}
	}
	return true
}

func (f *labelFinder) note(v *types.Var, value ast.Expr) {
	if v != nil {
		f.values[v] = append(f.values[v], value)
	}
}

// noteArguments notes what the parameters of a function of ours are given.
func (f *labelFinder) noteArguments(call *ast.CallExpr) {
	callee := f.function(call.Fun)
	if callee == nil {
		return
	}
	f.calls[callee]++
	params := callee.Signature().Params()
	for i := range min(params.Len(), len(call.Args)) {
		f.owner[params.At(i)] = callee
		f.note(params.At(i), call.Args[i])
	}
}

// noteFields notes what the fields of a struct are given.
func (f *labelFinder) noteFields(literal *ast.CompositeLit) {
	t := f.module.info.TypeOf(literal)
	if p, ok := t.Underlying().(*types.Pointer); ok { // within a literal of pointers
		t = p.Elem()
	}
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return
	}
	for i, e := range literal.Elts {
		if pair, ok := e.(*ast.KeyValueExpr); ok {
			f.note(f.variable(pair.Key), pair.Value)
		} else {
			f.note(s.Field(i), e)
		}
	}
}

// followHook follows the label that a hook is called with.
func (f *labelFinder) followHook(n ast.Node) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) != 1 || !isHook(f.module.info.TypeOf(call.Fun)) || f.variable(call.Fun) == nil {
		return true
	}
	f.follow(call.Args[0], "", "")
	return true
}

// isHook reports whether a value is of type func(label string) error. The name of the parameter tells it from functions
// that check strings, say.
func isHook(t types.Type) bool {
	signature, ok := t.Underlying().(*types.Signature)
	return ok && signature.Params().Len() == 1 && signature.Params().At(0).Name() == "label" && signature.Results().Len() == 1 &&
		types.Identical(signature.Params().At(0).Type(), types.Typ[types.String]) &&
		types.Identical(signature.Results().At(0).Type(), types.Universe.Lookup("error").Type())
}

// follow follows an expression that is a label between two texts.
func (f *labelFinder) follow(e ast.Expr, before, after string) {
	e = ast.Unparen(e)
	if text, ok := f.constant(e); ok {
		label := before + text + after
		f.sites[label] = append(f.sites[label], f.module.file(e))
		return
	}
	if sum, ok := e.(*ast.BinaryExpr); ok && sum.Op == token.ADD {
		if text, ok := f.constant(sum.X); ok {
			f.follow(sum.Y, before+text, after)
			return
		}
		if text, ok := f.constant(sum.Y); ok {
			f.follow(sum.X, before, text+after)
			return
		}
	}
	v := f.variable(e)
	if v == nil {
		f.fail(e, "this part of a label is no constant")
		return
	}
	part := labelPart{v, before, after}
	if f.done[part] || f.passedOn[v] {
		return
	}
	f.done[part] = true
	if len(f.values[v]) == 0 {
		f.fail(e, "nothing is ever given to "+v.Name()+", which is a part of a label")
	}
	for _, value := range f.values[v] {
		if value == nil {
			f.fail(e, v.Name()+", which is a part of a label, is given what is no constant")
			continue
		}
		f.follow(value, before, after)
	}
}

// findEscapes fails where a function that is given a label is not called by its name: nobody sees what it is given.
func (f *labelFinder) findEscapes() {
	named := map[*types.Func]int{}
	for _, object := range f.module.info.Uses {
		if fn, ok := object.(*types.Func); ok {
			named[fn.Origin()]++
		}
	}
	for part := range f.done {
		fn := f.owner[part.of]
		if fn != nil && named[fn] != f.calls[fn] && !isHook(fn.Signature()) {
			f.errs = append(f.errs, fmt.Errorf("%s, which is given labels, is passed on as a value", fn.FullName()))
		}
	}
}

func (f *labelFinder) fail(at ast.Expr, what string) {
	f.errs = append(f.errs, fmt.Errorf("%s: %s", f.module.fset.Position(at.Pos()), what))
}

func (f *labelFinder) constant(e ast.Expr) (string, bool) {
	value := f.module.info.Types[e].Value
	if value == nil || value.Kind() != constant.String {
		return "", false
	}
	return constant.StringVal(value), true
}

// variable is the variable, parameter or field that an expression names, if it names one.
func (f *labelFinder) variable(e ast.Expr) *types.Var {
	v, _ := f.named(e).(*types.Var)
	if v != nil {
		v = v.Origin()
	}
	return v
}

// function is the function that an expression names, if it names one.
func (f *labelFinder) function(e ast.Expr) *types.Func {
	fn, _ := f.named(e).(*types.Func)
	if fn != nil {
		fn = fn.Origin()
	}
	return fn
}

func (f *labelFinder) named(e ast.Expr) types.Object {
	switch e := e.(type) {
	case *ast.Ident:
		return f.module.info.ObjectOf(e)
	case *ast.SelectorExpr:
		return f.module.info.ObjectOf(e.Sel)
	case *ast.ParenExpr:
		return f.named(e.X)
	}
	return nil
}
