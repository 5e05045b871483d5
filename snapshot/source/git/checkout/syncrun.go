package checkout

import (
	"cmp"
	"context"
	"crypto/sha1" // identifies attribute files, proves nothing
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// syncRun is one sync under way.
type syncRun struct {
	*Worktree
	ctx    context.Context
	target plumbing.Hash
	root   *os.File
	common string         // where the objects are; another directory than gitDir in a linked working tree
	store  *object.Reader // opened when first needed
	dirs   *disk.Dirs

	index   *gitIndex
	state   syncState
	journal []plumbing.Hash
	whole   bool // see known

	list       []object.TreeFile // the target's
	attributes *treeAttributes
	eol        attr.EOLConfig
	digest     [sha1.Size]byte // of attributes and eol
	plan       syncPlan
	discarder  *aside.Discarder
	result     syncResult
}

// begin reads what is known of the working copy.
func (w *Worktree) begin(ctx context.Context, target plumbing.Hash) (_ *syncRun, err error) {
	layout, err := repo.LocationOf(w.GitDir)
	if err != nil {
		return nil, err
	}
	if err := w.checkDiscard(); err != nil {
		return nil, err
	}
	root, err := os.Open(w.Dir)
	if err != nil {
		return nil, err
	}
	s := &syncRun{
		Worktree: w, ctx: ctx, target: target, root: root, common: layout.CommonDir,
		dirs:      &disk.Dirs{Root: int(root.Fd()), Step: w.Step, Mode: disk.DirMode},
		discarder: &aside.Discarder{Edits: w.Edits},
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	s.index, err = readIndex(w.file("index"))
	if errors.Is(err, errIndexUnusable) {
		s.index = &gitIndex{} // it is made anew, from the files
	} else if err != nil {
		return nil, err
	}
	if s.state, err = ReadState(w.file(StateName)); err != nil {
		return nil, err
	}
	if s.journal, err = readJournal(w.file(JournalName)); err != nil {
		return nil, err
	}
	s.whole = w.Whole || StoreIsWhole(s.state, s.common)
	s.eol, err = attr.ReadEOLConfig(s.common)
	return s, err
}

// checkDiscard makes sure that what is set aside does not stay in the working copy, where the next sync
// would set it aside again.
func (w *Worktree) checkDiscard() error {
	root, err := filepath.EvalSymlinks(w.Dir)
	if err != nil {
		return err
	}
	existing := w.Discard
	for {
		resolved, err := filepath.EvalSymlinks(existing)
		if err == nil {
			existing = resolved
			break
		}
		if !errors.Is(err, os.ErrNotExist) || existing == filepath.Dir(existing) {
			return err
		}
		existing = filepath.Dir(existing)
	}
	if existing == root || strings.HasPrefix(existing, root+"/") {
		return fmt.Errorf("local edits cannot be set aside in %q, which lies in the working copy", w.Discard)
	}
	return nil
}

func (s *syncRun) close() {
	s.dirs.Close()
	s.discarder.Close()
	if s.store != nil {
		_ = s.store.Close() // it was only read
	}
	_ = s.root.Close()
}

// objects opens the object database, for the goroutine of the sync.
func (s *syncRun) objects() (*object.Reader, error) {
	if s.store != nil {
		return s.store, nil
	}
	var err error
	s.store, err = object.Open(s.common)
	return s.store, err
}

func (s *syncRun) known() lastSync { return lastSync{s.index, s.state, s.whole} }

// listTarget lists the target's tree.
func (s *syncRun) listTarget() ([]object.TreeFile, error) {
	if s.Files != nil {
		return s.Files, nil
	}
	list, err := s.known().list(s.ctx, s.objects, s.target)
	if err != nil || s.known().sound() {
		return list, err
	}
	return list, s.checkFiles(list)
}

// checkFiles looks for each file's object in a store that others have changed: once the index stands for the target
// nobody looks for those whose files are unchanged.
func (s *syncRun) checkFiles(list []object.TreeFile) error {
	o, err := s.objects()
	if err != nil {
		return err
	}
	for _, f := range list {
		if f.Mode == source.Directory {
			continue
		}
		if _, err := o.Size(f.Hash); err != nil {
			return fmt.Errorf("read %s of the target: %w", disk.QuotePath(f.Path), err)
		}
	}
	return nil
}

// makePlan compares the target, the index and the working copy.
func (s *syncRun) makePlan() (err error) {
	if s.list, err = s.listTarget(); err != nil {
		return err
	}
	if s.attributes, err = newTreeAttributes(s.objects, s.common, s.list); err != nil {
		return err
	}
	s.digest = s.attributes.digest(s.eol)
	wanted, submodules := map[string]bool{}, map[string]bool{}
	for _, f := range s.list {
		disk.ParentDirs(wanted, f.Path)
		if f.Mode == source.Directory {
			submodules[f.Path] = true
		}
	}
	ours := make(map[string]bool, len(wanted))
	for dir := range wanted {
		ours[dir] = true
	}
	for _, e := range s.index.entries {
		disk.ParentDirs(ours, e.path)
	}
	found, err := workcopy.Walk(s.ctx, int(s.root.Fd()), ours)
	if err != nil {
		return err
	}
	mounts := found.Mounts.Outside(".git")
	if err := s.checkMounts(mounts, wanted); err != nil {
		return err
	}
	p := &planner{
		index:   s.index,
		trusted: s.state.attributes == s.digest,
		judge: &contents{
			ctx: s.ctx, dirs: s.dirs, objects: s.objects, conversion: s.conversion, commits: s.earlierCommits(),
		},
	}
	if err := join(s.index.entries, s.list, found.Files, p.at); err != nil {
		return err
	}
	p.directories(found.Dirs, wanted, submodules, mounts)
	s.plan = p.plan
	return nil
}

// checkMounts fails if something is mounted where the target has files, or where files stand in the way to it. It warns
// of all else: what is upstream's no more, or never was, stays there. An empty directory of a submodule may be anything.
func (s *syncRun) checkMounts(mounts workcopy.Mounts, wanted map[string]bool) error {
	for _, m := range mounts {
		if wanted[m.Below] {
			return workcopy.UpstreamsError(m)
		}
		for path := m.Below; path != ""; path, _ = disk.SplitPath(path) {
			i, found := slices.BinarySearchFunc(s.list, path, func(f object.TreeFile, path string) int { return cmp.Compare(f.Path, path) })
			if found && s.list[i].Mode != source.Directory {
				return workcopy.UpstreamsError(m)
			}
		}
	}
	s.result.Warnings = append(s.result.Warnings, mounts.Warnings()...)
	return nil
}

// earlierCommits are those whose files an update may have written.
func (s *syncRun) earlierCommits() []plumbing.Hash {
	commits := slices.Clone(s.journal)
	if !s.state.commit.IsZero() && !s.known().described() {
		commits = append(commits, s.state.commit)
	}
	return commits
}

func (s *syncRun) conversion(f *object.TreeFile) (attr.Conversion, error) {
	values, _, err := s.attributes.of(f.Path)
	return s.eol.Conversion(values), err
}

// nothingToDo reports that there is nothing to do, nor anything that a killed run has left.
func (s *syncRun) nothingToDo() bool {
	_, lockLeft := describeLock(s.file(lockName))
	return !s.plan.changes() && !s.plan.refresh && len(s.journal) == 0 && !lockLeft &&
		s.known().sound() && s.state.commit == s.target && s.state.attributes == s.digest
}

// sweep removes what killed runs have left half written in the git directory.
func (s *syncRun) sweep() error {
	if info, err := os.Lstat(s.file("index")); err == nil && info.IsDir() {
		err := disk.Labelled(s.Step, "remove directory index", func() error { return disk.RemovePath(s.file("index")) })
		if err != nil {
			return fmt.Errorf("remove a directory in the place of the index: %w", err)
		}
	}
	for _, name := range []string{temporaryDir, newIndexName} {
		if !disk.Exists(s.file(name)) {
			continue
		}
		err := disk.Labelled(s.Step, "remove leftover", func() error { return disk.RemovePath(s.file(name)) })
		if err != nil {
			return fmt.Errorf("remove what a killed run has left: %w", err)
		}
	}
	return nil
}

// apply does what the plan says.
func (s *syncRun) apply() (err error) {
	lock, err := lockIndex(s.ctx, s.Worktree)
	if err != nil {
		return err
	}
	if lock.warning != "" {
		s.result.Warnings = append(s.result.Warnings, lock.warning)
	}
	defer func() {
		err = errors.Join(err, lock.release())
		if warning := s.discarder.Warning(); warning != "" {
			s.result.Discarded = s.discarder.Dir
			s.result.Warnings = append(s.result.Warnings, warning)
		}
	}()
	if err := s.sweep(); err != nil {
		return err
	}
	if s.plan.changes() {
		if err := s.change(); err != nil {
			return err
		}
	}
	if err := s.makeDurable(); err != nil {
		return err
	}
	return s.record(lock)
}

// change brings the working copy itself to the target.
func (s *syncRun) change() (err error) {
	writes, err := s.writes()
	if err != nil {
		return err
	}
	out, err := newCheckout(int(s.root.Fd()), s.Worktree)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.close()) }()
	out.objects, out.conversion = s.store, map[string]attr.Conversion{}
	for _, a := range writes {
		if out.conversion[a.path], err = s.conversion(a.want); err != nil {
			return err
		}
	}
	if !s.Fresh {
		if err := s.replaceFile(JournalName, journalText(s.journal, s.target)); err != nil {
			return fmt.Errorf("write the journal: %w", err)
		}
	}
	if err := s.clear(); err != nil {
		return err
	}
	stats, err := out.write(s.ctx, writes)
	if err != nil {
		return err
	}
	for i, a := range writes {
		s.entry(a.path).stat = newIndexStat(&stats[i])
	}
	s.result.Changed = len(s.plan.actions)
	s.plan.refresh = true
	return nil
}

