package source

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

// objectNames knows which objects a repository lists, without reading any.
type objectNames struct {
	dirs   []string // objects directories, those of alternates included
	tables []packIndex
}

// openNames reads the indexes of all packs.
func openNames(gitDir string) (*objectNames, error) {
	repositories, err := withAlternates(gitDir)
	if err != nil {
		return nil, err
	}
	o := &objectNames{}
	for _, dir := range repositories {
		o.dirs = append(o.dirs, filepath.Join(dir, "objects"))
		err := readPackIndexes(dir, func(_ string, x packIndex) error {
			o.tables = append(o.tables, x)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

// has reports whether an object is listed.
func (o *objectNames) has(h plumbing.Hash) bool {
	for _, t := range o.tables {
		if _, ok := t.find(h); ok {
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
		for i := t.from(low[:]); i < t.count(); i++ {
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
