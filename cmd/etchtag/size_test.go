package main

import (
	"bytes"
	"go/ast"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"
)

// TestRoomsAreSmall fails on a package that nobody can read in a sitting, and on one whose files cannot be read one
// after the other, because each of many uses names of the others.
func TestRoomsAreSmall(t *testing.T) {
	t.Parallel()
	const mostLines, largestCircle = 4500, 10
	m := loadModule(t)
	lines, uses := map[string]int{}, map[string]map[string]bool{}
	for _, file := range m.files {
		name := m.fset.Position(file.Pos()).Filename
		text, err := os.ReadFile(name)
		must(t, err)
		lines[filepath.Dir(name)] += bytes.Count(text, []byte("\n"))
		uses[name] = map[string]bool{}
		ast.Inspect(file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && m.info.Uses[id] != nil && m.info.Uses[id].Pos().IsValid() {
				uses[name][m.fset.Position(m.info.Uses[id].Pos()).Filename] = true
			}
			return true
		})
	}
	for dir, n := range lines {
		if n > mostLines {
			t.Errorf("%s has %d lines, more than %d: build a wall", dir, n, mostLines)
		}
	}
	for _, circle := range circles(uses) {
		if len(circle) > largestCircle {
			t.Errorf("%d files of %s use names of each other: %s", len(circle), path.Dir(circle[0]), circle)
		}
	}
}

// circles finds the sets of files each of which leads to all others of its set, by Tarjan's algorithm. No import leads
// back, so that the files of one are of one package.
func circles(uses map[string]map[string]bool) (found [][]string) {
	number, lowest := map[string]int{}, map[string]int{}
	var open []string
	var visit func(file string)
	visit = func(file string) {
		number[file] = len(number) + 1
		lowest[file] = number[file]
		open = append(open, file)
		for next := range uses[file] {
			switch {
			case uses[next] == nil: // of another module
			case number[next] == 0:
				visit(next)
				lowest[file] = min(lowest[file], lowest[next])
			case slices.Contains(open, next):
				lowest[file] = min(lowest[file], number[next])
			}
		}
		if lowest[file] == number[file] {
			i := slices.Index(open, file)
			found = append(found, slices.Clone(open[i:]))
			open = open[:i]
		}
	}
	for _, file := range slices.Sorted(maps.Keys(uses)) {
		if number[file] == 0 {
			visit(file)
		}
	}
	return found
}
