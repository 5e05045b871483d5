package object

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
)

// Has reports whether an object is listed.
func (o *Reader) Has(h plumbing.Hash) bool {
	for _, p := range o.packs {
		if _, ok := p.index.find(h); ok {
			return true
		}
	}
	name := h.String()
	for _, dir := range o.dirs {
		if disk.Exists(filepath.Join(dir, name[:2], name[2:])) {
			return true
		}
	}
	return false
}

// WithPrefix lists the objects whose names begin with some digits, at least two.
func (o *Reader) WithPrefix(digits string) []plumbing.Hash {
	var found []plumbing.Hash
	low := plumbing.NewHash(digits + strings.Repeat("0", 2*NameSize-len(digits)))
	for _, p := range o.packs {
		for i := p.index.from(low[:]); i < p.index.count(); i++ {
			h := plumbing.Hash(p.index.name(i))
			if !strings.HasPrefix(h.String(), digits) {
				break
			}
			found = append(found, h)
		}
	}
	for _, dir := range o.dirs {
		files, _ := os.ReadDir(filepath.Join(dir, digits[:2]))
		for _, f := range files {
			if h, err := repo.ParseHash(digits[:2] + f.Name()); err == nil && strings.HasPrefix(h.String(), digits) {
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
