package svn

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// Export implements Exporter. The working copy's own revision is copied from there, without the network: what is local
// is set aside and undone first, and the working copy is proven to be that revision before and after. Another revision
// is exported by svn from the repository; its externals are as they were if they are pinned to a revision, and upstream's
// newest otherwise, of which a warning tells.
func (s *Source) Export(ctx context.Context, rev source.Revision, dir string, o source.ExportOptions) (e source.Export, err error) {
	defer func() {
		if err != nil {
			err = remote.RedactError(fmt.Errorf("export revision %s from %q: %w", rev.ID, s.o.Dir, err))
		}
	}()
	if !svnNumber().MatchString(rev.ID) {
		return source.Export{}, fmt.Errorf("%q is no revision of Subversion", rev.ID)
	}
	r, err := s.begin()
	if err != nil {
		return source.Export{}, err
	}
	info, err := r.client.info(ctx)
	if err != nil {
		return source.Export{}, err
	}
	if info.Revision != rev.ID {
		return r.exportOther(ctx, info.URL, rev, dir, o)
	}
	defer func() {
		r.nextDiscard()
		e.Warnings = r.out.Warnings
	}()
	return r.exportOwn(ctx, dir, o)
}

// exportOwn copies the working copy.
func (r *run) exportOwn(ctx context.Context, dir string, o source.ExportOptions) (source.Export, error) {
	f, err := r.look(ctx)
	if err != nil {
		return source.Export{}, err
	}
	if f, err = r.makeExact(ctx, f, nil); err != nil {
		return source.Export{}, err
	}
	skip := func(path string) bool { return isSVNDir(path) || f.isLeft(path) }
	entries, err := workcopy.CopyOut(ctx, r.root, dir, skip, o)
	if err != nil {
		return source.Export{}, err
	}
	after, err := r.inspect(ctx)
	if err != nil {
		return source.Export{}, err
	}
	if local := after.local(); len(local) > 0 {
		return source.Export{}, fmt.Errorf("%s was changed while it was copied", disk.QuotePath(local[0].path))
	}
	if after.info != f.info || after.state() != f.state() || after.whole() != nil {
		return source.Export{}, errors.Join(errors.New("the working copy was updated while it was copied"), after.whole())
	}
	if f.hidden() {
		r.warn("parts of the repository are not for this user to see, and are left out")
	}
	return source.Export{Revision: f.info.revision(), Entries: entries}, proveModes(entries, f.executable)
}

// proveModes returns an error unless those files of a copy are executable that have to be. svn does not look at that.
func proveModes(entries []source.ExportedEntry, executable map[string]bool) error {
	for _, e := range entries {
		if e.Mode == source.Regular && executable[e.Path] || e.Mode == source.Executable && !executable[e.Path] {
			return fmt.Errorf("the mode of %s was changed while it was copied", disk.QuotePath(e.Path))
		}
	}
	return nil
}

// exportOther exports a revision from the repository. Upstream has it where what is checked out was at that time.
func (r *run) exportOther(ctx context.Context, rawURL string, rev source.Revision, dir string, o source.ExportOptions) (
	source.Export, error) {
	if o.Room != nil {
		out, err := r.client.remote(ctx, rawURL, "list", "-R", "--xml", "-r", rev.ID, "--", peg(rawURL, "HEAD"))
		if err != nil {
			return source.Export{}, err
		}
		listed, err := parseList(out)
		if err != nil {
			return source.Export{}, err
		}
		if err := o.Room(listedEntries(listed)); err != nil {
			return source.Export{}, err
		}
		o.Room = nil
	}
	var out []byte
	err := disk.Labelled(r.o.Step, "svn export", func() (err error) {
		out, err = r.in(dir).remote(ctx, rawURL, "export", "--force", "-r", rev.ID, "--", peg(rawURL, "HEAD"), ".")
		return err
	})
	if err != nil {
		return source.Export{}, err
	}
	t, err := workcopy.ReadSteady(ctx, dir, isSVNDir, o, (*workcopy.TreeReader).HashAll)
	if err != nil {
		return source.Export{}, err
	}
	e := source.Export{Revision: rev, Entries: t.Entries}
	if strings.Contains(string(out), "\nFetching external item into ") {
		e.Warnings = append(e.Warnings, fmt.Sprintf("externals of revision %s that are not pinned to a revision were exported "+
			"as they are now", rev.ID))
	}
	return e, nil
}

// listedEntries makes entries of what upstream lists: files, whose kinds it does not tell, and empty directories.
func listedEntries(listed []listedEntry) []source.Entry {
	full := map[string]bool{}
	for _, l := range listed {
		disk.ParentDirs(full, l.Name)
	}
	var entries []source.Entry
	for _, l := range listed {
		switch {
		case l.Kind == "file":
			entries = append(entries, source.Entry{Path: l.Name, Mode: source.Regular, Size: l.Size})
		case !full[l.Name]:
			entries = append(entries, source.Entry{Path: l.Name, Mode: source.Directory})
		}
	}
	return entries
}
