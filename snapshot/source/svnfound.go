package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// svnFound is what a working copy is found to be, without the network.
type svnFound struct {
	work       *workCopy
	strange    []string // what has a name that Subversion cannot have; nothing else but work is known then
	info       svnInfo
	status     []svnStatus
	executable map[string]bool
	targets    []string // where externals are to be
	externals  []string // the directories below that are working copies of their own, sorted
	versions   map[string]svnVersion
	sparse     bool // parts were left out on purpose
}

// svnVersion is what "svnversion" says of a working copy: its lowest and highest revision, and whether parts were
// switched to another URL, or are missing.
type svnVersion struct {
	low, high         string
	switched, partial bool
}

var svnVersionText = regexp.MustCompile(`^([0-9]+)(?::([0-9]+))?M?(S?)(P?)$`)

func parseVersion(text string) (svnVersion, error) {
	m := svnVersionText.FindStringSubmatch(text)
	if m == nil {
		return svnVersion{}, fmt.Errorf("svnversion says %q", text)
	}
	return svnVersion{low: m[1], high: cmp.Or(m[2], m[1]), switched: m[3] != "", partial: m[4] != ""}, nil
}

// inspect looks at the working copy. It changes nothing.
func (r *svnRun) inspect(ctx context.Context) (*svnFound, error) {
	w, err := walkSVN(ctx, r.root)
	if err != nil {
		return nil, err
	}
	f := &svnFound{work: &w.found, strange: w.strange, versions: map[string]svnVersion{}}
	if len(f.strange) > 0 {
		f.info, err = r.client.info(ctx)
		return f, err
	}
	if err := f.ask(ctx, r.client); err != nil {
		return nil, err
	}
	if err := f.askExternals(ctx, r); err != nil {
		return nil, err
	}
	for dir, v := range f.versions {
		if !v.partial {
			continue
		}
		sparse, err := r.in(filepath.Join(r.root, dir)).sparse(ctx)
		if err != nil {
			return nil, err
		}
		f.sparse = f.sparse || sparse
	}
	return f, nil
}

// sideBySide does several things at once, and returns their errors.
func sideBySide(tasks ...func() error) error {
	errs := make([]error, len(tasks))
	var all sync.WaitGroup
	for i, task := range tasks {
		all.Go(func() { errs[i] = task() })
	}
	all.Wait()
	return errors.Join(errs...)
}

// ask asks svn about the working copy itself. Each question reads all of its database, and most look at every file.
func (f *svnFound) ask(ctx context.Context, c svnClient) error {
	return sideBySide(
		func() (err error) {
			f.info, err = c.info(ctx)
			return err
		},
		func() error {
			out, err := c.local(ctx, "status", "--no-ignore", "--xml", "--", ".")
			if err == nil {
				f.status, err = parseStatus(out)
			}
			return err
		},
		func() error {
			text, err := c.version(ctx)
			if err == nil {
				f.versions["."], err = parseVersion(text)
			}
			return err
		},
		func() error { return f.askExecutable(ctx, c, ".") },
		func() error { return f.askTargets(ctx, c, ".") },
	)
}

func (f *svnFound) askExecutable(ctx context.Context, c svnClient, dirs ...string) error {
	found, err := c.properties(ctx, "svn:executable", dirs)
	if err != nil {
		return err
	}
	if f.executable == nil {
		f.executable = make(map[string]bool, len(found))
	}
	for path := range found {
		f.executable[path] = true
	}
	return nil
}

func (f *svnFound) askTargets(ctx context.Context, c svnClient, dirs ...string) error {
	found, err := c.properties(ctx, "svn:externals", dirs)
	if err != nil {
		return err
	}
	for dir, value := range found {
		f.targets = append(f.targets, externalTargets(dir, value)...)
	}
	return nil
}

// askExternals asks svn about the externals that are working copies of their own, which may have such themselves.
func (f *svnFound) askExternals(ctx context.Context, r *svnRun) error {
	dirs := make(map[string]bool, len(f.work.dirs))
	for _, d := range f.work.dirs {
		dirs[d.path] = true
	}
	for todo := f.targets; len(todo) > 0; {
		var pegged []string
		for _, t := range todo {
			if dirs[t] && !slices.Contains(f.externals, t) && exists(filepath.Join(r.root, t, svnDir)) {
				f.externals = append(f.externals, t)
				pegged = append(pegged, peg(t, ""))
			}
		}
		if len(pegged) == 0 {
			break
		}
		known := len(f.targets)
		if err := errors.Join(f.askExecutable(ctx, r.client, pegged...), f.askTargets(ctx, r.client, pegged...)); err != nil {
			return err
		}
		todo = f.targets[known:]
	}
	slices.Sort(f.externals)
	for _, dir := range f.externals {
		text, err := r.in(filepath.Join(r.root, dir)).version(ctx)
		if err == nil {
			f.versions[dir], err = parseVersion(text)
		}
		if err != nil {
			return fmt.Errorf("the external %q: %w", dir, err)
		}
	}
	return nil
}

