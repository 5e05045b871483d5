package svn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// findings is what a working copy is found to be, without the network.
type findings struct {
	work       *workcopy.Copy
	strange    []string // what has a name that Subversion cannot have; nothing else but work is known then
	info       wcInfo
	status     []pathStatus
	executable map[string]bool
	defined    []external
	externals  []string          // the directories below that are working copies of their own, sorted
	undefined  []string          // what was an external until the tree stopped to define it, and is still here
	infos      map[string]wcInfo // of the externals, files too, and of the directories that they are defined on
	versions   map[string]wcVersion
	sparse     bool     // parts were left out on purpose
	stays      []string // the topmost paths that are not versioned and in which something is mounted: they are not in work
}

// wcVersion is what "svnversion" says of a working copy: its lowest and highest revision, and whether parts were
// switched to another URL, or are missing.
type wcVersion struct {
	low, high         string
	switched, partial bool
}

var svnVersionText = remote.LazyRegexp(`^([0-9]+)(?::([0-9]+))?M?(S?)(P?)$`)

func parseVersion(text string) (wcVersion, error) {
	m := svnVersionText().FindStringSubmatch(text)
	if m == nil {
		return wcVersion{}, fmt.Errorf("svnversion says %q", text)
	}
	return wcVersion{low: m[1], high: cmp.Or(m[2], m[1]), switched: m[3] != "", partial: m[4] != ""}, nil
}

