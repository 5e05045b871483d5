package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/checkout"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// rebuildPrefix begins the name of a repository that is built beside .git.
	rebuildPrefix = ".git.etchtag-"
	// replacedName is what .git is called for a moment where two directories cannot be exchanged at once.
	replacedName = rebuildPrefix + "replaced"
)

// isDamage reports whether an error means that the repository is damaged, and not only that we
// could not read it.
func isDamage(err error) bool {
	for _, cause := range []error{fs.ErrPermission, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ENOSPC,
		context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			return false
		}
	}
	var obj *object.Error
	var ref *repo.RefError
	var part *DamageError
	return errors.As(err, &obj) || errors.As(err, &ref) || errors.As(err, &part)
}

// incompleteError says that parts of the repository were left out when it was cloned.
type incompleteError struct{ what string }

func (e *incompleteError) Error() string { return "it is a " + e.what }

// incomplete returns an error if objects or history may be missing on purpose.
func (r *repository) incomplete() error {
	if info, err := os.Stat(filepath.Join(r.CommonDir, "shallow")); err == nil && info.Size() > 0 {
		return &incompleteError{"shallow clone, without the history behind"}
	}
	if repo.IsPartial(r.config) {
		return &incompleteError{"partial clone, without all objects"}
	}
	return nil
}

// Damaged reports whether err means that the repository is damaged, so that Heal may help.
func (g *Source) Damaged(err error) bool { return isDamage(err) }

// Heal rebuilds the repository from upstream and brings the working copy to upstream's newest
// revision. It is for a caller that met damage which Update cannot see, such as an *ObjectError while
// the contents of an unchanged file were read; cause is that error.
func (g *Source) Heal(ctx context.Context, cause error) (out source.Outcome, err error) {
	defer func() { err = remote.RedactError(err) }()
	return g.update(ctx, &DamageError{g.o.Dir, cause})
}

// rebuilt is what became of a repository that was made anew.
type rebuilt struct {
	*repository
	follow
	warnings  []string
	rewritten bool // upstream does not have the commit that was checked out
}

// rebuild makes the repository anew from upstream, beside the old one, and exchanges them.
func (g *Source) rebuild(ctx context.Context, r *repository, why error) (_ *rebuilt, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("the repository of the working copy %q cannot be used: %w; making it anew "+
				"from upstream: %w", g.o.Dir, why, err)
		}
	}()
	if err := disk.MountedAt(filepath.Join(r.root, ".git")); err != nil { // before all is fetched
		return nil, err
	}
	fresh, err := g.freshRepository(r)
	if err != nil {
		return nil, err
	}
	defer disk.RemovePath(fresh.GitDir)
	f, err := g.fetch(ctx, fresh)
	if err != nil {
		return nil, err
	}
	lost, err := fresh.takeOver(ctx, r, f)
	if err != nil {
		return nil, err
	}
	result := &rebuilt{follow: f, rewritten: slices.Contains(lost, r.branch)}
	if err := result.explain(r, why, lost); err != nil {
		return nil, err
	}
	if err := g.exchange(r.root, fresh.GitDir); err != nil {
		return nil, err
	}
	result.repository, err = g.open()
	return result, err
}

// explain says what was done, or refuses it if it loses what only the old repository has. From one that
// is damaged there may be nothing else to save.
func (r *rebuilt) explain(old *repository, why error, lost []string) error {
	r.warnings = append(r.warnings, fmt.Sprintf("the repository of the working copy was made anew from upstream, "+
		"because the old one could not be used: %v", remote.Redact(why.Error())))
	if len(lost) > 0 {
		names := strings.Join(lost, ", ")
		var partial *incompleteError
		if errors.As(why, &partial) {
			return fmt.Errorf("its branch %q does not contain what is in %s: push or delete that first, or "+
				`complete the clone by "git fetch --unshallow" or "git fetch --refetch"`, r.upstream, names)
		}
		r.warnings = append(r.warnings, "refs that upstream's branch does not contain could not be kept: "+names)
	}
	info, err := os.Lstat(filepath.Join(old.root, ".git"))
	if err == nil && !info.IsDir() && old.GitDir != "" {
		r.warnings = append(r.warnings,
			fmt.Sprintf("the repository %q is not used by the working copy any more", old.GitDir))
	}
	return nil
}

