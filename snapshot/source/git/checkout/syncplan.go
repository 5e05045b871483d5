package checkout

import (
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// action is what a sync does at one path of the working copy.
type action struct {
	path string
	want *object.TreeFile // nil: nothing is to stand there
	have *workcopy.File   // nil: nothing stands there
	base *object.TreeFile // what the index has there; nil: nothing

	write bool // write want: nothing stands there, or something else
	chmod bool // what stands there is right but for its mode
	local bool // what stands there is a local edit or untracked: it is set aside first
}

// syncPlan is all that a sync is to do.
type syncPlan struct {
	actions []action       // sorted by path
	chmod   []workcopy.Dir // directories whose mode is wrong
	rmdir   []string       // directories in which nothing of ours is to stand, deepest first
	mkdir   []string       // submodules whose directory is missing
	entries []indexEntry   // the index as it is to be; those of paths to be changed lack their stat data
	refresh bool           // the index is to be written, though perhaps nothing else is
}

// changes reports whether anything is to be changed in the working copy itself.
func (p *syncPlan) changes() bool {
	return len(p.actions)+len(p.chmod)+len(p.rmdir)+len(p.mkdir) > 0
}

// judge decides about contents of which stat data says nothing.
type judge interface {
	// published reports whether the file holds what is to be published of want, mode apart.
	published(f *workcopy.File, want *object.TreeFile) (bool, error)
	// known reports whether the file holds what some update wrote there: base, want, or the version of an
	// interrupted update. Either may be nil.
	known(f *workcopy.File, base, want *object.TreeFile) (bool, error)
}

// planner compares what the index has, what is wanted, and what stands in the working copy.
type planner struct {
	index   *gitIndex
	trusted bool // what agrees with the index was written with the conversions that hold now
	judge   judge
	plan    syncPlan
}

// at plans for one path. entry, want and have are nil where there is none.
func (p *planner) at(path string, entry *indexEntry, want *object.TreeFile, have *workcopy.File) error {
	a := action{path: path, want: want, have: have}
	unchanged := false // have is what the index has
	if entry != nil {
		a.base = entryFile(entry)
		unchanged = have != nil && entry.describes(have) && !p.index.racy(entry.stat)
	}
	switch {
	case want == nil && have == nil:
		p.plan.refresh = true // the entry goes
		return nil
	case want == nil:
		p.plan.refresh = p.plan.refresh || entry != nil
		return p.remove(a, unchanged)
	case want.Mode == source.Directory:
		return p.submodule(a, entry, unchanged)
	case have == nil:
		a.write = true
	default:
		if err := p.compare(&a, unchanged); err != nil {
			return err
		}
	}
	p.keep(a, entry)
	return nil
}

// compare decides whether a file is to be written, or only to be given another mode.
func (p *planner) compare(a *action, unchanged bool) (err error) {
	var same bool
	if unchanged && p.trusted {
		same = a.base.Hash == a.want.Hash && a.base.IsFile() == a.want.IsFile()
	} else if same, err = p.judge.published(a.have, a.want); err != nil {
		return err
	}
	if same {
		a.chmod = a.want.IsFile() && a.have.Stat.Mode&0o7777 != permissions(a.want.Mode)
		return nil
	}
	a.write = true
	if !unchanged {
		known, err := p.judge.known(a.have, a.base, a.want)
		a.local = !known
		return err
	}
	return nil
}

// remove plans the end of a file.
func (p *planner) remove(a action, unchanged bool) error {
	_, name := disk.SplitPath(a.path)
	if ours := unchanged || a.base == nil && strings.HasPrefix(name, workcopy.TemporaryName); !ours {
		known, err := p.judge.known(a.have, a.base, nil)
		if err != nil {
			return err
		}
		a.local = !known
	}
	p.plan.actions = append(p.plan.actions, a)
	return nil
}

// submodule plans for a path at which an empty directory is to stand.
func (p *planner) submodule(a action, entry *indexEntry, unchanged bool) error {
	e := indexEntry{path: a.path, mode: indexSubmodule, hash: a.want.Hash}
	p.plan.entries = append(p.plan.entries, e)
	if entry == nil || entry.mode != e.mode || entry.hash != e.hash {
		p.plan.refresh = true
	}
	if a.have == nil {
		return nil
	}
	a.want = nil
	return p.remove(a, unchanged)
}

// keep records the action, if there is one, and the entry that the index is to have.
func (p *planner) keep(a action, entry *indexEntry) {
	e := indexEntry{path: a.path, mode: indexMode(a.want.Mode), hash: a.want.Hash}
	if a.write || a.chmod {
		p.plan.actions = append(p.plan.actions, a)
	} else {
		e.stat = newIndexStat(&a.have.Stat)
	}
	same := entry != nil && entry.hash == e.hash && entry.mode == e.mode && entry.stat.agrees(e.stat)
	if !same || p.index.racy(e.stat) {
		p.plan.refresh = true
	}
	p.plan.entries = append(p.plan.entries, e)
}

// directories plans for directories: dirs stand in the working copy, wanted are to hold something of
// the target, and submodules are to stand there empty. Those that lead to a mount stay.
func (p *planner) directories(dirs []workcopy.Dir, wanted, submodules map[string]bool, mounts workcopy.Mounts) {
	present, ways := map[string]bool{}, mounts.Ways()
	for _, m := range mounts {
		present[m.Below] = true
	}
	for _, d := range dirs {
		present[d.Path] = true
		switch {
		case d.Path == "":
			if d.Mode&0o077 == 0 { // made under a umask of 077: whoever chose 0750 is left in peace
				p.plan.chmod = append(p.plan.chmod, d)
			}
		case !wanted[d.Path] && !submodules[d.Path]:
			if !ways[d.Path] {
				p.plan.rmdir = append(p.plan.rmdir, d.Path)
			}
		case d.Mode&0o777 != disk.DirMode:
			p.plan.chmod = append(p.plan.chmod, d)
		}
	}
	slices.Reverse(p.plan.rmdir)
	for path := range submodules {
		if !present[path] {
			p.plan.mkdir = append(p.plan.mkdir, path)
		}
	}
	slices.Sort(p.plan.mkdir)
}

// describes reports whether the entry's stat data and type agree with the file.
func (e *indexEntry) describes(f *workcopy.File) bool {
	switch {
	case f.Repository || !e.stat.agrees(newIndexStat(&f.Stat)):
		return false
	case e.mode == indexSymlink:
		return f.IsSymlink()
	}
	return f.IsRegular() && (e.mode == indexRegular || e.mode == indexExecutable)
}

// entryFile returns what an index entry stands for.
func entryFile(e *indexEntry) *object.TreeFile {
	f := &object.TreeFile{Path: e.path, Hash: e.hash, Mode: source.Regular, Size: e.stat.size}
	switch e.mode {
	case indexExecutable:
		f.Mode = source.Executable
	case indexSymlink:
		f.Mode = source.Symlink
	case indexSubmodule:
		f.Mode = source.Directory
	}
	return f
}

func indexMode(m source.Mode) uint32 {
	switch m {
	case source.Executable:
		return indexExecutable
	case source.Symlink:
		return indexSymlink
	case source.Directory:
		return indexSubmodule
	}
	return indexRegular
}

// permissions returns the mode bits of a file of ours, whatever the umask.
func permissions(m source.Mode) uint32 {
	if m == source.Executable {
		return 0o755
	}
	return 0o644
}

// join calls visit for each path that stands in any of three lists, which are sorted by path.
func join(index []indexEntry, want []object.TreeFile, have []workcopy.File,
	visit func(path string, entry *indexEntry, want *object.TreeFile, have *workcopy.File) error) error {
	for len(index)+len(want)+len(have) > 0 {
		path, first := "", true
		least := func(head string) {
			if first || head < path {
				path, first = head, false
			}
		}
		if len(index) > 0 {
			least(index[0].path)
		}
		if len(want) > 0 {
			least(want[0].Path)
		}
		if len(have) > 0 {
			least(have[0].Path)
		}
		var e *indexEntry
		var t *object.TreeFile
		var f *workcopy.File
		if len(index) > 0 && index[0].path == path {
			e, index = &index[0], index[1:]
		}
		if len(want) > 0 && want[0].Path == path {
			t, want = &want[0], want[1:]
		}
		if len(have) > 0 && have[0].Path == path {
			f, have = &have[0], have[1:]
		}
		if err := visit(path, e, t, f); err != nil {
			return err
		}
	}
	return nil
}