// inspect looks at the working copy. It changes nothing.
func (r *run) inspect(ctx context.Context) (*findings, error) {
	f := &findings{versions: map[string]wcVersion{}}
	var w *walker
	var walkErr, askErr error
	_ = sideBySide(
		func() error { w, walkErr = walkSVN(ctx, r.root); return nil },
		func() error { askErr = f.ask(ctx, r.client); return nil },
	)
	if walkErr != nil {
		return nil, walkErr
	}
	f.work, f.strange = &w.found, w.strange
	if len(f.strange) > 0 { // which svn stumbles over, or gives another name
		info, err := r.client.info(ctx)
		return &findings{work: f.work, strange: f.strange, info: info}, err
	}
	if askErr != nil {
		return nil, askErr
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
	return f, f.leaveMounts()
}

// leaveMounts finds out what stays because something is mounted in it. It fails if that is upstream's: svn would take what
// is mounted for what it has checked out, and change and remove it.
func (f *findings) leaveMounts() error {
	if len(f.work.Mounts) == 0 {
		return nil
	}
	foreign := f.litter()
	for _, s := range f.status {
		if s.isForeign() {
			foreign = append(foreign, s.Path)
		}
	}
	for _, m := range f.work.Mounts {
		i := slices.IndexFunc(foreign, func(path string) bool { return disk.IsAtOrBelow(m.Below, path) })
		if i < 0 {
			return workcopy.UpstreamsError(m)
		}
		f.stays = append(f.stays, foreign[i])
	}
	f.work.Files = slices.DeleteFunc(f.work.Files, func(w workcopy.File) bool { return f.isLeft(w.Path) })
	f.work.Dirs = slices.DeleteFunc(f.work.Dirs, func(d workcopy.Dir) bool { return f.isLeft(d.Path) })
	return nil
}

// isLeft reports whether a path is one of those that stay, or below one.
func (f *findings) isLeft(path string) bool {
	return slices.ContainsFunc(f.stays, func(stays string) bool { return disk.IsAtOrBelow(path, stays) })
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
func (f *findings) ask(ctx context.Context, c client) error {
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
		func() error { return f.askDefined(ctx, c, ".") },
	)
}

func (f *findings) askExecutable(ctx context.Context, c client, dirs ...string) error {
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

func (f *findings) askDefined(ctx context.Context, c client, dirs ...string) error {
	found, err := c.properties(ctx, "svn:externals", dirs)
	if err != nil {
		return err
	}
	for dir, value := range found {
		f.defined = append(f.defined, parseExternals(dir, value)...)
	}
	return nil
}

// askExternals asks svn about the externals that are working copies of their own, which may have such themselves.
func (f *findings) askExternals(ctx context.Context, r *run) error {
	dirs := make(map[string]bool, len(f.work.Dirs))
	for _, d := range f.work.Dirs {
		dirs[d.Path] = true
	}
	for todo := f.defined; len(todo) > 0; {
		var pegged []string
		for _, e := range todo {
			if dirs[e.path] && !slices.Contains(f.externals, e.path) && disk.Exists(filepath.Join(r.root, e.path, svnDir)) {
				f.externals = append(f.externals, e.path)
				pegged = append(pegged, peg(e.path, ""))
			}
		}
		if len(pegged) == 0 {
			break
		}
		known := len(f.defined)
		if err := errors.Join(f.askExecutable(ctx, r.client, pegged...), f.askDefined(ctx, r.client, pegged...)); err != nil {
			return err
		}
		todo = f.defined[known:]
	}
	slices.Sort(f.externals)
	f.findUndefined(r.root)
	for _, dir := range f.externals {
		text, err := r.in(filepath.Join(r.root, dir)).version(ctx)
		if err == nil {
			f.versions[dir], err = parseVersion(text)
		}
		if err != nil {
			return fmt.Errorf("the external %q: %w", dir, err)
		}
	}
	return f.askInfos(ctx, r.client)
}

// findUndefined finds what svn has not removed yet of externals that are not defined any more.
func (f *findings) findUndefined(root string) {
	for _, s := range f.status {
		isFile := s.Here.FileExternal
		isDir := s.Here.Item == "external" && disk.Exists(filepath.Join(root, s.Path, svnDir))
		defined := slices.ContainsFunc(f.defined, func(e external) bool { return e.path == s.Path })
		if (isFile || isDir) && !defined {
			f.undefined = append(f.undefined, s.Path)
		}
	}
}

// askInfos asks svn what is checked out in the places of externals.
func (f *findings) askInfos(ctx context.Context, c client) error {
	places := f.places()
	for _, e := range f.defined {
		places = append(places, e.dir)
	}
	if len(places) == 0 {
		return nil
	}
	slices.Sort(places)
	var targets strings.Builder
	for _, place := range slices.Compact(places) {
		targets.WriteString(peg(place, "") + "\n")
	}
	out, err := c.localInput(ctx, targets.String(), "info", "--xml", "--targets", "-")
	if err != nil {
		return err
	}
	infos, err := parseInfo(out)
	f.infos = make(map[string]wcInfo, len(infos))
	for _, i := range infos {
		f.infos[i.Path] = i
	}
	return err
}

// sparse reports whether directories of the client's working copy were checked out in part. Otherwise what is missing
// in it is not for us to see.
func (c client) sparse(ctx context.Context) (bool, error) {
	out, err := c.local(ctx, "info", "-R", "--xml", "--", ".")
	if err != nil {
		return false, err
	}
	entries, err := parseInfo(out)
	return slices.ContainsFunc(entries, func(e wcInfo) bool { return e.Kind == "dir" && e.Depth != "infinity" }), err
}

// whole returns an error unless all that is checked out is of one revision and nothing is left out.
func (f *findings) whole() error {
	for _, s := range f.status {
		if s.Here.Item == "incomplete" {
			return fmt.Errorf("the directory %s is not whole: an update was interrupted", disk.QuotePath(s.Path))
		}
	}
	for dir, v := range f.versions {
		switch {
		case v.low != v.high:
			return fmt.Errorf("%s is of mixed revisions, %s to %s: an update was interrupted", disk.QuotePath(dir), v.low, v.high)
		case v.switched:
			return fmt.Errorf("parts of %s are switched to another URL", disk.QuotePath(dir))
		}
	}
	if f.sparse {
		return errors.New("parts of it are not checked out")
	}
	if len(f.undefined) > 0 {
		return fmt.Errorf("%s is still here, though it is no external any more: an update was interrupted", disk.QuotePath(f.undefined[0]))
	}
	for _, e := range f.defined {
		here, ok := f.infos[e.path]
		switch {
		case !ok:
			return fmt.Errorf("the external %s is missing", disk.QuotePath(e.path))
		case !e.is(here, f.infos[e.dir]):
			return fmt.Errorf("the external %s is %s in revision %s, which is not what it should be", disk.QuotePath(e.path),
				remote.Redact(here.URL), here.Revision)
		}
	}
	return nil
}

// hidden reports whether parts of the tree are not for us to see.
func (f *findings) hidden() bool {
	for _, v := range f.versions {
		if v.partial && !f.sparse {
			return true
		}
	}
	return false
}

// localFile is something in the working copy that is not upstream's.
type localFile struct {
	path  string
	edit  bool // a versioned file that svn restores: it stands where it is until then
	aside bool // something may stand there that is to be set aside
}

// local lists what is local, sorted by path.
func (f *findings) local() []localFile {
	var found []localFile
	for _, path := range append(slices.Clone(f.strange), f.litter()...) {
		found = append(found, localFile{path: path, aside: true})
	}
	for _, s := range f.status {
		if s.isForeign() && f.isLeft(s.Path) {
			continue
		}
		l := localFile{path: s.Path}
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
	slices.SortStableFunc(found, func(a, b localFile) int { return cmp.Compare(a.path, b.path) })
	return found
}

// litter lists what stands beside externals in directories that svn made only to hold these, and does not look into,
// and externals that are no working copies any more.
func (f *findings) litter() []string {
	var holders []string
	for _, s := range f.status {
		if s.Here.Item == "external" && !slices.Contains(f.externals, s.Path) && !slices.Contains(f.undefined, s.Path) {
			holders = append(holders, s.Path)
		}
	}
	if len(holders) == 0 {
		return nil
	}
	var found, places []string
	way := map[string]bool{}
	for _, e := range f.defined {
		places = append(places, e.path)
		disk.ParentDirs(way, e.path)
		if slices.Contains(holders, e.path) {
			found = append(found, e.path)
		}
	}
	check := func(path string) {
		if isBelow(path, holders) && !way[path] && !slices.Contains(places, path) && !isBelow(path, places) &&
			!isBelow(path, found) {
			found = append(found, path)
		}
	}
	for _, d := range f.work.Dirs {
		check(d.Path)
	}
	for _, file := range f.work.Files {
		check(file.Path)
	}
	for _, m := range f.work.Mounts {
		if !f.isLeft(m.Below) {
			check(m.Below)
		}
	}
	return found
}

// isBelow reports whether a path is below one of the directories.
func isBelow(path string, dirs []string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(path, d+"/") })
}
