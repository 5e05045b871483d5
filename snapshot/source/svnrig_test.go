package source

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// svnRepo is a repository that tests change by means of svn.
type svnRepo struct {
	t    *testing.T
	dir  string // the repository
	edit string // a working copy of all of it, in which the tests edit

	added, executable []string // what svn is to be told of before anything else: a process for each takes long
}

// newSVNRepo makes a repository with an empty directory trunk, in revision 1.
func newSVNRepo(t *testing.T) *svnRepo {
	t.Helper()
	needProgram(t, "svn")
	needProgram(t, "svnadmin")
	base := t.TempDir()
	r := &svnRepo{t: t, dir: filepath.Join(base, "repo"), edit: filepath.Join(base, "edit")}
	r.run(base, "svnadmin", "create", r.dir)
	r.run(base, "svn", "checkout", "-q", "file://"+r.dir, r.edit)
	r.run(r.edit, "svn", "mkdir", "-q", "trunk")
	r.record()
	return r
}

// svnEnv is an environment in which nobody's configuration and no zone plays a part.
func svnEnv(extra ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC"}, extra...)
}

func (r *svnRepo) run(dir, program string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = svnEnv()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s %q: %v\n%s", program, args, err, out)
	}
	return strings.TrimRight(string(out), "\n")
}

// svn runs svn in the working copy that the tests edit.
func (r *svnRepo) svn(args ...string) string {
	r.t.Helper()
	return r.run(r.edit, "svn", append([]string{args[0], "--non-interactive"}, args[1:]...)...)
}

// record commits all changes and returns the revision's number.
func (r *svnRepo) record() string {
	r.t.Helper()
	r.tell()
	r.svn("commit", "-q", "-m", "edit", ".")
	r.svn("update", "-q", "--ignore-externals", ".")
	return r.youngest()
}

func (r *svnRepo) youngest() string {
	r.t.Helper()
	return r.run(r.dir, "svnlook", "youngest", r.dir)
}

// commit makes edits below trunk and records them.
func (r *svnRepo) commit(edits ...edit) string {
	r.t.Helper()
	for _, e := range edits {
		r.apply(e)
	}
	return r.record()
}

// apply makes an edit, by svn's own commands.
func (r *svnRepo) apply(e edit) {
	r.t.Helper()
	path := filepath.Join("trunk", e.path)
	file := filepath.Join(r.edit, path)
	info, err := os.Lstat(file)
	if e.op != opWrite {
		r.tell()
	}
	switch {
	case e.op == opRemove && err != nil:
		return // there is none
	case e.op == opRemove:
		r.svn("remove", "-q", "--force", "--", path+"@")
		return
	case e.op == opRename:
		r.svn("move", "-q", "--parents", "--", path+"@", filepath.Join("trunk", e.to))
		return
	case e.op == opMkdir:
		r.svn("mkdir", "-q", "--parents", "--", path+"@")
		return
	}
	isNew := err != nil || (info.Mode()&os.ModeSymlink != 0) != (e.mode == Symlink)
	if err == nil && isNew {
		r.tell()
		r.svn("remove", "-q", "--force", "--", path+"@")
	}
	if err := e.apply(file, ""); err != nil {
		r.t.Fatalf("editing %q: %v", path, err)
	}
	wasExecutable := !isNew && info.Mode()&0o100 != 0
	switch {
	case isNew:
		r.added = append(r.added, path+"@")
	case wasExecutable && e.mode == Regular:
		r.tell()
		r.svn("propdel", "-q", "svn:executable", "--", path+"@")
	}
	if e.mode == Executable && !wasExecutable {
		r.executable = append(r.executable, path+"@")
	}
}

// tell tells svn of the files that are new, and of those that are executable now.
func (r *svnRepo) tell() {
	r.t.Helper()
	if len(r.added) > 0 {
		args := []string{"add", "-q", "--force", "--parents", "--no-ignore", "--no-auto-props", "--"}
		r.svn(append(args, r.added...)...)
	}
	if len(r.executable) > 0 {
		r.svn(append([]string{"propset", "-q", "svn:executable", "*", "--"}, r.executable...)...)
	}
	r.added, r.executable = nil, nil
}

// without replaces the repository by one that lacks its newest revision, but has the same UUID.
func (r *svnRepo) without() {
	r.t.Helper()
	n := number(r.youngest())
	dump := r.dir + ".dump"
	r.run(r.dir, "sh", "-c", fmt.Sprintf("svnadmin dump -q -r 0:%d %q > %q", n-1, r.dir, dump))
	aside := r.dir + ".old"
	for _, err := range []error{os.RemoveAll(aside), os.Rename(r.dir, aside)} {
		if err != nil {
			r.t.Fatal(err)
		}
	}
	base := filepath.Dir(r.dir)
	r.run(base, "svnadmin", "create", r.dir)
	r.run(base, "sh", "-c", fmt.Sprintf("svnadmin load -q --force-uuid %q < %q", r.dir, dump))
	for _, name := range []string{"conf/svnserve.conf", "conf/passwd"} {
		if data, err := os.ReadFile(filepath.Join(aside, name)); err == nil {
			writeTestFile(r.t, filepath.Join(r.dir, name), string(data))
		}
	}
	if err := os.RemoveAll(r.edit); err != nil {
		r.t.Fatal(err)
	}
	r.run(base, "svn", "checkout", "-q", "file://"+r.dir, r.edit)
}

