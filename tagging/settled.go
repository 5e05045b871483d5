package tagging

import (
	"iter"
	"slices"
	"time"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
)

// SettledTrees returns the trees from which the fleet's groups are read at now, in order: a tree that cannot
// be read is passed over for the next. Which ring a host is in must not change for the whole fleet at once
// because of one commit, so they begin with the tag that the last ring gets, and go on with older ones that
// it could get. While it gets none, they are all tags of which nothing bad is known, newest first; if
// there is no such tag either, the working copy.
//
// To find them takes no inventory, since the last ring takes hosts without asking.
func (r *Resolver) SettledTrees(now time.Time) iter.Seq[inventory.Tree] {
	return func(yield func(inventory.Tree) bool) {
		found := false
		for t := range r.settled(now) {
			found = true
			if !yield(treeOf(r.Base, t)) {
				return
			}
		}
		if !found {
			WorkingTrees(r.Base)(yield)
		}
	}
}

// WorkingTrees returns the working copy as the only tree, for sites that want changes of groups at once.
func WorkingTrees(l tag.Base) iter.Seq[inventory.Tree] {
	return slices.Values([]inventory.Tree{{Label: l.TrunkPath(), Dir: l.Trunk()}})
}

func treeOf(l tag.Base, t *tag.Tag) inventory.Tree {
	return inventory.Tree{Label: t.Name, Dir: l.Dir(t.Name), Table: l.Table(t.Name)}
}

func (r *Resolver) settled(now time.Time) iter.Seq[*tag.Tag] {
	return func(yield func(*tag.Tag) bool) {
		// Any ring, going forward: the tag's state alone decides.
		q, direction, newest := question{r, Ring{}, now}, Forward, now
		if len(r.Rings) > 0 {
			last := r.Rings[len(r.Rings)-1]
			if t := r.Index.Find(r.RingTag(last, now).Tag()); t != nil {
				if !yield(t) {
					return
				}
				q.ring, direction, newest = last, Back, t.Time.Add(-1)
			}
		}
		for _, t := range slices.Backward(r.know().tagsUpTo(newest)) {
			if q.try(t, r.judge(t), direction).Accepted && !yield(t) {
				return
			}
		}
	}
}