// makeDurable syncs what this run and killed ones have written: the index must not be durable before
// the files that it speaks of.
func (s *syncRun) makeDurable() error {
	if !s.plan.changes() && len(s.journal) == 0 {
		return nil
	}
	err := disk.TakeStep(s.Step, "sync file system")
	if err == nil {
		err = unix.Syncfs(int(s.root.Fd()))
	}
	if err != nil {
		return fmt.Errorf("sync the file system: %w", err)
	}
	return nil
}

// record makes the index and the state file say what the working copy now is.
func (s *syncRun) record(lock *indexLock) error {
	state := syncState{index: s.index.checksum, commit: s.target, attributes: s.digest}
	var err error
	if state.objects, err = object.StoreSignature(s.common); err != nil {
		return err
	}
	if s.plan.refresh {
		if state.index, err = lock.replace(s.plan.entries); err != nil {
			return fmt.Errorf("write the index: %w", err)
		}
	}
	if state != s.state {
		if err := s.replaceFile(StateName, state.String()); err != nil {
			return fmt.Errorf("write what the index stands for: %w", err)
		}
	}
	if err := disk.TakeStep(s.Step, "remove journal"); err != nil {
		return fmt.Errorf("remove the journal: %w", err)
	}
	if err := disk.Remove(s.file(JournalName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove the journal: %w", err)
	}
	return nil
}

// entry returns the entry of the new index at path.
func (s *syncRun) entry(path string) *indexEntry {
	i, ok := slices.BinarySearchFunc(s.plan.entries, path, func(e indexEntry, path string) int {
		return strings.Compare(e.path, path)
	})
	if !ok {
		panic("source: the plan has no index entry for a file that it writes")
	}
	return &s.plan.entries[i]
}
