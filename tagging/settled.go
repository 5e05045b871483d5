package tagging

import (
	"iter"
	"slices"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
)

// SettledTrees returns the trees from which the fleet's groups are read, in order: a tree that cannot
// be read is passed over for the next. Which ring a host is in must not change for the whole fleet at once
// because of one commit, so they begin with the tag that the last ring gets, and go on with older ones that
// it could get. While it gets none, they are all tags of which nothing bad is known, newest first; if
// there is no such tag either, the working copy.
//
// To find them takes no inventory, because the last ring takes hosts without asking.
func (m *Moment) SettledTrees() iter.Seq[inventory.Tree] {
	return func(yield func(inventory.Tree) bool) {
		found := false
		for t := range m.settled() {
			found = true
			if !yield(treeOf(m.Base, t)) {
				return
			}
		}
		if !found {
			m.WorkingTrees()(yield)
		}
	}
}

// WorkingTrees returns the working copy as the only tree, for sites that want changes of groups at once.
func (r *Resolver) WorkingTrees() iter.Seq[inventory.Tree] {
	return slices.Values([]inventory.Tree{{Label: r.Base.TrunkPath(), Dir: r.Base.Trunk()}})
}

func treeOf(b tag.Base, t *tag.Tag) inventory.Tree {
	return inventory.Tree{Label: t.Name, Dir: b.Dir(t.Name), Table: b.Table(t.Name)}
}

func (m *Moment) settled() iter.Seq[*tag.Tag] {
	return func(yield func(*tag.Tag) bool) {
		// Any ring, going forward: the tag's state alone decides.
		q, direction, newest := question{m, Ring{}}, Forward, m.now
		if len(m.Rings) > 0 {
			last := m.Rings[len(m.Rings)-1]
			if t := m.Index.Find(m.RingTag(last).Tag()); t != nil {
				if !yield(t) {
					return
				}
				q.ring, direction, newest = last, Back, t.Time.Add(-1)
			}
		}
		for _, t := range slices.Backward(m.marks().tagsUpTo(newest)) {
			if q.try(t, m.judge(t), direction).Accepted && !yield(t) {
				return
			}
		}
	}
}
