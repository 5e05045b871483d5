package parse

import (
	"encoding/binary"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Lists keeps lists of names. Most stand in a file many times, so equal ones are kept once, and what
// several aliases stand for is read once.
type Lists struct {
	All     [][]string
	index   map[string]int32     // by the list's names, each with its length before it
	aliased map[*yaml.Node]int32 // by what an alias stands for
	key     []byte               // for reuse
	names   []string             // for reuse
}

// NewLists returns lists without any.
func NewLists() *Lists {
	return &Lists{index: map[string]int32{}, aliased: map[*yaml.Node]int32{}}
}

// Add returns the index of a list with these names.
func (l *Lists) Add(names []string) int32 {
	l.key = l.key[:0]
	for _, name := range names {
		l.key = append(binary.AppendUvarint(l.key, uint64(len(name))), name...)
	}
	list, found := l.index[string(l.key)]
	if !found {
		list = int32(len(l.All))
		l.All = append(l.All, slices.Clone(names))
		l.index[string(l.key)] = list
	}
	return list
}

// AddNode returns the index of the list that value is.
func (l *Lists) AddNode(file string, value *yaml.Node) (int32, error) {
	if value.Kind == yaml.AliasNode {
		if list, found := l.aliased[value.Alias]; found {
			return list, nil
		}
	}
	names, err := appendNames(l.names[:0], file, value)
	if err != nil {
		return 0, err
	}
	l.names = names
	list := l.Add(names)
	if value.Kind == yaml.AliasNode {
		l.aliased[value.Alias] = list
	}
	return list, nil
}

// Union returns the names of several lists, sorted and without repetition.
func (l *Lists) Union(indices ...int32) []string {
	var names []string
	for _, i := range indices {
		names = append(names, l.All[i]...)
	}
	return SortedSet(names)
}

// SortedSet sorts names in place and returns them without repetition.
func SortedSet(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}
