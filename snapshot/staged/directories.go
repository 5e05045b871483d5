package staged

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/etch/etchtag/snapshot/source"
)

// directory is a directory of a tree that is to be filled.
type directory struct {
	name     string
	path     string // empty for the root
	files    []int  // indexes of the entries that stand directly in it
	children []*directory

	unfinished atomic.Int32 // shares
}

// shareSize is how many files are one share of a directory.
const shareSize = 256

// share is the part of a directory that one worker fills: a few of its files, and the first share all its directories.
type share struct {
	*directory
	files []int
	first bool
}

// begin returns the first share of the directory, from which the others come.
func (d *directory) begin() share {
	d.unfinished.Store(int32(1 + (len(d.files)-1)/shareSize))
	return share{directory: d, files: d.files[:min(len(d.files), shareSize)], first: true}
}

// rest returns the other shares.
func (d *directory) rest() []share {
	var shares []share
	for files := range slices.Chunk(d.files[min(len(d.files), shareSize):], shareSize) {
		shares = append(shares, share{directory: d, files: files})
	}
	return shares
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

// shareQueue hands the shares of a tree's directories to several workers, each after the first of the directory that it
// stands in.
type shareQueue struct {
	mu         sync.Mutex
	changed    sync.Cond
	ready      []share // the last comes first, so that few wait
	unfinished int     // those that are ready or being filled
}

func newShareQueue(root *directory) *shareQueue {
	q := &shareQueue{}
	q.changed.L = &q.mu
	q.add([]share{root.begin()})
	return q
}

// add hands out shares of directories that exist. The one by which they came is not finished yet.
func (q *shareQueue) add(shares []share) {
	if len(shares) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ready = append(q.ready, shares...)
	q.unfinished += len(shares)
	q.changed.Broadcast()
}

// next waits for a share, and reports false when all are finished.
func (q *shareQueue) next() (share, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.ready) == 0 {
		if q.unfinished == 0 {
			return share{}, false
		}
		q.changed.Wait()
	}
	s := q.ready[len(q.ready)-1]
	q.ready = q.ready[:len(q.ready)-1]
	return s, true
}

// finish is called when a share that next returned is finished.
func (q *shareQueue) finish() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.unfinished--; q.unfinished == 0 {
		q.changed.Broadcast()
	}
}