// export lists a directory of the newest revision, as svn exports it.
func (r *svnRepo) export(path string) listing {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), "export")
	r.run(r.edit, "svn", "export", "-q", "file://"+r.dir+"/"+path, dir)
	return listDir(r.t, dir)
}

// svnserve serves the repository by svn:// behind a valve, and returns the address in it. Without a password everybody
// may read.
func (r *svnRepo) svnserve(password string) *valve {
	r.t.Helper()
	needProgram(r.t, "svnserve", "svn")
	conf := "[general]\nanon-access = read\n"
	if password != "" {
		conf = "[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\n"
		writeTestFile(r.t, filepath.Join(r.dir, "conf/passwd"), "[users]\netch = "+password+"\n")
	}
	writeTestFile(r.t, filepath.Join(r.dir, "conf/svnserve.conf"), conf)
	return newValve(r.t, inetd(r.t, svnEnv(), "svnserve", "-i", "-r", filepath.Dir(r.dir)))
}

// svnRig is a repository behind a real server.
type svnRig struct {
	*svnRepo
	base   string
	url    string
	auth   Auth
	server *valve
	alike  bool // see abilities
}

// svnServers lists the ways to reach a repository.
var svnServers = []struct {
	name  string
	serve func(r *svnRig)
}{
	{"file", func(r *svnRig) { r.url = "file://" + r.svnRepo.dir + "/trunk" }},
	{"svnserve", func(r *svnRig) { r.serveSVN("") }},
	{"svnserve with password", func(r *svnRig) {
		r.serveSVN("s3cr3t")
		r.auth = Auth{Username: "etch", PasswordFile: secretFile(r.t, "s3cr3t\n")}
	}},
	{"svn+ssh", func(r *svnRig) {
		s := newSSHServer(r.t, "ed25519")
		r.server = s.behindValve()
		r.url = "svn+" + s.url(r.svnRepo.dir) + "/trunk"
		r.auth = Auth{SSHKey: s.path("user"), KnownHosts: s.knownHosts("ed25519", true)}
	}},
}

func TestSVNConformance(t *testing.T) {
	for _, server := range svnServers {
		makeRig := func(t *testing.T) rig {
			r := &svnRig{svnRepo: newSVNRepo(t), base: t.TempDir(), alike: server.name != "svnserve"}
			server.serve(r)
			return r
		}
		t.Run(server.name, func(t *testing.T) {
			conform(t, makeRig)
			if server.name == "svnserve" {
				t.Run("100 MB", func(t *testing.T) { conformLarge(t, makeRig) })
			}
		})
	}
}

func (r *svnRig) serveSVN(password string) {
	r.t.Helper()
	r.server = r.svnserve(password)
	r.url = "svn://" + r.server.address + "/repo/trunk"
}

func (r *svnRig) can() abilities {
	return abilities{
		clones: true, local: true, links: true, modes: true, modeChanges: true, emptyDirs: true, replaces: true,
		name: svnName, rewrite: rewriteIsFollowed, history: true, alike: r.alike,
	}
}

// options are the rig's own, with those that a test has a say in.
func (r *svnRig) options(o rigOptions) SVNOptions {
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	return SVNOptions{
		Dir: r.dir(), Base: r.base, URL: r.url, Timeout: o.timeout, Auth: r.auth, Discard: r.discards(),
		BeforeReplace: o.beforeReplace, Step: o.step, Now: func() time.Time { return theTime },
	}
}

func (r *svnRig) source(o rigOptions) Source { return NewSVN(r.options(o)) }
func (r *svnRig) dir() string                { return filepath.Join(r.base, "trunk") }
func (r *svnRig) discards() string           { return filepath.Join(r.base, "discarded") }
func (r *svnRig) valve() *valve              { return r.server }
func (r *svnRig) upstream() listing          { return r.export("trunk") }
func (r *svnRig) newest() string             { return r.youngest() }
func (r *svnRig) commit(edits ...edit)       { r.t.Helper(); r.svnRepo.commit(edits...) }
func (r *svnRig) deletePath()                { r.svn("remove", "-q", "trunk"); r.record() }

func (r *svnRig) rewrite(edits ...edit) {
	r.t.Helper()
	r.without()
	r.commit(edits...)
}

// sqlite runs statements in a working copy's database.
func (r *svnRepo) sqlite(dir, statements string) {
	r.t.Helper()
	needProgram(r.t, "sqlite3")
	r.run(dir, "sqlite3", filepath.Join(dir, svnDir, "wc.db"), statements)
}
