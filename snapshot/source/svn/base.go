package svn

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// outsideFiles is what upstream has new of the base, outside the working copy's directory.
type outsideFiles struct {
	files []string // changed or added files, and added directories, topmost
	dirs  []string // directories of which only the properties have changed
	gone  []string // deleted upstream, or replaced by something else
}

// lookOutside finds what is to be done outside. It is an error if something was edited locally there, or stands in the
// way of what is to come: nobody but its administrators may remove or overwrite what a server's base holds.
func (r *run) lookOutside(ctx context.Context) (*outsideFiles, error) {
	if !r.inBase() {
		return nil, nil
	}
	info, err := r.in(r.wcRoot).info(ctx)
	if err != nil {
		return nil, err
	}
	out, err := r.in(r.wcRoot).remote(ctx, info.URL, "status", "-u", "--xml", "--ignore-externals", "--", ".")
	if err != nil {
		return nil, err
	}
	entries, err := parseStatus(out)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b pathStatus) int { return cmp.Compare(a.Path, b.Path) }) // directories first
	found := &outsideFiles{}
	for _, e := range entries {
		if e.Path == r.rel() || strings.HasPrefix(e.Path, r.rel()+"/") {
			continue
		}
		if err := r.checkOutside(e); err != nil {
			return nil, err
		}
		if err := found.add(r.wcRoot, e); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// checkOutside refuses local edits, and warns of marks that were made in an emergency.
func (r *run) checkOutside(e pathStatus) error {
	here := e.Here
	file := filepath.Join(r.o.Base, e.Path)
	props := here.Props == "" || here.Props == "none" || here.Props == "normal"
	switch {
	case here.TreeConflict || here.Item == "conflicted" || here.Props == "conflicted":
		return fmt.Errorf("%q is in conflict: resolve that, with \"svn resolve\"", file)
	case here.Item == "obstructed":
		return fmt.Errorf("%q is not of the kind that is versioned: move it away, and run \"svn revert\" on it", file)
	case (here.Item == "modified" || here.Item == "added") && props && r.o.IsTagstate != nil && r.o.IsTagstate(e.Path):
		if e.Up != nil && e.Up.Item != "none" {
			return fmt.Errorf("%q was edited, and upstream has changed it as well: run \"svn update\" on it, and commit it", file)
		}
		r.warn("%q was edited: commit it", file)
		return nil
	case slices.Contains([]string{"modified", "added", "deleted", "replaced", "missing", "merged"}, here.Item) || !props:
		return fmt.Errorf("%q was changed locally (svn says %q): commit it, or run \"svn revert\" on it", file,
			strings.TrimSuffix(here.Item+", properties "+here.Props, ", properties none"))
	}
	return nil
}

// add notes what upstream has new of one path.
func (o *outsideFiles) add(base string, e pathStatus) error {
	if e.Here.Item == "incomplete" { // an update was interrupted
		o.files = append(o.files, e.Path)
		return nil
	}
	if e.Up == nil {
		return nil
	}
	info, statErr := os.Lstat(filepath.Join(base, e.Path))
	switch {
	case e.Up.Item == "added":
		if statErr == nil {
			return fmt.Errorf("%q is in the way: upstream has added a file of that name", filepath.Join(base, e.Path))
		}
		if !isBelow(e.Path, o.files) {
			o.files = append(o.files, e.Path)
		}
	case e.Up.Item == "deleted" || e.Up.Item == "replaced":
		if !isBelow(e.Path, o.gone) {
			o.gone = append(o.gone, e.Path)
		}
	case statErr == nil && info.IsDir():
		if e.Up.Props == "modified" {
			o.dirs = append(o.dirs, e.Path)
		}
	case e.Up.Item == "modified" || e.Up.Props == "modified":
		o.files = append(o.files, e.Path)
	}
	return nil
}

// updateOutside brings here what lookOutside has found.
func (r *run) updateOutside(ctx context.Context, o *outsideFiles, up *upstream) error {
	if o == nil {
		return nil
	}
	for _, path := range o.gone {
		r.warn("%q was deleted upstream; outside the working copy nothing is removed: run \"svn update\" on it",
			filepath.Join(r.o.Base, path))
	}
	if err := r.updatePaths(ctx, o.dirs, up, "--depth", "empty"); err != nil {
		return err
	}
	r.out.Changed += len(o.files)
	return r.updatePaths(ctx, o.files, up)
}

func (r *run) updatePaths(ctx context.Context, paths []string, up *upstream, flags ...string) error {
	if len(paths) == 0 {
		return nil
	}
	args := append(flags, "-q", "-r", up.Revision, "--ignore-externals", "--")
	for _, path := range paths {
		args = append(args, peg(path, ""))
	}
	return r.write(ctx, "svn update", func() error {
		_, err := r.in(r.wcRoot).remote(ctx, up.URL, "update", args...)
		return err
	})
}
