package tagstate

import (
	"maps"
	"slices"
)

// Set is what several files say together. A nil Set says nothing.
type Set struct {
	merged   map[string]Entry
	each     map[string][]Entry
	warnings []Warning
}

// Merge joins files. Over all of them bad and badfwd beat everything else, and an unrecognised
// state beats good, so that no file can make acceptable what another one refuses. Of two entries
// that neither beats, such as bad and badfwd, the one of the later file counts.
func Merge(files ...*File) *Set {
	s := &Set{merged: make(map[string]Entry), each: make(map[string][]Entry)}
	for _, f := range files {
		if f == nil {
			continue
		}
		s.warnings = append(s.warnings, f.Warnings...)
		for tag, e := range f.Entries {
			s.each[tag] = append(s.each[tag], e)
			if e.State.weight() >= s.merged[tag].State.weight() {
				s.merged[tag] = e
			}
		}
	}
	return s
}

// weight orders states by which beats which in other files.
func (s State) weight() int {
	switch s {
	case None:
		return 0
	case Good:
		return 1
	case Bad, BadFwd:
		return 3
	}
	return 2
}

// Get returns what the files together say of tag: the zero Entry if they say nothing.
func (s *Set) Get(tag string) Entry {
	if s == nil {
		return Entry{}
	}
	return s.merged[tag]
}

// Entries returns what the files together say, sorted by tag.
func (s *Set) Entries() []Entry {
	if s == nil {
		return nil
	}
	entries := make([]Entry, 0, len(s.merged))
	for _, tag := range slices.Sorted(maps.Keys(s.merged)) { // to sort what is large needs a stack that has to grow for it
		entries = append(entries, s.merged[tag])
	}
	return entries
}

// From returns what each file by itself says of tag, in the order of the files: it tells which of
// them still mark a tag.
func (s *Set) From(tag string) []Entry {
	if s == nil {
		return nil
	}
	return slices.Clone(s.each[tag])
}

// Warnings returns the warnings of all files, in the order of the files.
func (s *Set) Warnings() []Warning {
	if s == nil {
		return nil
	}
	return slices.Clone(s.warnings)
}
