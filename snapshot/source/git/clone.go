package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/git/wire"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// Clone makes the working copy from upstream, in a directory that does not exist or is empty. It is
// built beside its place and renamed when it is whole.
func (g *Source) Clone(ctx context.Context) (out source.Outcome, err error) {
	defer func() { err = remote.RedactError(err) }()
	root, err := workcopy.ClonePlace(g.o.Dir)
	if err != nil {
		return source.Outcome{}, err
	}
	u, err := wire.ParseURL(g.o.URL, filepath.Dir(root))
	if err != nil {
		return source.Outcome{}, err
	}
	rawURL := g.o.URL
	if u.Scheme == "file" {
		rawURL = u.Path
	}
	stays := workcopy.SweepPrefix(filepath.Dir(root), workcopy.ClonePrefix(root), g.o.Step)
	temp, err := workcopy.NewCloneDir(root, g.o.Step)
	if err != nil {
		return source.Outcome{}, err
	}
	defer disk.RemovePath(temp)
	out, err = g.cloneInto(ctx, temp, rawURL)
	out.Warnings = append(stays, out.Warnings...)
	if err != nil {
		return source.Outcome{}, fmt.Errorf("clone into %q: %w", g.o.Dir, err)
	}
	return out, workcopy.PlaceClone(temp, root, g.o.Step)
}

// cloneInto makes a whole working copy in an empty directory.
func (g *Source) cloneInto(ctx context.Context, dir, rawURL string) (out source.Outcome, err error) {
	gitDir := filepath.Join(dir, ".git")
	r := &repository{root: dir, Location: repo.Location{GitDir: gitDir, CommonDir: gitDir}, config: newConfig(rawURL), fresh: true}
	r.refs = repo.Refs{Location: r.Location, Step: g.o.Step}
	err = disk.Labelled(g.o.Step, "write repository", func() error {
		return errors.Join(disk.Chmod(dir, 0o755), initRepository(gitDir, r.config))
	})
	if err != nil {
		return out, err
	}
	clone := *g
	clone.o.URL = rawURL
	f, err := clone.fetch(ctx, r)
	if err != nil {
		return out, err
	}
	out, err = clone.apply(ctx, r, f)
	if strings.Contains(remote.Redact(rawURL), "***") {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the URL holds a password or token, which is now in %q: "+
			"a password or token file is safer", filepath.Join(g.o.Dir, ".git", "config")))
	}
	return out, err
}

// newConfig is the configuration of a fresh clone.
func newConfig(rawURL string) repo.Config {
	return repo.Config{
		{Section: "core", Sub: "", Key: "repositoryformatversion", Value: "0"},
		{Section: "core", Sub: "", Key: "filemode", Value: "true"},
		{Section: "core", Sub: "", Key: "bare", Value: "false"},
		{Section: "core", Sub: "", Key: "logallrefupdates", Value: "true"},
		{Section: "remote", Sub: "origin", Key: "url", Value: rawURL},
		{Section: "remote", Sub: "origin", Key: "fetch", Value: "+refs/heads/*:refs/remotes/origin/*"},
	}
}

// recordTracking makes the configuration say what the local branch follows, if it does not say
// anything of it: "git status" then compares the two.
func (g *Source) recordTracking(r *repository, f follow) error {
	local := strings.TrimPrefix(f.local, repo.HeadsPrefix)
	var missing repo.Config
	if len(r.config.Remotes()) == 0 && r.remote() == "origin" && !strings.Contains(remote.Redact(g.o.URL), "***") {
		missing = append(missing,
			repo.Setting{Section: "remote", Sub: "origin", Key: "url", Value: g.o.URL},
			repo.Setting{Section: "remote", Sub: "origin", Key: "fetch", Value: "+refs/heads/*:refs/remotes/origin/*"})
	}
	if r.config.Get("branch", local, "merge") == "" {
		missing = append(missing,
			repo.Setting{Section: "branch", Sub: local, Key: "remote", Value: r.remote()},
			repo.Setting{Section: "branch", Sub: local, Key: "merge", Value: repo.HeadsPrefix + f.upstream})
	}
	if len(missing) == 0 {
		return nil
	}
	file := filepath.Join(r.CommonDir, "config")
	data, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(data) > 0 && data[len(data)-1] != '\n' {
		data = append(data, '\n')
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	if err := disk.Replace("config", r.CommonDir, file, append(data, missing.String()...), mode, g.o.Step); err != nil {
		return fmt.Errorf("record what the branch %q follows: %w", local, err)
	}
	r.config = append(r.config, missing...)
	return nil
}
