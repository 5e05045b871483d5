package snapshot

import (
	"strings"
	"sync"

	"github.com/etch/etchtag/snapshot/source"
)

// directory is a directory of a tree that is to be filled.
type directory struct {
	name     string
	path     string // empty for the root
	files    []int  // indexes of the entries that stand directly in it
	children []*directory
}

// newDirectories arranges entries, which are sorted by path, as the directories that hold them.
func newDirectories(entries []source.Entry) *directory {
	root := &directory{}
	open := []*directory{root} // from the root to where the last entry stands
	for i, e := range entries {
		for !open[len(open)-1].holds(e.Path) { // whatever stands below one directory comes without a break
			open = open[:len(open)-1]
		}
		parent := open[len(open)-1]
		for begin := parent.below(); ; {
			length := strings.IndexByte(e.Path[begin:], '/')
			if length < 0 {
				break
			}
			d := &directory{name: e.Path[begin : begin+length], path: e.Path[:begin+length]}
			parent.children = append(parent.children, d)
			open = append(open, d)
			parent, begin = d, d.below()
		}
		parent.files = append(parent.files, i)
	}
	return root
}

// below is where the names of what stands in the directory begin in their paths.
func (d *directory) below() int {
	if d.path == "" {
		return 0
	}
	return len(d.path) + 1
}

// holds reports whether a path is below the directory.
func (d *directory) holds(path string) bool {
	n := len(d.path)
	return n == 0 || len(path) > n && path[n] == '/' && path[:n] == d.path
}

// dirQueue hands each directory of a tree to one of several workers, after the one that it stands in.
type dirQueue struct {
	mu         sync.Mutex
	changed    sync.Cond
	ready      []*directory // the last comes first, so that few wait
	unfinished int          // those that are ready or being filled
}

func newDirQueue(root *directory) *dirQueue {
	q := &dirQueue{}
	q.changed.L = &q.mu
	q.add([]*directory{root})
	return q
}

// add hands out directories that exist now. The one that they stand in is not finished yet.
func (q *dirQueue) add(dirs []*directory) {
	if len(dirs) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = append(q.ready, dirs...)
	q.unfinished += len(dirs)
	q.changed.Broadcast()
}

// next waits for a directory to fill, or returns nil when all are finished.
func (q *dirQueue) next() *directory {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 {
		if q.unfinished == 0 {
			return nil
		}
		q.changed.Wait()
	}
	d := q.ready[len(q.ready)-1]
	q.ready = q.ready[:len(q.ready)-1]
	return d
}

// finish is called when a directory that next returned is finished.
func (q *dirQueue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unfinished--; q.unfinished == 0 {
		q.changed.Broadcast()
	}
}
