package checkout

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// lastSync is what the last sync left: the index, and which commit it stands for. To list a tree from it costs
// one file to read, where the tree objects of a large tree are thousands.
type lastSync struct {
	index *gitIndex
	state syncState
	whole bool // no object can have gone meanwhile
}

// readLastSync reads what is known of the working copy whose repository is gitDir. What is unusable says nothing.
func readLastSync(gitDir string) (lastSync, error) {
	index, err := readIndex(filepath.Join(gitDir, "index"))
	if errors.Is(err, errIndexUnusable) {
		return lastSync{index: &gitIndex{}}, nil
	}
	if err != nil {
		return lastSync{}, err
	}
	state, err := ReadState(filepath.Join(gitDir, StateName))
	if err != nil {
		return lastSync{}, err
	}
	layout, err := repo.LocationOf(gitDir)
	if err != nil {
		return lastSync{}, err
	}
	return lastSync{index, state, StoreIsWhole(state, layout.CommonDir)}, nil
}

// StandsFor reports whether what is known of a working copy can stand for the objects of a commit. It does not take the
// index apart for that.
func StandsFor(gitDir string, commit plumbing.Hash) (bool, error) {
	state, err := ReadState(filepath.Join(gitDir, StateName))
	if err != nil || state.commit != commit {
		return false, err
	}
	index, err := os.ReadFile(filepath.Join(gitDir, "index"))
	switch {
	case errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.EISDIR):
		return false, nil
	case err != nil:
		return false, err
	}
	if sum, ok := indexChecksum(index); !ok || sum != state.index {
		return false, nil
	}
	layout, err := repo.LocationOf(gitDir)
	if err != nil {
		return false, err
	}
	return StoreIsWhole(state, layout.CommonDir), nil
}

// described reports whether the index is the one that the state speaks of.
func (k lastSync) described() bool {
	return !k.state.commit.IsZero() && k.state.index == k.index.checksum
}

// sound reports whether the index can stand for the objects of its commit.
func (k lastSync) sound() bool { return k.whole && k.described() }

// list lists the tree of target: from the index if that is known to stand for it, or for a commit that it can be
// compared with, else from its tree objects.
func (k lastSync) list(ctx context.Context, open func() (*object.Reader, error), target plumbing.Hash) ([]object.TreeFile, error) {
	if k.sound() {
		list, err := k.updateTo(ctx, open, target)
		var damaged *object.Error
		if !errors.As(err, &damaged) { // the old commit's objects are not needed otherwise
			return list, err
		}
	}
	o, err := open()
	if err != nil {
		return nil, err
	}
	commit, err := o.Commit(target)
	if err != nil {
		return nil, err
	}
	return object.ListTree(ctx, o, commit.Tree)
}

// updateTo turns the index's list into that of target.
func (k lastSync) updateTo(ctx context.Context, open func() (*object.Reader, error), target plumbing.Hash) ([]object.TreeFile, error) {
	list := make([]object.TreeFile, len(k.index.entries))
	for i := range list {
		list[i] = *entryFile(&k.index.entries[i])
	}
	if k.state.commit == target {
		return list, nil
	}
	o, err := open()
	if err != nil {
		return nil, err
	}
	from, err := o.Commit(k.state.commit)
	if err != nil {
		return nil, err
	}
	to, err := o.Commit(target)
	if err != nil {
		return nil, err
	}
	return object.UpdateList(ctx, o, list, from.Tree, to.Tree)
}
