package staged

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/tagging/tag"
)

// Options are what the staging of a tree can be told.
type Options struct {
	Layout   Layout
	Anew     bool                  // take nothing from other tags: they may have drifted
	Note     func(message string)  // told what of the tree cannot be published as upstream means it; nil for nobody
	Progress func(done, total int) // told how many files of the total are staged; nil for nobody
}

// Fill stages the tree of a revision. It returns what it staged, sorted by path, and the revision that this turned out to
// be. It refuses a tree without files, and one for which there is no room.
func (s *Dir) Fill(ctx context.Context, from source.Source, r source.Revision, o Options) (
	[]tag.Entry, source.Revision, error) {
	switch from := from.(type) {
	case source.Store:
		entries, err := s.fillFromStore(ctx, from, r, o)
		return entries, r, err
	case source.Exporter:
		return s.fillFromExport(ctx, from.Export, r, o)
	}
	return nil, r, fmt.Errorf("the source %s can neither list nor export a revision", from.Kind())
}

// fillFromStore writes the tree file by file, but takes those that have not changed from a tag that has them.
func (s *Dir) fillFromStore(ctx context.Context, store source.Store, r source.Revision, o Options) (
	[]tag.Entry, error) {
	var previous *previousTag
	var reading sync.WaitGroup // beside the tree: both take long, and on processors rather than on disks
	if !o.Anew {
		reading.Go(func() { previous = openPrevious(ctx, s.base, store, r) })
	}
	tree, err := store.Tree(ctx, r)
	reading.Wait()
	defer previous.close()
	if err != nil {
		return nil, err
	}
	if err := o.checkTree(len(tree.Entries()), tree.Warnings()); err != nil {
		return nil, err
	}
	previous.isOf(tree)
	unchanged := previous.unchanged(tree.Entries())
	if err := CheckSpace(s.base, o.Layout, tree.Entries(), unchanged); err != nil {
		return nil, err
	}
	st := stager{step: s.files.Step, layout: o.Layout, modTime: r.Time, tree: tree, previous: previous,
		unchanged: unchanged, progress: o.Progress}
	return st.stage(ctx, s)
}

// exportFunc is what an Exporter's Export is.
type exportFunc func(ctx context.Context, r source.Revision, dir string, o source.ExportOptions) (source.Export, error)

// fillFromExport has the tree written as a whole, and makes it one that can be published.
func (s *Dir) fillFromExport(ctx context.Context, write exportFunc, r source.Revision, o Options) (
	[]tag.Entry, source.Revision, error) {
	room := func(entries []source.Entry) error { return CheckSpace(s.base, o.Layout, entries, nil) }
	var export source.Export
	err := s.files.Do("export", s.Tree(), func() error {
		return s.atTree(func(tree string) (err error) {
			export, err = write(ctx, r, tree, source.ExportOptions{Room: room, Progress: o.Progress})
			return err
		})
	})
	if err != nil {
		return nil, r, err
	}
	if err := o.checkTree(len(export.Entries), export.Warnings); err != nil {
		return nil, r, err
	}
	var previous *previousTag
	if !o.Anew {
		previous = openNewest(s.base, func(*tag.Header) bool { return true })
	}
	defer previous.close()
	settler := newSettler(&stager{step: s.files.Step, layout: o.Layout, previous: previous}, export.Entries)
	defer settler.close()
	entries, err := settler.settle(ctx, s)
	return entries, export.Revision, err
}

// FillFromTag stages what a tag has, and proves that it is what was published.
func (s *Dir) FillFromTag(ctx context.Context, h *tag.Header, o Options) ([]tag.Entry, error) {
	dir := s.base.Dir(h.Name)
	write := func(ctx context.Context, r source.Revision, to string, o source.ExportOptions) (source.Export, error) {
		entries, err := workcopy.CopyTree(ctx, dir, to, o)
		return source.Export{Revision: r, Entries: entries}, err
	}
	entries, _, err := s.fillFromExport(ctx, write, source.Revision{ID: h.Revision}, o)
	if err != nil {
		return nil, err
	}
	switch tree, err := tag.TreeHash(entries); {
	case err != nil:
		return nil, err
	case tree != h.Tree:
		return nil, fmt.Errorf("%s is not what was published any more", dir)
	}
	return entries, nil
}

// checkTree passes on what cannot be published as upstream means it, and refuses a tree without files.
func (o Options) checkTree(entries int, warnings []string) error {
	if o.Note != nil {
		for _, w := range warnings {
			o.Note(w)
		}
	}
	if entries == 0 {
		return errors.New("the revision has no files: an empty configuration is never published")
	}
	return nil
}
