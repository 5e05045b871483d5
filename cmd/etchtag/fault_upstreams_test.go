package main

import (
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// faultUpstreams are upstream repositories, each the same one in another state.
type faultUpstreams struct {
	dir  string // each is a directory in it
	http string // where they can be had over HTTP
}

// makeFaultUpstreams makes them.
func makeFaultUpstreams(t *testing.T) *faultUpstreams {
	t.Helper()
	for _, program := range []string{"git", "svn", "svnadmin", "svnmucc"} {
		if _, err := exec.LookPath(program); err != nil {
			skipUnlessCI(t, program+" is not installed")
		}
	}
	u := &faultUpstreams{dir: openDir(t)}
	cmd := exec.Command("sh", "-ec", faultUpstreamsScript)
	cmd.Dir = u.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-11-20T12:00:00Z",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-11-20T12:00:00Z")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	path, err := exec.Command("git", "--exec-path").Output()
	must(t, err)
	server := httptest.NewServer(&cgi.Handler{
		Path: filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:  []string{"GIT_PROJECT_ROOT=" + u.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	})
	t.Cleanup(server.Close)
	u.http = server.URL
	return u
}

const faultUpstreamsScript = `
git init -q -b main one; cd one; git config gc.auto 0
cat >nodes.yml <<'.'
web1.example.com: [dev]
.
echo 'web: [dev, qa]' >nodegroups.yml
echo 'a: 1' >defaults.yml
echo 'etchautotag-20261101-0100 bad' >tagstate
printf '#!/bin/sh\n' >nodegrouper; chmod +x nodegrouper
mkdir -p source/etc/empty gone to-link; echo one >source/etc/motd; ln -s motd source/etc/link
for f in gone/file to-link/file to-dir source/etc/empty/x mode; do echo $f >$f; done
git add -A; git commit -qm one; cd ..
git clone -q one two; cd two; git config gc.auto 0
echo two >source/etc/motd; rm -r gone to-link to-dir
ln -s source to-link; mkdir to-dir; echo x >to-dir/file; chmod +x mode; mkdir new; echo new >new/file
git add -A; git commit -qm two; cd ..
git clone -q one rewritten; cd rewritten; git config gc.auto 0
echo other >source/etc/motd; git commit -qa --amend -m rewritten; cd ..
git clone -q one packed; cd packed; git config gc.auto 0
mkdir many; for i in $(seq 120); do echo $i >many/$i; done
git add -A; git commit -qm many; git repack -qad; git prune-packed; cd ..
git clone -q one grown; cd grown; git config gc.auto 0
mkdir many; for i in $(seq 120); do echo $i >many/$i; done
git add -A; git commit -qm many; cd ..
git clone -q one packs; cd packs; git config gc.auto 0
for i in $(seq 52); do echo $i >count; git add count; git commit -qm $i; git repack -qd; done; git prune-packed; cd ..
git clone -q two plain; rm -rf plain/.git
svnadmin create svn; svn import -q -m 'state two' plain file://$PWD/svn; svn mkdir -q -m 'a new directory' file://$PWD/svn/more
svnadmin create joined; svnmucc -m 'with an external' -U file://$PWD/joined put plain/defaults.yml defaults.yml \
	propset svn:externals "file://$PWD/svn/source source" . >/dev/null
`

// openDir is a directory that other users may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "etchtag-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// skipUnlessCI skips a test for a reason that must not be there in CI.
func skipUnlessCI(t *testing.T, reason string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
