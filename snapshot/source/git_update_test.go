package source

import (
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
)

// transports lists the ways to reach a test repository.
var transports = []struct {
	name  string
	serve func(t *testing.T, r *testRepo) (url string, change func(*GitOptions))
}{
	{"path", func(_ *testing.T, r *testRepo) (string, func(*GitOptions)) {
		return r.dir, func(*GitOptions) {}
	}},
	{"file", func(_ *testing.T, r *testRepo) (string, func(*GitOptions)) {
		return "file://" + r.dir, func(*GitOptions) {}
	}},
	{"git", func(_ *testing.T, r *testRepo) (string, func(*GitOptions)) {
		return r.daemon(), func(*GitOptions) {}
	}},
	{"http", func(_ *testing.T, r *testRepo) (string, func(*GitOptions)) {
		return r.webServer(""), func(*GitOptions) {}
	}},
	{"ssh", func(t *testing.T, r *testRepo) (string, func(*GitOptions)) {
		s := newSSHServer(t, "ed25519")
		return s.url(r.dir), func(o *GitOptions) {
			o.Auth.SSHKey = s.path("user")
			o.Auth.KnownHosts = s.knownHosts("ed25519", false)
		}
	}},
}

func TestGitClonesAndFollowsEveryCommitOverEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range runtest.Pick(transports, len(transports), 2) {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			r := newTestRepo(t)
			r.grow(3)
			url, change := transport.serve(t, r)
			c := cloned(t, url, change)
			c.is(r, "main")
			for range 3 {
				before := r.git("rev-parse", "main")
				r.grow(1)
				out := c.update()
				want := r.git("rev-parse", "main")
				if out.Revision.ID != want || out.Previous != before || out.Rewritten {
					t.Errorf("outcome %+v, want revision %s after %s", out, want, before)
				}
				c.is(r, "main")
			}
			if out := c.update(); out.Changed != 0 || len(out.Warnings) != 0 {
				t.Errorf("an update with nothing new: %+v", out)
			}
		})
	}
}
