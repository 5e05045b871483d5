// Package decide builds, from a base and its configuration, what decides which tag a host gets.
//
// Both programs decide with it: etchtag, whose other work is built elsewhere, and nodetagger, which must start fast. So it
// has nothing of snapshot, and no kind of inventory that takes more than files and programs: who knows more kinds adds
// them (Kinds).
package decide

import (
	"path/filepath"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// Site is one etch server's base with its configuration.
type Site struct {
	Base   tag.Base
	Config *config.Config
	Kinds  Kinds            // of inventories; a configuration that names another one is none for this program
	Clock  func() time.Time // the present, for the age of answers that inventories have kept
	Alone  bool             // the process starts nothing besides the programs of inventories, one after the other
}

// NewSite joins a base, whose path is absolute, and its configuration. This process is not alone.
func NewSite(base string, c *config.Config, kinds Kinds, clock func() time.Time) *Site {
	return &Site{Base: tag.Base{Path: base, WorkingCopy: c.WorkingCopy.Path}, Config: c, Kinds: kinds, Clock: clock}
}

// Path resolves a path of the configuration.
func (s *Site) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.Base.Path, p)
}

// States reads the tagstate files and merges them.
func (s *Site) States() (*tagstate.Set, error) { return s.StatesWith("", nil) }

// StatesWith is States if one of the files, which is given by its full path, had other contents.
func (s *Site) StatesWith(file string, contents []byte) (*tagstate.Set, error) {
	valid := s.Config.Cadence().Valid
	files := make([]*tagstate.File, len(s.Config.Tagstate))
	for i, path := range s.Config.Tagstate {
		var err error
		if full := filepath.Join(s.Base.Path, path); full == file {
			files[i] = tagstate.Parse(path, contents, valid)
		} else if files[i], err = tagstate.Load(full, path, valid); err != nil {
			return nil, err
		}
	}
	return tagstate.Merge(files...), nil
}

// Hosts reads everything that the decisions of now depend on.
func (s *Site) Hosts(now time.Time) (*tagging.Hosts, error) {
	states, err := s.States()
	if err != nil {
		return nil, err
	}
	index, err := tag.ReadIndex(s.Base)
	if err != nil {
		return nil, err
	}
	pins, err := tagging.LoadPins(s.Base.Pins())
	if err != nil {
		return nil, err
	}
	m := s.Resolver(states, index).At(now)
	inventories := make([]inventory.Inventory, len(s.Config.Inventory))
	for i, c := range s.Config.Inventory {
		if inventories[i], err = s.inventory(c, m); err != nil {
			return nil, err
		}
	}
	return &tagging.Hosts{Moment: m, Pins: pins, Inventories: inventories}, nil
}

// Resolver decides for rings, and knows no hosts: rings get their tags whatever inventories say, so that none of them, down
// or slow, is in the way.
func (s *Site) Resolver(states *tagstate.Set, index *tag.Index) *tagging.Resolver {
	return &tagging.Resolver{Base: s.Base, Cadence: s.Config.Cadence(), Rings: s.Config.Rings, States: states, Index: index}
}
