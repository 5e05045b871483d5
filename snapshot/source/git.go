package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// GitOptions says where a git working copy is and how to reach its upstream.
type GitOptions struct {
	Dir     string        // the working copy, absolute; it may be a symbolic link
	URL     string        // upstream; empty: the checkout's own remote
	Branch  string        // upstream's branch; empty: the one that the checkout follows, else upstream's HEAD
	Timeout time.Duration // what each network operation (connecting, listing, fetching) may take; 0: no limit
	Auth    Auth
	Discard string // the directory below which local edits and untracked files are set aside

	// Progress is told how far a long operation is; nil means that nobody wants to know.
	Progress ProgressFunc
	// BeforeReplace is called before a locally edited or untracked file is set aside, with its contents
	// as they were checked out, as they are, and as they will be; nil where there is no file.
	BeforeReplace func(path string, base, local, upstream []byte) error
	// Step is called before every operation that changes something on disk; an error fails it. May be nil.
	Step func(label string) error
	// Now is the clock by which the directories below Discard are named. It must not be nil.
	Now func() time.Time
}

// Git is a git working copy and its upstream. It runs no git binary. Current, Resolve and Tree write
// nothing; Update, Heal and Clone must not run side by side.
type Git struct {
	o GitOptions
}

var _ Store = (*Git)(nil)

// NewGit returns the source for a working copy that need not exist yet.
func NewGit(o GitOptions) *Git { return &Git{o} }

// Kind returns "git".
func (g *Git) Kind() string { return "git" }

// DamageError says that a part of a repository cannot be made sense of, such as its configuration or the
// pointer to it. See also ObjectError and RefError.
type DamageError struct {
	Repository string
	Err        error
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("the repository %q is damaged: %v", e.Repository, e.Err)
}

func (e *DamageError) Unwrap() error { return e.Err }

// repository is an existing checkout's repository, as it was when it was opened.
type repository struct {
	gitLayout
	root   string // the working copy, links resolved
	config gitConfig
	refs   gitRefs
	branch string        // the full name of the local branch that is checked out; empty if HEAD is detached
	commit plumbing.Hash // the commit that is checked out; zero if there is none
	whole  bool          // as it was opened, before anything is fetched, no object can have gone; see known
	fresh  bool          // it is being cloned; see worktree
}

// open reads the state of the checkout. If the repository is damaged it returns what could be read, too.
func (g *Git) open() (*repository, error) {
	root, err := filepath.EvalSymlinks(g.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the working copy: %w", err)
	}
	r := &repository{root: root}
	r.gitLayout, err = findLayout(root)
	if errors.Is(err, errNoCheckout) {
		return nil, fmt.Errorf("opening the working copy %q: %w", g.o.Dir, err)
	}
	if err != nil {
		return r, &DamageError{filepath.Join(root, ".git"), err}
	}
	r.refs = gitRefs{r.gitLayout, g.o.Step}
	err = r.readConfig()
	var unsupported *UnsupportedRepositoryError
	if errors.As(err, &unsupported) {
		return r, err // its refs may be of another kind, too
	}
	err = errors.Join(err, r.readHead())
	if state, stateErr := readState(filepath.Join(r.gitDir, stateName)); stateErr == nil {
		r.whole = storeIsWhole(state, r.commonDir)
	}
	if r.commit.IsZero() {
		_, r.commit, _ = r.refs.resolve(syncedRef) // the best that is known, if anything is
	}
	return r, err
}