// sparse reports whether directories of the client's working copy were checked out in part. Otherwise what is missing
// in it is not for us to see.
func (c svnClient) sparse(ctx context.Context) (bool, error) {
	out, err := c.local(ctx, "info", "-R", "--xml", "--", ".")
	if err != nil {
		return false, err
	}
	entries, err := parseInfo(out)
	return slices.ContainsFunc(entries, func(e svnInfo) bool { return e.Kind == "dir" && e.Depth != "infinity" }), err
}

// whole returns an error unless all that is checked out is of one revision and nothing is left out.
func (f *svnFound) whole() error {
	for _, s := range f.status {
		if s.Here.Item == "incomplete" {
			return fmt.Errorf("the directory %s is not whole: an update was interrupted", quotePath(s.Path))
		}
	}
	for dir, v := range f.versions {
		switch {
		case v.low != v.high:
			return fmt.Errorf("%s is of mixed revisions, %s to %s: an update was interrupted", quotePath(dir), v.low, v.high)
		case v.switched:
			return fmt.Errorf("parts of %s are switched to another URL", quotePath(dir))
		}
	}
	if f.sparse {
		return errors.New("parts of it are not checked out")
	}
	if missing := f.missingExternals(); len(missing) > 0 {
		return fmt.Errorf("the external %s is missing", quotePath(missing[0]))
	}
	return nil
}

// hidden reports whether parts of the tree are not for us to see.
func (f *svnFound) hidden() bool {
	for _, v := range f.versions {
		if v.partial && !f.sparse {
			return true
		}
	}
	return false
}

func (f *svnFound) missingExternals() []string {
	there := map[string]bool{}
	for _, dir := range f.externals {
		there[dir] = true
	}
	for _, s := range f.status {
		if s.Here.FileExternal {
			there[s.Path] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(f.targets), func(t string) bool { return there[t] })
}

// svnLocal is something in the working copy that is not upstream's.
type svnLocal struct {
	path  string
	edit  bool // a versioned file that svn restores: it stands where it is until then
	aside bool // something may stand there that is to be set aside
}

// local lists what is local, sorted by path.
func (f *svnFound) local() []svnLocal {
	var found []svnLocal
	for _, path := range append(slices.Clone(f.strange), f.litter()...) {
		found = append(found, svnLocal{path: path, aside: true})
	}
	for _, s := range f.status {
		l := svnLocal{path: s.Path}
		switch s.Here.Item {
		case "unversioned", "ignored", "obstructed", "added", "replaced", "deleted":
			l.aside = true
		case "modified", "conflicted", "merged":
			l.aside, l.edit = true, true
		case "missing":
		default:
			if !s.Here.TreeConflict && (s.Here.Props == "none" || s.Here.Props == "normal" || s.Here.Props == "") {
				continue
			}
		}
		found = append(found, l)
	}
	slices.SortStableFunc(found, func(a, b svnLocal) int { return cmp.Compare(a.path, b.path) })
	return found
}

// litter lists what stands beside externals in directories that svn made only to hold these, and does not look into,
// and externals that are no working copies any more.
func (f *svnFound) litter() []string {
	var holders []string
	for _, s := range f.status {
		if s.Here.Item == "external" && !slices.Contains(f.externals, s.Path) {
			holders = append(holders, s.Path)
		}
	}
	if len(holders) == 0 {
		return nil
	}
	way := onTheWay(f.targets)
	var found []string
	for _, path := range holders {
		if slices.Contains(f.targets, path) {
			found = append(found, path)
		}
	}
	check := func(path string) {
		if isBelow(path, holders) && !way[path] && !slices.Contains(f.targets, path) && !isBelow(path, f.targets) &&
			!isBelow(path, found) {
			found = append(found, path)
		}
	}
	for _, d := range f.work.dirs {
		check(d.path)
	}
	for _, file := range f.work.files {
		check(file.path)
	}
	return found
}

// isBelow reports whether a path is below one of the directories.
func isBelow(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(path, d+"/") })
}
