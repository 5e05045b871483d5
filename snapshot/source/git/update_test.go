package git

import (
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// transports lists the ways to reach a test repository.
var transports = []struct {
	name  string
	serve func(t *testing.T, r *gittest.TestRepo) (url string, change func(*Options))
}{
	{"path", func(_ *testing.T, r *gittest.TestRepo) (string, func(*Options)) {
		return r.Dir, func(*Options) {}
	}},
	{"file", func(_ *testing.T, r *gittest.TestRepo) (string, func(*Options)) {
		return "file://" + r.Dir, func(*Options) {}
	}},
	{"git", func(_ *testing.T, r *gittest.TestRepo) (string, func(*Options)) {
		return r.Daemon(), func(*Options) {}
	}},
	{"http", func(_ *testing.T, r *gittest.TestRepo) (string, func(*Options)) {
		return r.WebServer(""), func(*Options) {}
	}},
	{"ssh", func(t *testing.T, r *gittest.TestRepo) (string, func(*Options)) {
		s := testbed.NewSSHServer(t, "ed25519")
		return s.Url(r.Dir), func(o *Options) {
			o.Auth.SSHKey = s.Path("user")
			o.Auth.KnownHosts = s.KnownHosts("ed25519", false)
		}
	}},
}

func TestGitClonesAndFollowsEveryCommitOverEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range runtest.Pick(transports, len(transports), 1) {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(3)
			url, change := transport.serve(t, r)
			c := cloned(t, url, change)
			c.is(r, "main")
			for range 3 {
				before := r.Git("rev-parse", "main")
				r.Grow(1)
				out := c.update()
				want := r.Git("rev-parse", "main")
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
