package cvs

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// cvsTree is the name of a working copy while it is being built.
const cvsTree = "tree"

// checkout makes a whole working copy in the empty directory temp, and returns its record.
func (r *run) checkout(ctx context.Context, temp string) (*treeRecord, error) {
	r.o.Progress.Report("checkout", 0, -1)
	args := append([]string{"checkout", "-P", "-d", cvsTree}, r.sticky()...)
	if err := r.session.write(ctx, "run cvs checkout", temp, append(args, r.origin.module)...); err != nil {
		return nil, err
	}
	tree := filepath.Join(temp, cvsTree)
	if !disk.Exists(filepath.Join(tree, cvsDir)) {
		return nil, fmt.Errorf("upstream's module %q has no files at all: it is not followed", r.origin.module)
	}
	record, err := r.complete(ctx, tree, nil, nil)
	if err == nil {
		r.o.Progress.Report("checkout", int64(len(record.files)), int64(len(record.files)))
	}
	return record, err
}

// rebuild makes a fresh working copy beside the old one, sets aside what is local in the old one, and exchanges the
// two. The record of the old one may be nil.
func (r *run) rebuild(ctx context.Context, record *treeRecord) error {
	if err := disk.MountedAt(r.root); err != nil {
		return fmt.Errorf("exchange the working copy for a fresh one: %w", err)
	}
	temp, err := workcopy.NewCloneDir(r.root, r.o.Step)
	if err != nil {
		return err
	}
	defer disk.RemovePath(temp)
	fresh, err := r.checkout(ctx, temp)
	if err != nil {
		return err
	}
	tree := filepath.Join(temp, cvsTree)
	alike, err := r.setAsideOld(ctx, record, fresh, tree)
	if err != nil {
		return err
	}
	r.out.Changed = len(fresh.files) - alike
	if record != nil {
		r.out.Changed = max(r.out.Changed, fresh.differs(record))
		r.out.Rewritten = fresh.rewinds(record)
	}
	if err := disk.Labelled(r.o.Step, "sync working copy", func() error { return disk.SyncFS(tree) }); err != nil {
		return err
	}
	err = disk.Labelled(r.o.Step, "exchange working copies", func() error {
		return disk.Exchange(tree, r.root, tree+".old")
	})
	if err != nil {
		return fmt.Errorf("exchange the working copy for a fresh one: %w", err)
	}
	r.finish(fresh)
	return disk.SyncDir(filepath.Dir(r.root))
}
