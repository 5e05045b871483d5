package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// objectNames knows which objects a repository lists, without reading any.
type objectNames struct {
	dirs   []string // objects directories, those of alternates included
	tables []nameTable
}

// nameTable is the sorted list of names in a pack's index, version 2 of git's format.
type nameTable struct {
	fanOut []byte // 256 numbers: how many names begin with that byte or a smaller one
	names  []byte
}

const (
	indexHeader = 8       // magic and version
	fanOutSize  = 256 * 4 // one number for each first byte
	nameSize    = 20
)

// openNames reads the indexes of all packs.
func openNames(gitDir string) (*objectNames, error) {
	repositories, err := withAlternates(gitDir)
	if err != nil {
		return nil, err
	}
	o := &objectNames{}
	for _, dir := range repositories {
		dir = filepath.Join(dir, "objects")
		o.dirs = append(o.dirs, dir)
		packs, err := filepath.Glob(filepath.Join(escapeGlob(dir), "pack", "pack-*.pack"))
		if err != nil {
			return nil, err
		}
		for _, pack := range packs {
			name := strings.TrimSuffix(pack, ".pack") + ".idx"
			data, err := os.ReadFile(name)
			if err != nil {
				return nil, &ObjectError{Err: err}
			}
			table, err := parseNames(data)
			if err != nil {
				return nil, &ObjectError{Err: fmt.Errorf("the index %q: %w", name, err)}
			}
			o.tables = append(o.tables, table)
		}
	}
	return o, nil
}

// parseNames finds the names in a pack's index.
func parseNames(data []byte) (nameTable, error) {
	if len(data) < indexHeader+fanOutSize || string(data[:indexHeader]) != "\xfftOc\x00\x00\x00\x02" {
		return nameTable{}, errors.New("it is cut off, or not of version 2")
	}
	t := nameTable{fanOut: data[indexHeader : indexHeader+fanOutSize]}
	before := 0
	for b := range 256 {
		if t.upTo(b) < before {
			return nameTable{}, errors.New("its table is damaged")
		}
		before = t.upTo(b)
	}
	rest := data[indexHeader+fanOutSize:]
	if len(rest)/nameSize < before {
		return nameTable{}, errors.New("it is cut off")
	}
	t.names = rest[:before*nameSize]
	return t, nil
}

func (t nameTable) upTo(first int) int { return int(binary.BigEndian.Uint32(t.fanOut[4*first:])) }

func (t nameTable) name(i int) []byte { return t.names[i*nameSize : (i+1)*nameSize] }

// from returns the place of the first name that is not before the prefix, which is not empty.
func (t nameTable) from(prefix []byte) int {
	low := 0
	if prefix[0] > 0 {
		low = t.upTo(int(prefix[0]) - 1)
	}
	return low + sort.Search(t.upTo(int(prefix[0]))-low, func(i int) bool {
		return bytes.Compare(t.name(low+i), prefix) >= 0
	})
}

// has reports whether an object is listed.
func (o *objectNames) has(h plumbing.Hash) bool {
	for _, t := range o.tables {
		if i := t.from(h[:]); i < len(t.names)/nameSize && bytes.Equal(t.name(i), h[:]) {
			return true
		}
	}
	name := h.String()
	for _, dir := range o.dirs {
		if exists(filepath.Join(dir, name[:2], name[2:])) {
			return true
		}
	}
	return false
}

// withPrefix lists the objects whose names begin with some digits, at least two.
func (o *objectNames) withPrefix(digits string) []plumbing.Hash {
	var found []plumbing.Hash
	low := plumbing.NewHash(digits + strings.Repeat("0", 2*nameSize-len(digits)))
	for _, t := range o.tables {
		for i := t.from(low[:]); i < len(t.names)/nameSize; i++ {
			h := plumbing.Hash(t.name(i))
			if !strings.HasPrefix(h.String(), digits) {
				break
			}
			found = append(found, h)
		}
	}
	for _, dir := range o.dirs {
		files, _ := os.ReadDir(filepath.Join(dir, digits[:2]))
		for _, f := range files {
			if h, err := parseHash(digits[:2] + f.Name()); err == nil && strings.HasPrefix(h.String(), digits) {
				found = append(found, h)
			}
		}
	}
	return found
}

// escapeGlob makes a path stand for itself in a pattern.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
