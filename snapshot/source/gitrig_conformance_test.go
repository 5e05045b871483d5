package source

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
)

// gitRig is a repository behind a real server.
type gitRig struct {
	*testRepo
	base   string
	url    string
	auth   Auth
	server *valve
}

// gitServers lists the ways to reach a repository. Each sets the rig's url, auth and valve.
var gitServers = []struct {
	served
	serve func(r *gitRig)
}{
	{served{"path", another, true}, func(r *gitRig) { r.url = r.testRepo.dir }},
	{served{"file", alike, false}, func(r *gitRig) { r.url = "file://" + r.testRepo.dir }},
	{served{"daemon", chief, true}, func(r *gitRig) {
		r.server = newValve(r.t, r.daemonAddress())
		r.url = "git://" + r.server.address + "/" + filepath.Base(r.testRepo.dir)
	}},
	{served{"http", another, true}, func(r *gitRig) { r.serveHTTP("") }},
	{served{"http with password", alike, false}, func(r *gitRig) {
		r.serveHTTP("s3cr3t")
		r.auth = Auth{Username: "etch", PasswordFile: secretFile(r.t, "s3cr3t\n")}
	}},
	{served{"ssh ed25519", another, true}, func(r *gitRig) { r.serveSSH("ed25519", false) }},
	{served{"ssh ed25519 hashed", alike, false}, func(r *gitRig) { r.serveSSH("ed25519", true) }},
	{served{"ssh rsa", alike, false}, func(r *gitRig) { r.serveSSH("rsa", false) }},
	{served{"ssh ecdsa", alike, false}, func(r *gitRig) { r.serveSSH("ecdsa", false) }},
}

func TestGitConformance(t *testing.T) {
	t.Parallel()
	for _, server := range gitServers {
		conform(t, server.served, func(t *testing.T) rig {
			r := &gitRig{testRepo: newEmptyRepo(t), base: t.TempDir()}
			server.serve(r)
			return r
		})
	}
}

func (r *gitRig) serveHTTP(password string) {
	r.t.Helper()
	url := r.webServer(password)
	address, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	r.server = newValve(r.t, address)
	r.url = "http://" + r.server.address + "/" + path
}

func (r *gitRig) serveSSH(keyType string, hashed bool) {
	r.t.Helper()
	s := newSSHServer(r.t, keyType)
	r.server = s.behindValve()
	r.url = s.url(r.testRepo.dir)
	r.auth = Auth{SSHKey: s.path("user"), KnownHosts: s.knownHosts(keyType, hashed)}
}

func (r *gitRig) can() abilities {
	return abilities{
		clones: true, local: true, links: true, modes: true, modeChanges: true, replaces: true,
		rewrite: rewriteIsFollowed, history: true, transactional: true,
	}
}

func (r *gitRig) source(o rigOptions) Source {
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	return NewGit(GitOptions{
		Dir: r.dir(), URL: r.url, Branch: "main", Timeout: o.timeout, Auth: r.auth, Discard: r.discards(),
		BeforeReplace: o.beforeReplace, Step: o.step, Now: func() time.Time { return theTime },
	})
}

func (r *gitRig) dir() string      { return filepath.Join(r.base, "trunk") }
func (r *gitRig) discards() string { return filepath.Join(r.base, "discarded") }
func (r *gitRig) valve() *valve    { return r.server }

func (r *gitRig) commit(edits ...edit) {
	r.t.Helper()
	editTree(r.t, r.testRepo.dir, edits)
	r.testRepo.commit("edit")
}

func (r *gitRig) rewrite(edits ...edit) {
	r.t.Helper()
	r.git("reset", "-q", "--hard", "HEAD^")
	r.commit(edits...)
}

func (r *gitRig) upstream() listing {
	r.t.Helper()
	return archived(r.t, r.testRepo.dir, plumbing.NewHash(r.newest()))
}

func (r *gitRig) newest() string {
	r.t.Helper()
	return r.git("rev-parse", "main")
}

func (r *gitRig) deletePath() {
	r.t.Helper()
	r.git("checkout", "-q", "-b", "other")
	r.git("branch", "-q", "-D", "main")
}
