package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// Tree is a tree of configuration with etch's own files of hosts and groups in it.
type Tree struct {
	Label string // for notes and errors: a tag's name or the working copy's
	Dir   string // where the tree is
	Table string // where the table is that CompileTo has made of it; empty if there is none
}

// Etch is the inventory that the etch server has built in: nodes.yml or else nodes.xml gives each host's
// groups, nodegroups.yml or else nodegroups.xml gives the parents of groups. A host is in its own groups,
// their parents, the parents of those and so on. None of the files needs to be there.
//
// Names of hosts compare in lower case; one that is spelled in two ways has the groups of both.
type Etch struct {
	trees iter.Seq[Tree]
}

var _ Lister = (*Etch)(nil)

// NewEtch returns the inventory that is read from the first of trees that can be read. Those before it
// are named in the notes of each answer, with the reason. The trees are asked for anew, once, for each
// Lookup or Hosts, and no further than is needed. Without any tree no host is known.
func NewEtch(trees iter.Seq[Tree]) *Etch { return &Etch{trees: trees} }

// Name implements Inventory.
func (e *Etch) Name() string { return "etch" }

// Lookup implements Inventory. It costs a few page reads in a tree that has a table.
func (e *Etch) Lookup(ctx context.Context, host string) (Answer, error) {
	var a Answer
	err := e.read(ctx, treeReader{
		table: func(t *table, notes []string) error {
			found, known, err := t.lookup(host)
			a = Answer{Known: known, Groups: found.groups, Notes: notes}
			return err
		},
		fleet: func(f *fleet, notes []string) {
			groups, known := f.lookup(host)
			a = Answer{Known: known, Groups: groups, Notes: notes}
		},
	})
	if err != nil {
		return Answer{}, err
	}
	return a, nil
}

// Hosts implements Lister.
func (e *Etch) Hosts(ctx context.Context, yield func(host string, a Answer) bool) error {
	var last string     // the host that was yielded last, if any
	var cancelled error // why there shall be no more
	next := func(host string, groups []string, notes []string) bool {
		if cancelled = ctx.Err(); cancelled != nil {
			return false
		}
		last = host
		return yield(host, Answer{Known: true, Groups: groups, Notes: notes})
	}
	err := e.read(ctx, treeReader{
		table: func(t *table, notes []string) error {
			return t.hosts(func(host string, found entry) bool { return next(host, found.groups, notes) })
		},
		// If a table turns out to be damaged half-way, its tree's files give the rest.
		fleet: func(f *fleet, notes []string) {
			f.hosts(func(host string, rows []row) bool {
				return host <= last || next(host, f.groups(rows), notes)
			})
		},
	})
	if err != nil {
		return err
	}
	return cancelled
}

// treeReader asks the same of a table and of the files that it was compiled from.
type treeReader struct {
	table func(t *table, notes []string) error // fails only if the table is of no use
	fleet func(f *fleet, notes []string)
}

// read has the first tree read that can be read. If there are trees but none of them can, its error is
// that of the first.
func (e *Etch) read(ctx context.Context, r treeReader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var first error
	var passed []string
	for tree := range e.trees {
		if err := ctx.Err(); err != nil {
			return err
		}
		notes := passed
		if first != nil {
			notes = append(notes, "the groups are those of "+tree.Label)
		}
		err := r.read(tree, notes)
		if err == nil {
			return nil
		}
		if first == nil {
			first = fmt.Errorf("read the groups of %s: %w", tree.Label, err)
		}
		passed = append(passed, fmt.Sprintf("%s is passed over: %v", tree.Label, err))
	}
	return first
}

// read reads the table of a tree, or else its files.
func (r treeReader) read(tree Tree, notes []string) error {
	err := openTable(tree.Table, identity{}, func(t *table) error { return r.table(t, notes) })
	if err == nil {
		return nil
	}
	if fault, ok := errors.AsType[*parse.Fault](err); ok {
		return fault.Below(tree.Dir)
	}
	f, fleetErr := readFleet(tree.Dir)
	if fault, ok := errors.AsType[*parse.Fault](fleetErr); ok {
		return fault.Below(tree.Dir)
	}
	if fleetErr != nil {
		return fleetErr
	}
	if errors.Is(err, fs.ErrNotExist) { // as it is with an empty path
		notes = append(notes, tree.Label+" has no table: its files were read in full")
	} else {
		notes = append(notes, fmt.Sprintf("the table of %s is not used (%v): its files were read in full",
			tree.Label, err))
	}
	r.fleet(f, notes)
	return nil
}
