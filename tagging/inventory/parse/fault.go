// Package parse reads what inventories are written in: bounded regular files, YAML and XML, with the place of
// every mistake. Package inventory and the kinds of inventories build on it; it knows none of them.
package parse

import (
	"fmt"
	"path/filepath"
)

// Fault is a mistake in a file that an inventory is read from.
type Fault struct {
	File    string // the file's path, or its name below the tree that CompileTo was given
	Line    int    // counted from 1
	Problem string
}

// Error is in the form "file:line: problem".
func (f *Fault) Error() string { return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Problem) }

// Below returns the fault with its file's path below the directory dir.
func (f *Fault) Below(dir string) *Fault {
	return &Fault{File: filepath.Join(dir, f.File), Line: f.Line, Problem: f.Problem}
}

// Faultf makes a Fault.
func Faultf(file string, line int, format string, args ...any) *Fault {
	return &Fault{File: file, Line: line, Problem: fmt.Sprintf(format, args...)}
}
