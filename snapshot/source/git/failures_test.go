package git

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/testbed"
)

// snapshotOf describes a working copy, to see that nothing was changed.
func (c *workingCopy) snapshotOf() string {
	c.t.Helper()
	var b strings.Builder
	b.WriteString(gittest.RunGit(c.t, c.dir, 0, "for-each-ref") + "\n" + gittest.RunGit(c.t, c.dir, 0, "rev-parse", "HEAD") + "\n")
	err := filepath.Walk(c.dir, func(path string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		if path == c.dir || strings.HasPrefix(path, filepath.Join(c.dir, ".git")) {
			return nil
		}
		b.WriteString(path + info.Mode().String() + info.ModTime().String() + "\n")
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return b.String()
}

func TestUpstreamThatIsNotAsItWasIsAnErrorThatChangesNothing(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		harm func(r *gittest.TestRepo)
		says []string
	}{
		{"branch deleted", func(r *gittest.TestRepo) {
			r.Git("branch", "other")
			r.Git("branch", "another")
			r.Git("checkout", "-q", "other")
			r.Git("branch", "-D", "main")
		}, []string{`"main"`, `"another"`, `"other"`}},
		{"emptied", func(r *gittest.TestRepo) {
			r.Git("update-ref", "-d", "refs/heads/main")
		}, []string{"empty"}},
		{"gone", func(r *gittest.TestRepo) {
			if err := os.Rename(r.Dir, r.Dir+"-elsewhere"); err != nil {
				r.T.Fatal(err)
			}
		}, nil},
		{"no repository any more", func(r *gittest.TestRepo) {
			if err := os.Rename(filepath.Join(r.Dir, ".git"), filepath.Join(r.Dir, "x")); err != nil {
				r.T.Fatal(err)
			}
		}, nil},
	} {
		for _, transport := range runtest.Pick(transports, len(transports), 1) {
			t.Run(test.name+"/"+transport.name, func(t *testing.T) {
				t.Parallel()
				r := gittest.NewTestRepo(t)
				url, change := transport.serve(t, r)
				c := cloned(t, url, change)
				before := c.snapshotOf()
				current, err := c.Current(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				test.harm(r)
				err = c.updateFails(append(test.says, remote.Redact(url))...)
				t.Log(err)
				if after := c.snapshotOf(); after != before {
					t.Errorf("the failed update changed\n%s\nto\n%s", before, after)
				}
				if now, err := c.Current(context.Background()); err != nil || now != current {
					t.Errorf("Current is %v, %v, was %v", now, err, current)
				}
			})
		}
	}
}

func TestCloneOfWhatIsNotThereLeavesNothing(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	empty := filepath.Join(t.TempDir(), "empty.git")
	gittest.RunGit(t, "/", 0, "init", "-q", "--bare", empty)
	for url, says := range map[string]string{
		"/nonexistent/repository":        "/nonexistent/repository",
		empty:                            "empty",
		t.TempDir():                      "no git repository",
		"git://127.0.0.1:1/r":            "127.0.0.1:1",
		"http://127.0.0.1:1/r":           "127.0.0.1:1",
		"ssh://u@127.0.0.1:1/r":          "127.0.0.1:1",
		"https://u:secret@127.0.0.1:1/r": "127.0.0.1:1",
		"ftp://example.com/r":            "scheme",
		"":                               "empty",
	} {
		c := newWorkingCopy(t, url, func(o *Options) { o.Auth.SSHKey = testbed.TestSSHKey(t) })
		_, err := c.Clone(context.Background())
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v", url, err)
		}
		if left, _ := os.ReadDir(filepath.Dir(c.dir)); len(left) > 0 {
			t.Errorf("%s: left %v", url, left)
		}
	}
}

func TestCloneIntoADirectoryThatIsNotEmptyIsRefused(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := newWorkingCopy(t, r.Dir)
	testbed.WriteTestFile(t, filepath.Join(c.dir, "precious"), "x")
	c.cloneFails("not empty")
	if left, _ := os.ReadDir(c.dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	if err := os.Remove(filepath.Join(c.dir, "precious")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Clone(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.is(r, "main")
}

func TestDirectoryThatIsNoCheckoutIsRefused(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	c := newWorkingCopy(t, r.Dir)
	c.updateFails("trunk")
	testbed.WriteTestFile(t, filepath.Join(c.dir, "file"), "x")
	c.updateFails("trunk", ".git")
	if _, err := c.Current(context.Background()); err == nil {
		t.Error("Current succeeded")
	}
}

// adv is the beginning of an answer of git-upload-pack.
const adv = "003f" + gittest.HashA + " refs/heads/main\x00 \n"

func TestServerThatHangsEndsByTheDeadline(t *testing.T) {
	t.Parallel()
	const web = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n" +
		"Content-Type: application/x-git-upload-pack-advertisement\r\n\r\n"
	for _, test := range []struct{ name, scheme, says string }{
		{"silent", "git", ""},
		{"half a length", "git", "00"},
		{"half a list of refs", "git", adv},
		{"no pack", "git", adv + "0000"},
		{"half a pack", "git", adv + "0000" + "0008NAK\nPACK\x00\x00\x00\x02\x00\x00\x00\x05"},
		{"silent", "http", ""},
		{"half a header", "http", web[:20]},
		{"half a list of refs", "http", web + "001e# service=git-upload-pack\n0000"},
		{"silent", "ssh", ""},
		{"half a greeting", "ssh", "SSH-2.0-Open"},
		{"a greeting", "ssh", "SSH-2.0-OpenSSH_9.2\r\n"},
	} {
		t.Run(test.scheme+"/"+test.name, func(t *testing.T) {
			t.Parallel()
			c := newWorkingCopy(t, test.scheme+"://"+testbed.HungServer(t, test.says)+"/r", func(o *Options) {
				o.Timeout = 300 * time.Millisecond
				o.Branch = "main"
				o.Auth.SSHKey = testbed.TestSSHKey(t)
			})
			_, err := c.Clone(context.Background())
			if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "300ms") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestHungServerEndsWhenTheContextDoes(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"git", "http", "ssh"} {
		ctx, cancel := context.WithCancel(context.Background())
		c := newWorkingCopy(t, scheme+"://"+testbed.HungServer(t, "")+"/r", func(o *Options) {
			o.Timeout = 0
			o.Auth.SSHKey = testbed.TestSSHKey(t)
		})
		done := make(chan error)
		go func() {
			_, err := c.Clone(ctx)
			done <- err
		}()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", scheme, err)
		}
	}
}

func TestWebPageIsNotTakenForARepository(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<!DOCTYPE html><title>Sign in</title>"))
	}))
	defer server.Close()
	c := newWorkingCopy(t, server.URL+"/r")
	c.cloneFails("not git's protocol")

	// Nor are a repository's files, which git's old protocol over HTTP reads one by one.
	r := gittest.NewTestRepo(t)
	r.Git("update-server-info")
	files := httptest.NewServer(http.FileServer(http.Dir(r.Dir)))
	defer files.Close()
	c = newWorkingCopy(t, files.URL+"/.git")
	c.cloneFails("not git's protocol")
}

func TestRepositoryWithOtherObjectNamesIsRefused(t *testing.T) {
	t.Parallel()
	testbed.NeedProgram(t, "git")
	dir := filepath.Join(t.TempDir(), "upstream")
	gittest.RunGit(t, "/", 0, "init", "-q", "--object-format=sha256", dir)
	gittest.RunGit(t, dir, 0, "commit", "-q", "--allow-empty", "-m", "x")
	r := &gittest.TestRepo{T: t, Dir: dir}
	for _, url := range []string{dir, r.Daemon(), r.WebServer("")} {
		c := newWorkingCopy(t, url)
		c.cloneFails("sha256")
	}
	c := newWorkingCopy(t, "")
	gittest.RunGit(t, "/", 0, "clone", "-q", dir, c.dir)
	c.updateFails("extensions.objectformat = sha256")
}

func TestShallowUpstreamIsRefused(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Grow(3)
	shallow := &gittest.TestRepo{T: t, Dir: filepath.Join(t.TempDir(), "shallow")}
	gittest.RunGit(t, "/", 0, "clone", "-q", "--depth=1", "file://"+r.Dir, shallow.Dir)
	for _, url := range []string{shallow.Dir, shallow.Daemon(), shallow.WebServer("")} {
		c := newWorkingCopy(t, url)
		c.cloneFails("shallow")
	}
}