// freshRepository makes an empty repository beside that of the working copy, with its configuration.
func (g *Source) freshRepository(r *repository) (*repository, error) {
	rawURL, err := g.upstreamURL(r)
	if err != nil {
		return nil, err
	}
	var dir string
	err = disk.Labelled(g.o.Step, "create repository", func() (err error) {
		dir, err = disk.MakeTemp(r.root, rebuildPrefix+"*")
		return err
	})
	if err != nil {
		return nil, err
	}
	fresh := &repository{root: r.root, Location: repo.Location{GitDir: dir, CommonDir: dir}, branch: r.branch}
	fresh.refs = repo.Refs{Location: fresh.Location, Step: g.o.Step}
	fresh.config = completeConfig(r.config, rawURL)
	err = disk.Labelled(g.o.Step, "write repository", func() error {
		err := initRepository(dir, fresh.config)
		if err == nil && r.GitDir != "" {
			err = copyCustom(r.Location, dir)
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the repository %q: %w", dir, err), disk.RemovePath(dir))
	}
	return fresh, nil
}

// completeConfig returns the configuration for a repository of its own that has all objects.
func completeConfig(c repo.Config, rawURL string) repo.Config {
	kept := slices.DeleteFunc(slices.Clone(c), func(s repo.Setting) bool {
		return s.Section == "extensions" || s.Section == "core" && (s.Key == "worktree" || s.Key == "bare") ||
			s.Section == "remote" && (s.Key == "promisor" || s.Key == "partialclonefilter")
	})
	if len(kept.Remotes()) > 0 {
		return kept
	}
	return append(kept, newConfig(rawURL)...)
}

// initRepository makes an empty repository.
func initRepository(gitDir string, config repo.Config) error {
	for _, dir := range []string{"objects/info", "objects/pack", "refs/heads", "refs/tags"} {
		if err := disk.MakeDirs(filepath.Join(gitDir, dir)); err != nil {
			return err
		}
	}
	if err := disk.Chmod(gitDir, 0o755); err != nil {
		return err
	}
	if err := writeMode(filepath.Join(gitDir, "config"), []byte(config.String()), config.Mode()); err != nil {
		return err
	}
	return writeMode(filepath.Join(gitDir, "HEAD"), []byte("ref: refs/heads/main\n"), 0o644)
}

// writeMode writes a new file with a mode that the umask has no say in.
func writeMode(name string, content []byte, mode os.FileMode) error {
	if err := disk.WriteFile(name, content, mode); err != nil {
		return err
	}
	return disk.Chmod(name, mode)
}

// copyCustom copies what people set up in a repository, and what the working copy is known by: the
// index, so that local edits are told from what an update changed.
func copyCustom(from repo.Location, to string) error {
	files := map[string]string{
		filepath.Join(from.GitDir, "index"):              "index",
		filepath.Join(from.GitDir, checkout.JournalName): checkout.JournalName,
	}
	for _, dir := range []string{"info", "hooks"} {
		entries, _ := os.ReadDir(filepath.Join(from.CommonDir, dir))
		for _, e := range entries {
			if e.Type().IsRegular() {
				files[filepath.Join(from.CommonDir, dir, e.Name())] = filepath.Join(dir, e.Name())
			}
		}
	}
	for file, name := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it is damaged, too
		}
		mode := os.FileMode(0o644)
		if info, err := os.Stat(file); err == nil {
			mode = info.Mode().Perm()
		}
		if err := disk.MakeDirs(filepath.Dir(filepath.Join(to, name))); err != nil {
			return err
		}
		if err := writeMode(filepath.Join(to, name), data, mode); err != nil {
			return err
		}
	}
	return nil
}

// takeOver gives a fresh repository the refs of the old one whose objects it has, and the commit
// that is checked out, if it is whole. It returns the names of those that it cannot have.
func (r *repository) takeOver(ctx context.Context, old *repository, f follow) (lost []string, err error) {
	objs, err := object.Open(r.CommonDir)
	if err != nil {
		return nil, err
	}
	defer objs.Close()
	for name, h := range old.ownRefs() {
		if _, err := peel(objs, h); err != nil {
			lost = append(lost, name)
			continue
		}
		if err := r.refs.Write(name, h); err != nil {
			return nil, err
		}
	}
	slices.Sort(lost)
	checkedOut := f.target
	if !old.commit.IsZero() && object.CheckConnected(ctx, r.CommonDir, old.commit, plumbing.ZeroHash) == nil {
		checkedOut = old.commit
	}
	if err := r.refs.Write(f.local, checkedOut); err != nil {
		return nil, err
	}
	return lost, r.refs.PointHead(f.local)
}

// ownRefs lists the refs that are not upstream's, as far as they can be read.
func (r *repository) ownRefs() map[string]plumbing.Hash {
	own := map[string]plumbing.Hash{}
	if r.CommonDir == "" {
		return own
	}
	names, _ := r.refs.LooseNames("refs/")
	packed, _ := r.refs.Packed()
	for name := range packed {
		names = append(names, name)
	}
	for _, name := range names {
		if strings.HasPrefix(name, "refs/remotes/") || name == r.branch {
			continue
		}
		if _, h, err := r.refs.Resolve(name); err == nil {
			own[name] = h
		}
	}
	if r.branch != "" && !r.commit.IsZero() {
		own[r.branch] = r.commit
	}
	return own
}

// exchange puts a fresh repository in the place of .git and removes the old one.
func (g *Source) exchange(root, fresh string) error {
	dotGit := filepath.Join(root, ".git")
	if err := disk.Labelled(g.o.Step, "sync repository", func() error { return disk.SyncFS(fresh) }); err != nil {
		return err
	}
	err := disk.Labelled(g.o.Step, "exchange repository", func() error {
		return disk.Exchange(fresh, dotGit, filepath.Join(root, replacedName))
	})
	if err != nil {
		return fmt.Errorf("exchange %q and %q: %w", dotGit, fresh, err)
	}
	if err := disk.Labelled(g.o.Step, "sync repository's directory", func() error { return disk.SyncDir(root) }); err != nil {
		return err
	}
	return disk.Labelled(g.o.Step, "remove old repository", func() error {
		return errors.Join(disk.RemovePath(fresh), disk.RemovePath(filepath.Join(root, replacedName)))
	})
}

// restoreReplaced gives .git its place back, if we were killed while it had another name.
func (g *Source) restoreReplaced(root string) error {
	dotGit, replaced := filepath.Join(root, ".git"), filepath.Join(root, replacedName)
	if disk.Exists(dotGit) || !disk.Exists(replaced) {
		return nil
	}
	return disk.Labelled(g.o.Step, "restore repository", func() error { return disk.Rename(replaced, dotGit) })
}
