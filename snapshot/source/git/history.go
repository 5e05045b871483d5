package git

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// localPrefix begins the refs that keep local commits which an update took off their branch.
	localPrefix = "refs/etchtag/local/"
)

// compareHistory says what the move from the commit that is checked out to upstream's means.
func (g *Source) compareHistory(ctx context.Context, objs *object.Reader, r *repository, f follow, out *source.Outcome) error {
	if r.commit.IsZero() {
		return nil
	}
	out.Previous = r.commit.String()
	contained, err := isAncestor(ctx, objs, r.commit, f.target)
	if err != nil || contained {
		return err
	}
	_, synced, err := r.refs.Resolve(repo.SyncedRef)
	if err != nil && !errors.Is(err, repo.ErrNoRef) {
		return err
	}
	known := []plumbing.Hash{synced, f.before}
	for _, upstreams := range known {
		if upstreams.IsZero() {
			continue
		}
		contained, err := isAncestor(ctx, objs, r.commit, upstreams)
		if err != nil {
			return err
		}
		if contained {
			out.Rewritten = true
			out.Warnings = append(out.Warnings, fmt.Sprintf("upstream's history was rewritten: its branch %q was "+
				"at %s and is now at %s, which does not contain it", f.upstream, out.Previous, out.Revision.ID))
			return nil
		}
	}
	return g.keepLocalCommits(ctx, objs, r, f, known, out)
}

// keepLocalCommits keeps commits that were made in the working copy and never reached upstream.
func (g *Source) keepLocalCommits(ctx context.Context, objs *object.Reader, r *repository, f follow,
	known []plumbing.Hash, out *source.Outcome,
) error {
	name := localPrefix + out.Previous
	if err := r.refs.Write(name, r.commit); err != nil {
		return err
	}
	out.Warnings = append(out.Warnings, fmt.Sprintf("local commits up to %s are not in upstream's branch %q: they "+
		"were taken off the working copy and kept as %s", out.Previous, f.upstream, name))
	for _, base := range append(known, f.target) {
		if !base.IsZero() {
			return g.passOnCommitted(ctx, objs, base, r.commit, f.target)
		}
	}
	return nil
}

// passOnCommitted tells BeforeReplace of the files that local commits changed.
func (g *Source) passOnCommitted(ctx context.Context, objs *object.Reader, base, local, target plumbing.Hash) error {
	if g.o.BeforeReplace == nil {
		return nil
	}
	var trees [3]map[string]object.TreeFile
	var err error
	for i, h := range []plumbing.Hash{base, local, target} {
		if trees[i], err = filesOf(ctx, objs, h); err != nil {
			return err
		}
	}
	for path, mine := range trees[1] {
		before, theirs := trees[0][path], trees[2][path]
		if mine.Hash == before.Hash || mine.Hash == theirs.Hash {
			continue
		}
		var contents [3][]byte
		for i, file := range []object.TreeFile{before, mine, theirs} {
			if contents[i], err = passedOn(objs, file.Hash); err != nil {
				return err
			}
		}
		if err := g.o.BeforeReplace(path, contents[0], contents[1], contents[2]); err != nil {
			return fmt.Errorf("pass on the local commit of %q: %w", path, err)
		}
	}
	return nil
}

// filesOf lists the regular files of a commit by path.
func filesOf(ctx context.Context, objs *object.Reader, commit plumbing.Hash) (map[string]object.TreeFile, error) {
	c, err := objs.Commit(commit)
	if err != nil {
		return nil, err
	}
	list, err := object.ListTree(ctx, objs, c.Tree)
	files := map[string]object.TreeFile{}
	for _, file := range list {
		if file.IsFile() {
			files[file.Path] = file
		}
	}
	return files, err
}

// passedOn returns the contents of a file to pass on, nil if there is none or if it is too large.
func passedOn(objs *object.Reader, h plumbing.Hash) ([]byte, error) {
	if h.IsZero() {
		return nil, nil
	}
	size, err := objs.Size(h)
	if err != nil || size > workcopy.MaxPassedOn {
		return nil, err
	}
	return objs.Blob(h, workcopy.MaxPassedOn)
}

// staleLimit is how many commits in a row may be older than the one that is looked for before the
// search ends: clocks of different committers disagree, but not for long.
const staleLimit = 2000

// isAncestor reports whether the commit old is target or comes before it. The newest commits are
// looked at first.
func isAncestor(ctx context.Context, objs *object.Reader, old, target plumbing.Hash) (bool, error) {
	if old == target {
		return true, nil
	}
	sought, err := objs.Commit(old)
	if err != nil {
		return false, err
	}
	w := ancestry{objs: objs, seen: map[plumbing.Hash]bool{}}
	if err := w.push(target); err != nil {
		return false, err
	}
	for stale := 0; w.queue.Len() > 0 && stale < staleLimit; {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		c := heap.Pop(&w.queue).(*object.Commit)
		if c.Time.Before(sought.Time) {
			stale++
		} else {
			stale = 0
		}
		for _, parent := range c.Parents {
			if parent == old {
				return true, nil
			}
			if err := w.push(parent); err != nil {
				return false, err
			}
		}
	}
	return false, nil
}

// ancestry walks through history.
type ancestry struct {
	objs  *object.Reader
	seen  map[plumbing.Hash]bool
	queue newestFirst
}

func (a *ancestry) push(h plumbing.Hash) error {
	if a.seen[h] {
		return nil
	}
	a.seen[h] = true
	c, err := a.objs.Commit(h)
	if err == nil {
		heap.Push(&a.queue, c)
	}
	return err
}

// newestFirst is a heap of commits by the time of committing.
type newestFirst []*object.Commit

func (q newestFirst) Len() int { return len(q) }

func (q newestFirst) Less(i, j int) bool { return q.when(i).After(q.when(j)) }

func (q newestFirst) when(i int) time.Time { return q[i].Time }

func (q newestFirst) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for the package heap.
func (q *newestFirst) Push(c any) { *q = append(*q, c.(*object.Commit)) }

// Pop is for the package heap.
func (q *newestFirst) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
