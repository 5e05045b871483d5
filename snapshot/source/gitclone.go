package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Clone makes the working copy from upstream, in a directory that does not exist or is empty. It is
// built beside its place and renamed when it is whole.
func (g *Git) Clone(ctx context.Context) (out Outcome, err error) {
	defer func() { err = redactError(err) }()
	root, err := clonePlace(g.o.Dir)
	if err != nil {
		return Outcome{}, err
	}
	u, err := parseGitURL(g.o.URL, filepath.Dir(root))
	if err != nil {
		return Outcome{}, err
	}
	rawURL := g.o.URL
	if u.scheme == "file" {
		rawURL = u.path
	}
	stays := sweepPrefix(filepath.Dir(root), clonePrefix(root), g.o.Step)
	temp, err := newCloneDir(root, g.o.Step)
	if err != nil {
		return Outcome{}, err
	}
	defer RemovePath(temp)
	out, err = g.cloneInto(ctx, temp, rawURL)
	out.Warnings = append(stays, out.Warnings...)
	if err != nil {
		return Outcome{}, fmt.Errorf("cloning into %q: %w", g.o.Dir, err)
	}
	return out, placeClone(temp, root, g.o.Step)
}

// cloneInto makes a whole working copy in an empty directory.
func (g *Git) cloneInto(ctx context.Context, dir, rawURL string) (out Outcome, err error) {
	gitDir := filepath.Join(dir, ".git")
	r := &repository{root: dir, gitLayout: gitLayout{gitDir, gitDir}, config: newConfig(rawURL), fresh: true}
	r.refs = gitRefs{r.gitLayout, g.o.Step}
	err = labelled(g.o.Step, "write repository", func() error {
		return errors.Join(os.Chmod(dir, 0o755), initRepository(gitDir, r.config))
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
	if strings.Contains(redact(rawURL), "***") {
		out.Warnings = append(out.Warnings, fmt.Sprintf("the URL holds a password or token, which is now in %q: "+
			"a password or token file is safer", filepath.Join(g.o.Dir, ".git", "config")))
	}
	return out, err
}

// newConfig is the configuration of a fresh clone.
func newConfig(rawURL string) gitConfig {
	return gitConfig{
		{"core", "", "repositoryformatversion", "0"},
		{"core", "", "filemode", "true"},
		{"core", "", "bare", "false"},
		{"core", "", "logallrefupdates", "true"},
		{"remote", "origin", "url", rawURL},
		{"remote", "origin", "fetch", "+refs/heads/*:refs/remotes/origin/*"},
	}
}

// recordTracking makes the configuration say what the local branch follows, if it does not say
// anything of it: "git status" then compares the two.
func (g *Git) recordTracking(r *repository, f follow) error {
	local := strings.TrimPrefix(f.local, headsPrefix)
	var missing gitConfig
	if len(r.config.remotes()) == 0 && r.remote() == "origin" && !strings.Contains(redact(g.o.URL), "***") {
		missing = append(missing,
			gitSetting{"remote", "origin", "url", g.o.URL},
			gitSetting{"remote", "origin", "fetch", "+refs/heads/*:refs/remotes/origin/*"})
	}
	if r.config.get("branch", local, "merge") == "" {
		missing = append(missing,
			gitSetting{"branch", local, "remote", r.remote()},
			gitSetting{"branch", local, "merge", headsPrefix + f.upstream})
	}
	if len(missing) == 0 {
		return nil
	}
	file := filepath.Join(r.commonDir, "config")
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
	if err := replaceDurably("config", r.commonDir, file, append(data, missing.String()...), mode, g.o.Step); err != nil {
		return fmt.Errorf("recording what the branch %q follows: %w", local, err)
	}
	r.config = append(r.config, missing...)
	return nil
}
