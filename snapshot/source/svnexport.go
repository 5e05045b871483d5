package source

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Export implements Exporter. The working copy's own revision is copied from there, without the network: what is local
// is set aside and undone first, and the working copy is proven to be that revision before and after. Another revision
// is exported by svn from the repository; its externals are as they were if they are pinned to a revision, and upstream's
// newest otherwise, of which a warning tells.
func (s *SVN) Export(ctx context.Context, rev Revision, dir string, o ExportOptions) (e Export, err error) {
	defer func() {
		if err != nil {
			err = redactError(fmt.Errorf("exporting revision %s from %q: %w", rev.ID, s.o.Dir, err))
		}
	}()
	if !svnNumber().MatchString(rev.ID) {
		return Export{}, fmt.Errorf("%q is no revision of Subversion", rev.ID)
	}
	r, err := s.begin()
	if err != nil {
		return Export{}, err
	}
	info, err := r.client.info(ctx)
	if err != nil {
		return Export{}, err
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
func (r *svnRun) exportOwn(ctx context.Context, dir string, o ExportOptions) (Export, error) {
	f, err := r.look(ctx)
	if err != nil {
		return Export{}, err
	}
	if f, err = r.settle(ctx, f, nil); err != nil {
		return Export{}, err
	}
	skip := func(path string) bool { return isSVNDir(path) || f.isLeft(path) }
	entries, err := copyOut(ctx, r.root, dir, skip, o)
	if err != nil {
		return Export{}, err
	}
	after, err := r.inspect(ctx)
	if err != nil {
		return Export{}, err
	}
	if local := after.local(); len(local) > 0 {
		return Export{}, fmt.Errorf("%s was changed while it was copied", quotePath(local[0].path))
	}
	if after.info != f.info || after.state() != f.state() || after.whole() != nil {
		return Export{}, errors.Join(errors.New("the working copy was updated while it was copied"), after.whole())
	}
	if f.hidden() {
		r.warn("parts of the repository are not for this user to see, and are left out")
	}
	return Export{Revision: f.info.revision(), Entries: entries}, proveModes(entries, f.executable)
}

// proveModes returns an error unless those files of a copy are executable that have to be. svn does not look at that.
func proveModes(entries []ExportedEntry, executable map[string]bool) error {
	for _, e := range entries {
		if e.Mode == Regular && executable[e.Path] || e.Mode == Executable && !executable[e.Path] {
			return fmt.Errorf("the mode of %s was changed while it was copied", quotePath(e.Path))
		}
	}
	return nil
}

// exportOther exports a revision from the repository. Upstream has it where what is checked out was at that time.
func (r *svnRun) exportOther(ctx context.Context, rawURL string, rev Revision, dir string, o ExportOptions) (
	Export, error) {
	if o.Room != nil {
		out, err := r.client.remote(ctx, rawURL, "list", "-R", "--xml", "-r", rev.ID, "--", peg(rawURL, "HEAD"))
		if err != nil {
			return Export{}, err
		}
		listed, err := parseList(out)
		if err != nil {
			return Export{}, err
		}
		if err := o.Room(listedEntries(listed)); err != nil {
			return Export{}, err
		}
		o.Room = nil
	}
	var out []byte
	err := labelled(r.o.Step, "svn export", func() (err error) {
		out, err = r.in(dir).remote(ctx, rawURL, "export", "--force", "-r", rev.ID, "--", peg(rawURL, "HEAD"), ".")
		return err
	})
	if err != nil {
		return Export{}, err
	}
	t, err := readSettled(ctx, dir, isSVNDir, o, (*treeReader).hashAll)
	if err != nil {
		return Export{}, err
	}
	e := Export{Revision: rev, Entries: t.entries}
	if strings.Contains(string(out), "\nFetching external item into ") {
		e.Warnings = append(e.Warnings, fmt.Sprintf("externals of revision %s that are not pinned to a revision were exported "+
			"as they are now", rev.ID))
	}
	return e, nil
}

// listedEntries makes entries of what upstream lists: files, whose kinds it does not tell, and empty directories.
func listedEntries(listed []svnListed) []Entry {
	full := map[string]bool{}
	for _, l := range listed {
		parentDirs(full, l.Name)
	}
	var entries []Entry
	for _, l := range listed {
		switch {
		case l.Kind == "file":
			entries = append(entries, Entry{Path: l.Name, Mode: Regular, Size: l.Size})
		case !full[l.Name]:
			entries = append(entries, Entry{Path: l.Name, Mode: Directory})
		}
	}
	return entries
}
