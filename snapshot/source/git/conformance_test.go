package git

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
)

// gitRig is a repository behind a real server.
type gitRig struct {
	*gittest.TestRepo
	base   string
	url    string
	auth   remote.Auth
	server *testbed.Valve
}

// gitServers lists the ways to reach a repository. Each sets the rig's url, auth and valve.
var gitServers = []struct {
	sourcetest.Served
	serve func(r *gitRig)
}{
	{sourcetest.Served{Name: "path", Role: sourcetest.Another, Large: true}, func(r *gitRig) { r.url = r.TestRepo.Dir }},
	{sourcetest.Served{Name: "file", Role: sourcetest.Alike}, func(r *gitRig) { r.url = "file://" + r.TestRepo.Dir }},
	{sourcetest.Served{Name: "daemon", Role: sourcetest.Chief, Large: true}, func(r *gitRig) {
		r.server = testbed.NewValve(r.T, r.DaemonAddress())
		r.url = "git://" + r.server.Address + "/" + filepath.Base(r.TestRepo.Dir)
	}},
	{sourcetest.Served{Name: "http", Role: sourcetest.Another, Large: true}, func(r *gitRig) { r.serveHTTP("") }},
	{sourcetest.Served{Name: "http with password", Role: sourcetest.Alike}, func(r *gitRig) {
		r.serveHTTP("s3cr3t")
		r.auth = remote.Auth{Username: "etch", PasswordFile: testbed.SecretFile(r.T, "s3cr3t\n")}
	}},
	{sourcetest.Served{Name: "ssh ed25519", Role: sourcetest.Another, Large: true}, func(r *gitRig) { r.serveSSH("ed25519", false) }},
	{sourcetest.Served{Name: "ssh ed25519 hashed", Role: sourcetest.Alike}, func(r *gitRig) { r.serveSSH("ed25519", true) }},
	{sourcetest.Served{Name: "ssh rsa", Role: sourcetest.Alike}, func(r *gitRig) { r.serveSSH("rsa", false) }},
	{sourcetest.Served{Name: "ssh ecdsa", Role: sourcetest.Alike}, func(r *gitRig) { r.serveSSH("ecdsa", false) }},
}

func TestGitConformance(t *testing.T) {
	t.Parallel()
	for _, server := range gitServers {
		sourcetest.Conform(t, server.Served, func(t *testing.T) sourcetest.Rig {
			r := &gitRig{TestRepo: gittest.NewEmptyRepo(t), base: t.TempDir()}
			server.serve(r)
			return r
		})
	}
}

func (r *gitRig) serveHTTP(password string) {
	r.T.Helper()
	url := r.WebServer(password)
	address, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	r.server = testbed.NewValve(r.T, address)
	r.url = "http://" + r.server.Address + "/" + path
}

func (r *gitRig) serveSSH(keyType string, hashed bool) {
	r.T.Helper()
	s := testbed.NewSSHServer(r.T, keyType)
	r.server = s.BehindValve()
	r.url = s.Url(r.TestRepo.Dir)
	r.auth = remote.Auth{SSHKey: s.Path("user"), KnownHosts: s.KnownHosts(keyType, hashed)}
}

func (r *gitRig) Can() sourcetest.Abilities {
	return sourcetest.Abilities{
		Clones: true, Local: true, Links: true, Modes: true, ModeChanges: true, Replaces: true,
		Rewrite: sourcetest.RewriteIsFollowed, History: true, Transactional: true,
	}
}

func (r *gitRig) Source(o sourcetest.RigOptions) source.Source {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	return New(Options{
		Dir: r.Dir(), URL: r.url, Branch: "main", Timeout: o.Timeout, Auth: r.auth, Edits: o.Edits(r),
	})
}

func (r *gitRig) Dir() string           { return filepath.Join(r.base, "trunk") }
func (r *gitRig) Discards() string      { return filepath.Join(r.base, "discarded") }
func (r *gitRig) Valve() *testbed.Valve { return r.server }

func (r *gitRig) Commit(edits ...testbed.Edit) {
	r.T.Helper()
	testbed.EditTree(r.T, r.TestRepo.Dir, edits)
	r.TestRepo.Commit("edit")
}

func (r *gitRig) Rewrite(edits ...testbed.Edit) {
	r.T.Helper()
	r.Git("reset", "-q", "--hard", "HEAD^")
	r.Commit(edits...)
}

func (r *gitRig) Upstream() testbed.Listing {
	r.T.Helper()
	return gittest.Archived(r.T, r.TestRepo.Dir, plumbing.NewHash(r.Newest()))
}

func (r *gitRig) Newest() string {
	r.T.Helper()
	return r.Git("rev-parse", "main")
}

func (r *gitRig) DeletePath() {
	r.T.Helper()
	r.Git("checkout", "-q", "-b", "other")
	r.Git("branch", "-q", "-D", "main")
}
