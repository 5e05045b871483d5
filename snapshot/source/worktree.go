package source

import (
	"context"
	"crypto/sha1" //nolint:gosec // identifies attribute files, proves nothing
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// maxPassedOn is the size in bytes up to which the contents of a file that is to go are passed on to
// beforeReplace.
const maxPassedOn = 32 << 20

// worktree is the working copy of a git repository. One goroutine at a time may sync it.
//
// What a sync leaves is exactly the target: files, links, modes, empty directories for submodules, and
// nothing else but .git. What it finds unchanged it does not touch, and it knows that from stat data, as
// git does. Local edits and untracked files are set aside. A sync that is killed at any moment is made
// good by the next one.
type worktree struct {
	dir     string           // the root of the working copy; may be a symbolic link
	gitDir  string           // its repository
	discard string           // the directory below which local edits and untracked files are set aside
	now     func() time.Time // names the directory below discard

	// beforeReplace, if not nil, is called before a regular file that was edited locally or is untracked
	// goes, with its contents in the index, in the working copy and in the target; nil where there is no
	// such file. Files of more than 32 MB and those in nested repositories are not passed on.
	beforeReplace func(path string, base, local, upstream []byte) error
	// step, if not nil, is called right before each operation that changes something.
	step func(label string) error
	// progress, if not nil, is called after each file that was written.
	progress func(done, total int)
	// wait waits for d; nil means to do so by the clock.
	wait func(ctx context.Context, d time.Duration) error
}

// syncResult says what a sync did.
type syncResult struct {
	Changed   int      // files written, removed or given another mode
	Discarded string   // the directory that local edits and untracked files were set aside in, or empty
	Warnings  []string // what an administrator should know, one sentence each
}

// sync makes the files of the working copy and the index exactly those of the commit target. An object
// that is missing or corrupt is an *ObjectError; one that is missing is noticed before anything changes.
func (w *worktree) sync(ctx context.Context, target plumbing.Hash) (syncResult, error) {
	s, err := w.begin(ctx, target)
	if err != nil {
		return syncResult{}, fmt.Errorf("looking at the working copy %q: %w", w.dir, err)
	}
	defer s.close()
	if err := s.makePlan(); err != nil {
		return syncResult{}, fmt.Errorf("comparing the working copy %q with revision %s: %w", w.dir, target, err)
	}
	if s.settled() {
		return s.result, nil
	}
	if err := s.apply(); err != nil {
		return s.result, fmt.Errorf("bringing the working copy %q to revision %s: %w", w.dir, target, err)
	}
	return s.result, nil
}

func (w *worktree) pause(ctx context.Context, d time.Duration) error {
	if w.wait != nil {
		return w.wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *worktree) file(name string) string { return filepath.Join(w.gitDir, name) }

// syncRun is one sync under way.
type syncRun struct {
	*worktree
	ctx    context.Context
	target plumbing.Hash
	root   *os.File
	common string   // where the objects are; another directory than gitDir in a linked working tree
	store  *objects // opened when first needed
	dirs   *dirs

	index   *gitIndex
	state   syncState
	journal []plumbing.Hash

	list       []treeFile // the target's
	attributes *treeAttributes
	eol        eolConfig
	digest     [sha1.Size]byte // of attributes and eol
	plan       syncPlan
	discarder  *discarder
	result     syncResult
}

// begin reads what is known of the working copy.
func (w *worktree) begin(ctx context.Context, target plumbing.Hash) (_ *syncRun, err error) {
	layout, err := layoutOf(w.gitDir)
	if err != nil {
		return nil, err
	}
	root, err := os.Open(w.dir)
	if err != nil {
		return nil, err
	}
	s := &syncRun{
		worktree: w, ctx: ctx, target: target, root: root, common: layout.commonDir,
		dirs:      &dirs{root: int(root.Fd()), step: w.step, mode: dirMode},
		discarder: &discarder{base: w.discard, now: w.now, step: w.step},
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
	if s.state, err = readState(w.file(stateName)); err != nil {
		return nil, err
	}
	if s.journal, err = readJournal(w.file(journalName)); err != nil {
		return nil, err
	}
	s.eol, err = readEOLConfig(s.common)
	return s, err
}

func (s *syncRun) close() {
	s.dirs.close()
	s.discarder.close()
	if s.store != nil {
		_ = s.store.Close() // it was only read
	}
	_ = s.root.Close()
}

// objects opens the object database, for the goroutine of the sync.
func (s *syncRun) objects() (*objects, error) {
	if s.store != nil {
		return s.store, nil
	}
	var err error
	s.store, err = openObjects(s.common)
	return s.store, err
}

// described reports whether the index is the one that the state file speaks of.
func (s *syncRun) described() bool {
	return !s.state.commit.IsZero() && s.state.index == s.index.checksum
}

// listTarget lists the target's tree: from the index if that is known to stand for it or for a commit
// that it can be compared with, else from its tree objects.
func (s *syncRun) listTarget() ([]treeFile, error) {
	if s.described() {
		list := make([]treeFile, len(s.index.entries))
		for i := range list {
			list[i] = *entryFile(&s.index.entries[i])
		}
		if s.state.commit == s.target {
			return list, nil
		}
		list, err := s.updateList(list)
		var damaged *ObjectError
		if !errors.As(err, &damaged) { // the old commit's objects are not needed otherwise
			return list, err
		}
	}
	root, err := s.treeOf(s.target)
	if err != nil {
		return nil, err
	}
	return listTree(s.ctx, s.store, root)
}

func (s *syncRun) updateList(list []treeFile) ([]treeFile, error) {
	from, err := s.treeOf(s.state.commit)
	if err != nil {
		return nil, err
	}
	to, err := s.treeOf(s.target)
	if err != nil {
		return nil, err
	}
	return updateList(s.ctx, s.store, list, from, to)
}

func (s *syncRun) treeOf(commit plumbing.Hash) (plumbing.Hash, error) {
	o, err := s.objects()
	if err != nil {
		return plumbing.ZeroHash, err
	}
	c, err := o.commit(commit)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	return c.TreeHash, nil
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
		parentDirs(wanted, f.path)
		if f.mode == Directory {
			submodules[f.path] = true
		}
	}
	ours := make(map[string]bool, len(wanted))
	for dir := range wanted {
		ours[dir] = true
	}
	for _, e := range s.index.entries {
		parentDirs(ours, e.path)
	}
	found, err := walkWorkCopy(s.ctx, int(s.root.Fd()), ours)
	if err != nil {
		return err
	}
	p := &planner{
		index:   s.index,
		trusted: s.state.attributes == s.digest,
		judge: &contents{
			ctx: s.ctx, dirs: s.dirs, objects: s.objects, conversion: s.conversion, commits: s.earlierCommits(),
		},
	}
	if err := join(s.index.entries, s.list, found.files, p.at); err != nil {
		return err
	}
	p.directories(found.dirs, wanted, submodules)
	s.plan = p.plan
	return nil
}

// earlierCommits are those whose files an update may have written.
func (s *syncRun) earlierCommits() []plumbing.Hash {
	commits := s.journal
	if !s.state.commit.IsZero() && !s.described() {
		commits = append(commits, s.state.commit)
	}
	return commits
}

func (s *syncRun) conversion(f *treeFile) (conversion, error) {
	values, _, err := s.attributes.of(f.path)
	return s.eol.conversion(values), err
}

// settled reports that there is nothing to do.
func (s *syncRun) settled() bool {
	return !s.plan.changes() && !s.plan.refresh && len(s.journal) == 0 &&
		s.described() && s.state.commit == s.target && s.state.attributes == s.digest
}

// apply does what the plan says.
func (s *syncRun) apply() (err error) {
	lock, err := lockIndex(s.ctx, s.worktree)
	if err != nil {
		return err
	}
	if lock.warning != "" {
		s.result.Warnings = append(s.result.Warnings, lock.warning)
	}
	defer func() {
		err = errors.Join(err, lock.release())
		if warning := s.discarder.warning(); warning != "" {
			s.result.Discarded = s.discarder.dir
			s.result.Warnings = append(s.result.Warnings, warning)
		}
	}()
	if s.plan.changes() {
		if err := s.change(); err != nil {
			return err
		}
	}
	return s.record(lock)
}

// change brings the working copy itself to the target.
func (s *syncRun) change() error {
	writes, err := s.writes()
	if err != nil {
		return err
	}
	out, err := newCheckout(int(s.root.Fd()), s.common, s.worktree)
	if err != nil {
		return err
	}
	defer out.close() // what is left there is removed by the next run
	out.conversion = map[string]conversion{}
	for _, a := range writes {
		if out.conversion[a.path], err = s.conversion(a.want); err != nil {
			return err
		}
	}
	if err := takeStep(s.step, "write journal"); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
	}
	if err := replaceFile(s.file(journalName), journalText(s.journal, s.target)); err != nil {
		return fmt.Errorf("writing the journal: %w", err)
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
	if err := takeStep(s.step, "sync file system"); err != nil {
		return err
	}
	// The index must not be durable before the files that it speaks of.
	if err := unix.Syncfs(int(s.root.Fd())); err != nil {
		return fmt.Errorf("syncing the file system: %w", err)
	}
	return nil
}

// record makes the index and the state file say what the working copy now is.
func (s *syncRun) record(lock *indexLock) error {
	state := syncState{index: s.index.checksum, commit: s.target, attributes: s.digest}
	if s.plan.refresh {
		var err error
		if state.index, err = lock.replace(s.plan.entries); err != nil {
			return fmt.Errorf("writing the index: %w", err)
		}
	}
	if state != s.state {
		if err := takeStep(s.step, "write state"); err != nil {
			return fmt.Errorf("writing what the index stands for: %w", err)
		}
		if err := replaceFile(s.file(stateName), state.String()); err != nil {
			return fmt.Errorf("writing what the index stands for: %w", err)
		}
	}
	if err := takeStep(s.step, "remove journal"); err != nil {
		return fmt.Errorf("removing the journal: %w", err)
	}
	if err := os.Remove(s.file(journalName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("removing the journal: %w", err)
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
