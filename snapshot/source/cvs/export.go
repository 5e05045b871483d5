package cvs

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// Export implements Exporter. The working copy's own revision is copied from there, if the working copy is exactly
// that; another one is checked out from upstream by its date, and has to be what its ID says.
func (c *Source) Export(ctx context.Context, rev source.Revision, dir string, o source.ExportOptions) (source.Export, error) {
	record, err := c.current(ctx)
	if err == nil && record.revision.ID == rev.ID {
		entries, err := c.exportCurrent(ctx, record, dir, o)
		return source.Export{Revision: record.revision, Entries: entries}, err
	}
	if stamp, _, _ := strings.Cut(rev.ID, "-"); rev.Time.IsZero() || stamp != rev.Time.UTC().Format(cvsIDTime) {
		return source.Export{}, fmt.Errorf("export the revision %q: it is not one of CVS", rev.ID)
	}
	export, err := c.exportOther(ctx, rev, dir, o)
	if err != nil {
		return export, fmt.Errorf("export the revision %q: %w", rev.ID, err)
	}
	return export, nil
}

// exportCurrent copies the working copy.
func (c *Source) exportCurrent(ctx context.Context, record *treeRecord, dir string, o source.ExportOptions) ([]source.ExportedEntry, error) {
	failed := func(err error) ([]source.ExportedEntry, error) {
		return nil, &source.MixedError{Dir: c.o.Dir, Err: fmt.Errorf("it is not exactly %s: %w", record.revision.ID, err)}
	}
	root, err := filepath.EvalSymlinks(c.o.Dir)
	if err != nil {
		return nil, err
	}
	found, err := inspectCVS(ctx, root, record)
	if workcopy.IsHidden(err) {
		return failed(err)
	}
	if err != nil {
		return nil, err
	}
	if err := found.proveExact(record); err != nil {
		return failed(err)
	}
	skip := func(path string) bool { return workcopy.IsMetadata(path) || found.isLeft(path) }
	entries, err := workcopy.CopyOut(ctx, root, dir, skip, o)
	if err != nil {
		return nil, err
	}
	if err := record.proveCopied(entries); err != nil {
		return failed(err)
	}
	return entries, nil
}

// proveExact returns an error that names what in the working copy is not as the record has it.
func (f *findings) proveExact(record *treeRecord) error {
	switch edited, _ := f.changes(record); {
	case f.admin.digest != record.digest:
		return errors.New("something else is checked out by now")
	case len(edited) > 0:
		return fmt.Errorf("%s was edited", disk.QuotePath(edited[0]))
	case len(f.odd) > 0:
		return fmt.Errorf("%s is not upstream's", disk.QuotePath(f.odd[0].Path))
	case len(f.empty) > 0:
		return fmt.Errorf("the directory %s is not upstream's", disk.QuotePath(f.empty[0]))
	}
	for i := range record.files {
		file := &record.files[i]
		if is := (&treeRecord{files: f.files}).find(file.path); is == nil {
			return fmt.Errorf("%s is missing", disk.QuotePath(file.path))
		} else if is.kind() != file.kind() {
			return fmt.Errorf("%s was made another mode", disk.QuotePath(file.path))
		}
	}
	return nil
}

// proveCopied returns an error unless entries are the files of the record.
func (r *treeRecord) proveCopied(entries []source.ExportedEntry) error {
	for _, e := range entries {
		if f := r.find(e.Path); f == nil || f.hash != e.Hash || f.kind() != e.Mode {
			return fmt.Errorf("%s was changed while it was copied", disk.QuotePath(e.Path))
		}
	}
	if len(entries) != len(r.files) {
		return fmt.Errorf("%d of its %d files were copied", len(entries), len(r.files))
	}
	return nil
}

// exportOther checks a revision out beside the working copy and copies that.
func (c *Source) exportOther(ctx context.Context, rev source.Revision, dir string, o source.ExportOptions) (source.Export, error) {
	root, err := filepath.EvalSymlinks(c.o.Dir)
	if err != nil {
		return source.Export{}, err
	}
	r, err := c.begin(root)
	if err != nil {
		return source.Export{}, err
	}
	defer r.close()
	temp, err := workcopy.NewCloneDir(root, c.o.Step)
	if err != nil {
		return source.Export{}, err
	}
	defer disk.RemovePath(temp)
	args := []string{"checkout", "-P", "-d", cvsTree, "-D", rev.Time.UTC().Format(cvsLogTime)}
	if c.o.Branch != "" {
		args = append(args, "-r", c.o.Branch)
	}
	if err := r.session.write(ctx, "run cvs checkout", temp, append(args, r.origin.module)...); err != nil {
		return source.Export{}, err
	}
	tree := filepath.Join(temp, cvsTree)
	was, err := r.revisionAt(ctx, tree, rev.Time)
	if err != nil {
		return source.Export{}, err
	}
	if strings.Contains(rev.ID, "-") && was.ID != rev.ID {
		return source.Export{}, fmt.Errorf("upstream has another tree of that date by now, %s", was.ID)
	}
	entries, err := workcopy.CopyOut(ctx, tree, dir, workcopy.IsMetadata, o)
	return source.Export{Revision: was, Entries: entries}, err
}

// revisionAt names the tree that was checked out at tree as upstream had it at a date.
func (r *run) revisionAt(ctx context.Context, tree string, date time.Time) (source.Revision, error) {
	if !disk.Exists(filepath.Join(tree, cvsDir)) {
		return source.Revision{}, errors.New("upstream had no files at all then")
	}
	found, err := inspectCVS(ctx, tree, nil)
	if err != nil {
		return source.Revision{}, err
	}
	if len(found.admin.files) == 0 {
		return source.Revision{}, errors.New("upstream had no files at all then")
	}
	span := found.newest().Format(cvsLogTime) + "<=" + date.UTC().Format(cvsLogTime)
	newest, err := r.logNewest(ctx, span, r.origin.module)
	if err != nil {
		return source.Revision{}, err
	}
	if newest.IsZero() {
		newest = found.newest()
	}
	return newCVSRevision(newest, found.admin.entries), nil
}
