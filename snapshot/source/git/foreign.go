package git

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/git/wire"
	"github.com/etch/etchtag/snapshot/source/remote"
)

// At implements Source.
func (g *Source) At(dir string) source.Source {
	o := g.o
	o.Dir = dir
	return New(o)
}

// Foreign implements Source. Two URLs with one host, port and path are one upstream, whatever the protocol, the user
// and the spelling of the path's end.
func (g *Source) Foreign() (reason string, err error) {
	defer func() { reason, err = remote.Redact(reason), remote.RedactError(err) }()
	entries, err := os.ReadDir(g.o.Dir)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if !disk.Exists(filepath.Join(g.o.Dir, ".git")) && !disk.Exists(filepath.Join(g.o.Dir, replacedName)) {
		return "it is not a checkout of git", nil
	}
	recorded, err := g.recordedURL()
	if err != nil || recorded == "" || g.o.URL == "" {
		return "", nil // Update says what is wrong, and mends what can be
	}
	if sameUpstream(recorded, g.o.URL, filepath.Dir(g.o.Dir)) {
		return "", nil
	}
	return fmt.Sprintf("its upstream is %s, not %s", recorded, g.o.URL), nil
}

// recordedURL returns the URL of the remote that the checkout follows.
func (g *Source) recordedURL() (string, error) {
	root, err := filepath.EvalSymlinks(g.o.Dir)
	if err != nil {
		return "", err
	}
	r := &repository{root: root}
	if r.Location, err = repo.Find(root); err != nil {
		return "", err
	}
	r.refs = repo.Refs{Location: r.Location, Step: g.o.Step}
	if err := errors.Join(r.readConfig(), r.readHead()); err != nil {
		return "", err
	}
	return r.config.First("remote", r.remote(), "url"), nil
}

// sameUpstream reports whether two URLs lead to one repository. Relative paths start at dir.
func sameUpstream(a, b, dir string) bool {
	if a == b {
		return true
	}
	place := func(raw string) string {
		u, err := wire.ParseURL(raw, dir)
		if err != nil {
			return raw
		}
		path := strings.TrimSuffix(strings.Trim(u.Path, "/"), ".git")
		return strings.ToLower(u.Host) + ":" + u.Port + "/" + path
	}
	return place(a) == place(b)
}