func (r *repository) readConfig() error {
	file := filepath.Join(r.commonDir, "config")
	data, err := os.ReadFile(file)
	if errors.Is(err, syscall.EISDIR) {
		return &DamageError{r.commonDir, err}
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	r.config, err = parseGitConfig(data)
	if err != nil {
		return &DamageError{r.commonDir, fmt.Errorf("%s: %w", file, err)}
	}
	return checkFormat(r.commonDir, r.config)
}

func (r *repository) readHead() error {
	last, h, err := r.refs.resolve("HEAD")
	switch {
	case errors.Is(err, errNoRef) && last == "HEAD":
		return &RefError{filepath.Join(r.gitDir, "HEAD"), err}
	case err != nil && !errors.Is(err, errNoRef):
		return err
	}
	if strings.HasPrefix(last, headsPrefix) {
		r.branch = last
	}
	r.commit = h
	return nil
}

// remote returns the name of the remote that the checkout follows.
func (r *repository) remote() string {
	if name := r.config.get("branch", r.localBranch(), "remote"); name != "" && name != "." {
		return name
	}
	if names := r.config.remotes(); len(names) == 1 {
		return names[0]
	}
	return "origin"
}

func (r *repository) localBranch() string { return strings.TrimPrefix(r.branch, headsPrefix) }

// upstreamURL returns the URL to fetch from.
func (g *Git) upstreamURL(r *repository) (string, error) {
	if g.o.URL != "" {
		return g.o.URL, nil
	}
	if u := r.config.first("remote", r.remote(), "url"); u != "" {
		return u, nil
	}
	return "", fmt.Errorf("the working copy %q has no remote %q, and no URL is configured", g.o.Dir, r.remote())
}

// follow is the branch that a checkout follows.
type follow struct {
	upstream string // the branch's short name upstream
	local    string // the full name of the local branch
	tracking string // the full name of the ref that remembers upstream's
	target   plumbing.Hash
	before   plumbing.Hash // what upstream's branch was when we last asked; zero if that is not known
	files    []treeFile    // the target's, if they were listed as it was fetched
}

// choose finds the branch to follow among those that upstream has.
func (g *Git) choose(r *repository, refs remoteRefs) (follow, error) {
	local := r.localBranch()
	merge, _ := strings.CutPrefix(r.config.get("branch", local, "merge"), headsPrefix)
	name := g.o.Branch
	if name == "" {
		name = merge
	}
	if name == "" && local != "" {
		if _, ok := refs.branches[local]; ok {
			name = local
		}
	}
	if name == "" {
		name = refs.head
	}
	if len(refs.branches) == 0 {
		return follow{}, errors.New("the repository is empty: it has no branches")
	}
	if name == "" {
		return follow{}, fmt.Errorf("its HEAD is no branch: configure one of %s", branchNames(refs.branches))
	}
	target, ok := refs.branches[name]
	if !ok {
		return follow{}, fmt.Errorf("it has no branch %q (any more): it has %s", name, branchNames(refs.branches))
	}
	tracking := "refs/remotes/" + r.remote() + "/" + name
	f := follow{upstream: name, local: r.branch, tracking: tracking, target: target}
	if merge != name && local != name {
		f.local = headsPrefix + name
	}
	for _, ref := range []string{f.local, f.tracking} {
		if !validRef(ref) {
			return follow{}, fmt.Errorf("the branch %q has a name that git does not allow", name)
		}
	}
	return f, nil
}

// Update brings the working copy to upstream's newest revision, whatever was done to it locally and
// to upstream's history. If the repository is damaged it is rebuilt from upstream.
func (g *Git) Update(ctx context.Context) (out Outcome, err error) {
	defer func() { err = redactError(err) }()
	return g.update(ctx, nil)
}

// update is Update, for a repository that is known to be damaged if damage is not nil.
func (g *Git) update(ctx context.Context, damage error) (out Outcome, err error) {
	stays, err := g.sweep()
	defer func() { out.Warnings = append(stays, out.Warnings...) }()
	if err != nil {
		return Outcome{}, err
	}
	r, err := g.open()
	if err != nil && (r == nil || !isDamage(err)) {
		return Outcome{}, err
	}
	if err == nil {
		if err = damage; err == nil {
			err = checkShape(r.gitLayout)
		}
		if err == nil {
			err = checkPacks(r.commonDir)
		}
		if err == nil {
			err = r.incomplete()
		}
	}
	var first Outcome
	if err == nil {
		if first, err = g.advance(ctx, r); !isDamage(err) {
			return first, err
		}
	}
	fresh, err := g.rebuild(ctx, r, err)
	if err != nil {
		return first, err
	}
	out, err = g.apply(ctx, fresh.repository, fresh.follow)
	out.Warnings = slices.Concat(first.Warnings, fresh.warnings, out.Warnings)
	out.Rewritten = out.Rewritten || fresh.rewritten
	out.Discarded = cmp.Or(out.Discarded, first.Discarded)
	out.Previous = ""
	if !r.commit.IsZero() {
		out.Previous = r.commit.String()
	}
	return out, err
}

// advance brings a sound repository and its working copy to upstream's newest revision.
func (g *Git) advance(ctx context.Context, r *repository) (Outcome, error) {
	f, err := g.fetch(ctx, r)
	if err != nil {
		return Outcome{}, err
	}
	return g.apply(ctx, r, f)
}

// emptyTree is the tree without entries.
var emptyTree = plumbing.NewHash("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

// apply brings the working copy to a revision that was fetched.
func (g *Git) apply(ctx context.Context, r *repository, f follow) (Outcome, error) {
	objs, err := openObjects(r.commonDir)
	if err != nil {
		return Outcome{}, err
	}
	defer objs.Close()
	commit, err := objs.commit(f.target)
	if err != nil {
		return Outcome{}, err
	}
	if commit.Tree == emptyTree {
		return Outcome{}, fmt.Errorf("upstream's revision %s has no files at all: it is not followed", f.target)
	}
	out := Outcome{Revision: Revision{ID: f.target.String(), Time: commit.Time.UTC()}}
	if err := g.compareHistory(ctx, objs, r, f, &out); err != nil {
		return Outcome{}, err
	}
	w := g.worktree(r)
	w.files = f.files
	result, err := w.sync(ctx, f.target)
	out.Changed, out.Discarded = result.Changed, result.Discarded
	out.Warnings = append(out.Warnings, result.Warnings...)
	if err != nil {
		return out, err
	}
	if err := g.moveHead(r, f); err != nil {
		return out, err
	}
	if given, err := g.giveUpOperations(r); err != nil {
		return out, err
	} else if given {
		out.Warnings = append(out.Warnings, "a merge, rebase or the like that had not been finished was given up")
	}
	if f.before == f.target {
		return out, nil
	}
	if err := newHousekeeper(g.store(r)).run(); err != nil {
		out.Warnings = append(out.Warnings, "tidying up the repository failed: "+redact(err.Error()))
	}
	return out, nil
}

func (g *Git) store(r *repository) *objectStore {
	return &objectStore{refs: r.refs, progress: g.o.Progress}
}

// fetch finds upstream's newest revision and brings its objects here. Nothing else takes the network.
func (g *Git) fetch(ctx context.Context, r *repository) (follow, error) {
	rawURL, err := g.upstreamURL(r)
	if err != nil {
		return follow{}, err
	}
	up, err := dialUpstream(ctx, rawURL, dialOptions{g.o.Dir, g.o.Auth, g.o.Timeout, g.o.Progress})
	if err != nil {
		return follow{}, upstreamError(rawURL, err)
	}
	defer up.Close()
	f, err := g.choose(r, up.refs())
	if err != nil {
		return follow{}, upstreamError(rawURL, err)
	}
	_, tracked, err := r.refs.resolve(f.tracking)
	if err != nil && !errors.Is(err, errNoRef) {
		return follow{}, err
	}
	f.before = tracked
	if tracked == f.target && r.commit == f.target {
		return f, nil // nothing is new
	}
	if err := r.readable(r.commit, tracked); err != nil || tracked == f.target {
		return f, err
	}
	store := g.store(r)
	if err := up.fetch(ctx, f.target, store); err != nil {
		return follow{}, upstreamError(rawURL, err)
	}
	if err := store.prove(ctx, f.target, tracked); err != nil {
		return follow{}, err
	}
	f.files = store.files
	return f, r.refs.write(f.tracking, f.target)
}

// readable returns an error if one of the commits cannot be read. The zero hash stands for none.
func (r *repository) readable(commits ...plumbing.Hash) error {
	objs, err := openObjects(r.commonDir)
	if err != nil {
		return err
	}
	defer objs.Close()
	for _, h := range commits {
		if h.IsZero() {
			continue
		}
		if _, err := objs.commit(h); err != nil {
			return &DamageError{r.root, err} // no ref of a sound repository leads to it
		}
	}
	return nil
}

func upstreamError(rawURL string, err error) error {
	return fmt.Errorf("upstream %s: %w", redact(rawURL), err)
}

func (g *Git) worktree(r *repository) *worktree {
	return &worktree{
		dir:           r.root,
		gitDir:        r.gitDir,
		discard:       g.o.Discard,
		whole:         r.whole,
		fresh:         r.fresh,
		now:           g.o.Now,
		beforeReplace: g.o.BeforeReplace,
		step:          g.o.Step,
		progress:      func(done, total int) { g.o.Progress.report("checkout", int64(done), int64(total)) },
	}
}

// moveHead records that the working copy is at the target.
func (g *Git) moveHead(r *repository, f follow) error {
	_, h, err := r.refs.resolve(f.local)
	if err != nil && !errors.Is(err, errNoRef) {
		return err
	}
	if h != f.target {
		if err := r.refs.write(f.local, f.target); err != nil {
			return err
		}
	}
	if r.branch != f.local {
		if err := r.refs.pointHead(f.local); err != nil {
			return err
		}
	}
	_, h, err = r.refs.resolve(syncedRef)
	if err != nil || h != f.target {
		if err := r.refs.writeSynced(f.target); err != nil {
			return err
		}
	}
	return g.recordTracking(r, f)
}

// operations are the files and directories by which git remembers an operation that waits for its user.
var operations = []string{
	"MERGE_HEAD", "MERGE_MSG", "MERGE_MODE", "AUTO_MERGE", "SQUASH_MSG", "CHERRY_PICK_HEAD", "REVERT_HEAD",
	"sequencer", "rebase-merge", "rebase-apply", "BISECT_START", "BISECT_LOG",
}

// giveUpOperations makes git forget a merge or the like that stands half-finished in the working copy.
func (g *Git) giveUpOperations(r *repository) (given bool, err error) {
	for _, name := range operations {
		file := filepath.Join(r.gitDir, name)
		if !exists(file) {
			continue
		}
		given = true
		err := labelled(g.o.Step, "remove unfinished operation", func() error { return RemovePath(file) })
		if err != nil {
			return given, fmt.Errorf("giving up what was not finished in the working copy: %w", err)
		}
	}
	return given, nil
}

// openToRead opens a repository of which refs may be damaged, as long as it is known what was checked
// out: objects prove themselves.
func (g *Git) openToRead() (*repository, error) {
	r, err := g.open()
	var ref *RefError
	var part *DamageError
	if errors.As(err, &ref) && !errors.As(err, &part) && !r.commit.IsZero() {
		return r, nil
	}
	return r, err
}

// Current returns the revision that is checked out, if all that belongs to it is there.
func (g *Git) Current(ctx context.Context) (rev Revision, err error) {
	defer func() { err = redactError(err) }()
	r, err := g.openToRead()
	if err != nil {
		return Revision{}, err
	}
	if r.commit.IsZero() {
		return Revision{}, fmt.Errorf("the working copy %q: %w", g.o.Dir, ErrNoRevision)
	}
	return g.revision(ctx, r, r.commit)
}

// revision proves that a commit's tree can be listed.
func (g *Git) revision(ctx context.Context, r *repository, h plumbing.Hash) (Revision, error) {
	objs, err := openObjects(r.commonDir)
	if err != nil {
		return Revision{}, err
	}
	defer objs.Close()
	commit, err := objs.commit(h)
	if err != nil {
		return Revision{}, err
	}
	known, err := isKnown(r.gitDir, h)
	if err != nil {
		return Revision{}, err
	}
	if !known {
		if err := checkConnected(ctx, r.commonDir, h, plumbing.ZeroHash); err != nil {
			return Revision{}, err
		}
	}
	return Revision{ID: h.String(), Time: commit.Time.UTC()}, nil
}

// Tree lists a revision as it is to be published.
func (g *Git) Tree(ctx context.Context, rev Revision) (tree Tree, err error) {
	defer func() { err = redactError(err) }()
	r, err := g.openToRead()
	if err != nil {
		return nil, err
	}
	return newGitTree(ctx, r.gitDir, rev)
}
