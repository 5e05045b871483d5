package decide

import (
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
)

// Kind is one kind of inventory.
type Kind struct {
	// New makes one. The trees are the copies of the configuration that it may be read from, the best first.
	New func(s *Site, i config.Inventory, trees iter.Seq[inventory.Tree]) inventory.Inventory

	// Files are those by a path of their own that decide what it answers: whoever can write them does. Nil: none.
	Files func(s *Site, i config.Inventory) []string

	Pins bool // it may pin hosts
}

// Kinds are kinds of inventories by the names that they have in a configuration.
type Kinds map[string]Kind

// LocalKinds are those that take no more than files and programs.
var LocalKinds = Kinds{
	"etch": {
		New: func(_ *Site, _ config.Inventory, trees iter.Seq[inventory.Tree]) inventory.Inventory {
			return inventory.NewEtch(trees)
		},
	},
	"nodegrouper": {
		New: func(s *Site, i config.Inventory, trees iter.Seq[inventory.Tree]) inventory.Inventory {
			return inventory.NewNodegrouper(trees, inventory.ProgramOptions{Timeout: i.Timeout, Alone: s.Alone})
		},
	},
	"command": {
		New: func(s *Site, i config.Inventory, _ iter.Seq[inventory.Tree]) inventory.Inventory {
			return inventory.NewCommand(s.program(i.Command), inventory.ProgramOptions{Timeout: i.Timeout, Alone: s.Alone})
		},
		Files: func(s *Site, i config.Inventory) []string {
			if program := s.program(i.Command)[0]; strings.Contains(program, "/") {
				return []string{program}
			}
			return nil
		},
		Pins: true,
	},
	"file": {
		New: func(s *Site, i config.Inventory, _ iter.Seq[inventory.Tree]) inventory.Inventory {
			path := s.Path(i.Path)
			return inventory.NewFile(path, s.Base.FileTable(path))
		},
		Files: func(s *Site, i config.Inventory) []string { return []string{s.Path(i.Path)} },
		Pins:  true,
	},
}

// UnknownKindError says that the configuration names a kind of inventory that this program does not have.
type UnknownKindError struct {
	Kind string
	Base tag.Base
}

func (e *UnknownKindError) Error() string {
	return fmt.Sprintf("this program knows no inventory of kind %s", e.Kind)
}

// EtchtagPlaces are where nodetagger, whose own file is given, looks for etchtag if it does not know a kind.
func EtchtagPlaces(nodetagger string, base tag.Base) []string {
	return []string{filepath.Join(filepath.Dir(nodetagger), "etchtag"), base.Etchtag()}
}

// inventory builds one of the inventories that are asked at a moment.
func (s *Site) inventory(i config.Inventory, m *tagging.Moment) (inventory.Inventory, error) {
	kind, ok := s.Kinds[i.Kind]
	if !ok {
		return nil, &UnknownKindError{i.Kind, s.Base}
	}
	trees := m.SettledTrees()
	if i.From == "trunk" {
		trees = m.WorkingTrees()
	}
	inv := kind.New(s, i, trees)
	if i.Stale == 0 {
		return inv, nil
	}
	return inventory.WithStale(inv, inventory.StaleOptions{Age: i.Stale, ID: s.Base.Path + " " + inv.Name(),
		Dir: s.Config.CacheDir, Now: s.Clock}), nil
}

// program is a command of the configuration with the path of its program. A name without a slash is looked for in
// $PATH.
func (s *Site) program(words []string) []string {
	if !strings.Contains(words[0], "/") {
		return words
	}
	return append([]string{s.Path(words[0])}, words[1:]...)
}
