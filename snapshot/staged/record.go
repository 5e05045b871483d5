package staged

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Record lists the tree at dir as a manifest does. It refuses a tree in which something is that no tag may have:
// files that give whoever runs them another's rights, devices, fifos, sockets; one with something that cannot be
// read; and one without files.
func Record(ctx context.Context, dir string, read func()) ([]tag.Entry, error) {
	r := treeRecord{counted: read, entries: map[string]*tag.Entry{}, dirs: map[string]bool{}}
	if err := walkTree(ctx, dir, &r); err != nil {
		return nil, err
	}
	if len(r.against) > 0 {
		const most = 5
		slices.Sort(r.against)
		text := strings.Join(r.against[:min(most, len(r.against))], ", ")
		if more := len(r.against) - most; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		return nil, errors.New("it is refused, for " + text)
	}
	if len(r.entries) == 0 {
		return nil, errors.New("it is refused, for it has no files: an empty configuration is nothing to record")
	}
	entries := make([]tag.Entry, 0, len(r.entries))
	for _, e := range r.entries {
		entries = append(entries, *e)
	}
	for p, empty := range r.dirs {
		if empty && p != "." {
			entries = append(entries, tag.Entry{Path: p, Mode: tag.ModeEmptyDir})
		}
	}
	return entries, nil
}

// treeRecord is the visitor that lists a tree.
type treeRecord struct {
	counted func() // called for each file; nil for nobody

	mu      sync.Mutex // guards the rest
	entries map[string]*tag.Entry
	dirs    map[string]bool // whether nothing was met in a directory
	against []string        // why the tree cannot be recorded
}

func (r *treeRecord) meet(p string, st *unix.Stat_t) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p != "." {
		r.dirs[path.Dir(p)] = false
	}
	e := &tag.Entry{Path: p, Mode: tag.ModeFile}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFDIR:
		r.dirs[p] = true
		return true
	case kind == unix.S_IFLNK:
		e.Mode = tag.ModeSymlink
	case kind != unix.S_IFREG:
		r.against = append(r.against, fmt.Sprintf("%q is %s", p, typeName(st.Mode)))
		return false
	case st.Mode&(unix.S_ISUID|unix.S_ISGID) != 0:
		r.against = append(r.against, fmt.Sprintf("%q has the mode %04o", p, st.Mode&0o7777))
		return false
	case st.Mode&0o111 != 0:
		e.Mode = tag.ModeExecutable
	}
	r.entries[p] = e
	return true
}

func (r *treeRecord) read(p string, c contents) {
	if r.counted != nil {
		r.counted()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries[p].Size, r.entries[p].Hash = c.size, c.hash
}

func (r *treeRecord) failed(p string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.against = append(r.against, fmt.Sprintf("%q cannot be read: %v", p, err))
}
