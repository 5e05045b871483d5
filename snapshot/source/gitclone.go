package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
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
	g.sweepPrefix(filepath.Dir(root), clonePrefix(root))
	var temp string
	err = labelled(g.o.Step, "create clone", func() (err error) {
		temp, err = os.MkdirTemp(filepath.Dir(root), clonePrefix(root)+"*")
		return err
	})
	if err != nil {
		return Outcome{}, fmt.Errorf("making room for the clone: %w", err)
	}
	defer os.RemoveAll(temp)
	out, err = g.cloneInto(ctx, temp, rawURL)
	if err != nil {
		return Outcome{}, fmt.Errorf("cloning into %q: %w", g.o.Dir, err)
	}
	return out, g.place(temp, root)
}

// cloneInto makes a whole working copy in an empty directory.
func (g *Git) cloneInto(ctx context.Context, dir, rawURL string) (out Outcome, err error) {
	if err := os.Chmod(dir, 0o755); err != nil {
		return out, err
	}
	gitDir := filepath.Join(dir, ".git")
	if err := makeDirs(gitDir); err != nil {
		return out, err
	}
	r := &repository{root: dir, gitLayout: gitLayout{gitDir, gitDir}, config: newConfig(rawURL)}
	r.refs = gitRefs{r.gitLayout, g.o.Step}
	err = labelled(g.o.Step, "write repository", func() error { return initRepository(gitDir, r.config) })
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

// clonePlace checks that a clone may be made at dir, and follows a link.
func clonePlace(dir string) (string, error) {
	root := dir
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		root = resolved
	}
	entries, err := os.ReadDir(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return root, nil
	case err != nil:
		return "", fmt.Errorf("cloning into %q: %w", dir, err)
	case len(entries) > 0:
		return "", fmt.Errorf("cloning into %q: the directory is not empty", dir)
	}
	return root, nil
}

// place moves a whole clone to where it belongs.
func (g *Git) place(temp, root string) error {
	if err := labelled(g.o.Step, "sync clone", func() error { return flushFS(temp) }); err != nil {
		return err
	}
	err := labelled(g.o.Step, "rename clone", func() error { return unix.Rename(temp, root) })
	if err != nil {
		return fmt.Errorf("moving the clone into place: %w", err)
	}
	return fsyncDir(filepath.Dir(root))
}

// clonePrefix begins the name of a clone that is being built for root.
func clonePrefix(root string) string { return "." + filepath.Base(root) + ".clone-" }

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
	if err := replaceDurably(r.commonDir, file, append(data, missing.String()...), mode, g.o.Step); err != nil {
		return fmt.Errorf("recording what the branch %q follows: %w", local, err)
	}
	r.config = append(r.config, missing...)
	return nil
}
