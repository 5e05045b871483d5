package svn

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// svnRepo is a repository that tests change by means of svn.
type svnRepo struct {
	t   *testing.T
	dir string // the repository

	tree   map[string]source.Mode // what stands in it then
	before map[string]source.Mode // before the last commit
	blobs  int                    // files that were written for commits

	wc string // the working copy that edit has made, or empty
	// added and executable are what svn is to be told of before anything else: a process for each takes long.
	added, executable []string
}

// newSVNRepo makes a repository with an empty directory trunk, in revision 1.
func newSVNRepo(t *testing.T) *svnRepo {
	t.Helper()
	testbed.NeedProgram(t, "svnmucc", "svn")
	testbed.NeedProgram(t, "svnadmin")
	base := t.TempDir()
	r := &svnRepo{t: t, dir: filepath.Join(base, "repo"), tree: map[string]source.Mode{}}
	r.run(base, "svnadmin", "create", r.dir)
	r.mucc(r.mkdir("trunk")...)
	return r
}

// edit returns a working copy of all of the repository, in which a test edits what commit has no words for. From then
// on all edits are made there.
func (r *svnRepo) edit() string {
	r.t.Helper()
	if r.wc == "" {
		wc := filepath.Join(filepath.Dir(r.dir), "edit")
		r.run(r.dir, "svn", "checkout", "-q", "file://"+r.dir, wc)
		r.wc = wc
	}
	return r.wc
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
	return r.run(r.edit(), "svn", append([]string{args[0], "--non-interactive"}, args[1:]...)...)
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
func (r *svnRepo) commit(edits ...testbed.Edit) string {
	r.t.Helper()
	if r.wc == "" {
		var actions []string
		r.before = maps.Clone(r.tree)
		for _, e := range edits {
			actions = append(actions, r.actions(e)...)
		}
		return r.mucc(actions...)
	}
	for _, e := range edits {
		r.apply(e)
	}
	return r.record()
}

// mucc makes one revision by commands of svnmucc, for which no working copy is needed, and returns its number. What
// commit is to know of is edited by commit alone.
func (r *svnRepo) mucc(commands ...string) string {
	r.t.Helper()
	out := r.run(r.dir, "svnmucc", append([]string{"--non-interactive", "-m", "edit", "-U", "file://" + r.dir}, commands...)...)
	number, _, _ := strings.Cut(strings.TrimPrefix(out, "r"), " ") // as in "r2 committed by root"
	return number
}

// actions are those of svnmucc that make an edit.
func (r *svnRepo) actions(e testbed.Edit) []string {
	r.t.Helper()
	path, to := "trunk/"+e.Path, "trunk/"+e.To
	was, stands := r.tree[path]
	switch {
	case e.Op == testbed.OpRemove && !stands:
		return nil
	case e.Op == testbed.OpRemove:
		r.move(path, "")
		return []string{"rm", escaped(path)}
	case e.Op == testbed.OpRename:
		actions := r.mkdir(filepath.Dir(to))
		r.move(path, to)
		return append(actions, "mv", escaped(path), escaped(to))
	case e.Op == testbed.OpMkdir:
		return r.mkdir(path)
	}
	actions := r.mkdir(filepath.Dir(path))
	if stands && (was == source.Symlink) != (e.Mode == source.Symlink) {
		actions, stands = append(actions, "rm", escaped(path)), false
	}
	r.tree[path] = e.Mode
	actions = append(actions, "put", r.blob(e), escaped(path))
	switch {
	case e.Mode == source.Symlink && !stands:
		actions = append(actions, "propset", "svn:special", "*", escaped(path))
	case e.Mode == source.Executable && (!stands || was != source.Executable):
		actions = append(actions, "propset", "svn:executable", "*", escaped(path))
	case e.Mode == source.Regular && stands && was == source.Executable:
		actions = append(actions, "propdel", "svn:executable", escaped(path))
	}
	return actions
}

// mkdir are the actions that make a directory, if there is none, and those above it.
func (r *svnRepo) mkdir(path string) (actions []string) {
	if _, ok := r.tree[path]; ok || path == "." {
		return nil
	}
	actions = r.mkdir(filepath.Dir(path))
	r.tree[path] = source.Directory
	return append(actions, "mkdir", escaped(path))
}

// move notes that what stands at a path stands at another, or nowhere if that is empty.
func (r *svnRepo) move(path, to string) {
	for file, mode := range maps.Clone(r.tree) {
		if rest, below := strings.CutPrefix(file, path); below && (rest == "" || rest[0] == '/') {
			delete(r.tree, file)
			if to != "" {
				r.tree[to+rest] = mode
			}
		}
	}
}

// blob writes the file that svnmucc is to take the contents of another from, and returns its name.
func (r *svnRepo) blob(e testbed.Edit) string {
	r.t.Helper()
	content := e.Content
	if e.Mode == source.Symlink {
		content = "link " + content // as svn keeps one
	}
	r.blobs++
	name := filepath.Join(filepath.Dir(r.dir), "blobs", strconv.Itoa(r.blobs))
	testbed.WriteTestFile(r.t, name, content)
	return name
}

// escaped is a path as it stands in a URL.
func escaped(path string) string { return (&url.URL{Path: path}).EscapedPath() }

// apply makes an edit, by svn's own commands.
func (r *svnRepo) apply(e testbed.Edit) {
	r.t.Helper()
	path := filepath.Join("trunk", e.Path)
	file := filepath.Join(r.edit(), path)
	info, err := os.Lstat(file)
	if e.Op != testbed.OpWrite {
		r.tell()
	}
	switch {
	case e.Op == testbed.OpRemove && err != nil:
		return // there is none
	case e.Op == testbed.OpRemove:
		r.svn("remove", "-q", "--force", "--", path+"@")
		return
	case e.Op == testbed.OpRename:
		r.svn("move", "-q", "--parents", "--", path+"@", filepath.Join("trunk", e.To))
		return
	case e.Op == testbed.OpMkdir:
		r.svn("mkdir", "-q", "--parents", "--", path+"@")
		return
	}
	isNew := err != nil || (info.Mode()&os.ModeSymlink != 0) != (e.Mode == source.Symlink)
	if err == nil && isNew {
		r.tell()
		r.svn("remove", "-q", "--force", "--", path+"@")
	}
	if err := e.Apply(file, ""); err != nil {
		r.t.Fatalf("editing %q: %v", path, err)
	}
	wasExecutable := !isNew && info.Mode()&0o100 != 0
	switch {
	case isNew:
		r.added = append(r.added, path+"@")
	case wasExecutable && e.Mode == source.Regular:
		r.tell()
		r.svn("propdel", "-q", "svn:executable", "--", path+"@")
	}
	if e.Mode == source.Executable && !wasExecutable {
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
			testbed.WriteTestFile(r.t, filepath.Join(r.dir, name), string(data))
		}
	}
	if r.wc == "" {
		r.tree = r.before
		return
	}
	if err := os.RemoveAll(r.wc); err != nil {
		r.t.Fatal(err)
	}
	r.run(base, "svn", "checkout", "-q", "file://"+r.dir, r.wc)
}

// export lists a directory of the newest revision, as svn exports it.
func (r *svnRepo) export(path string) testbed.Listing {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), "export")
	r.run(r.dir, "svn", "export", "-q", "file://"+r.dir+"/"+path, dir)
	return testbed.ListDir(r.t, dir)
}

// svnserve serves the repository by svn:// behind a valve, and returns the address in it. Without a password everybody
// may read.
func (r *svnRepo) svnserve(password string) *testbed.Valve {
	r.t.Helper()
	testbed.NeedProgram(r.t, "svnserve", "svn")
	conf := "[general]\nanon-access = read\n"
	if password != "" {
		conf = "[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\n"
		testbed.WriteTestFile(r.t, filepath.Join(r.dir, "conf/passwd"), "[users]\netch = "+password+"\n")
	}
	testbed.WriteTestFile(r.t, filepath.Join(r.dir, "conf/svnserve.conf"), conf)
	return testbed.NewValve(r.t, testbed.Inetd(r.t, svnEnv(), "svnserve", "-i", "-r", filepath.Dir(r.dir)))
}

// svnRig is a repository behind a real server.
type svnRig struct {
	*svnRepo
	base   string
	url    string
	auth   remote.Auth
	server *testbed.Valve
}

// svnServers lists the ways to reach a repository.
var svnServers = []struct {
	sourcetest.Served
	serve func(r *svnRig)
}{
	{sourcetest.Served{Name: "file", Role: sourcetest.Alike}, func(r *svnRig) { r.url = "file://" + r.svnRepo.dir + "/trunk" }},
	{sourcetest.Served{Name: "svnserve", Role: sourcetest.Chief, Large: true}, func(r *svnRig) { r.serveSVN("") }},
	{sourcetest.Served{Name: "svnserve with password", Role: sourcetest.Alike}, func(r *svnRig) {
		r.serveSVN("s3cr3t")
		r.auth = remote.Auth{Username: "etch", PasswordFile: testbed.SecretFile(r.t, "s3cr3t\n")}
	}},
	{sourcetest.Served{Name: "svn+ssh", Role: sourcetest.Alike}, func(r *svnRig) {
		s := testbed.NewSSHServer(r.t, "ed25519")
		r.server = s.BehindValve()
		r.url = "svn+" + s.Url(r.svnRepo.dir) + "/trunk"
		r.auth = remote.Auth{SSHKey: s.Path("user"), KnownHosts: s.KnownHosts("ed25519", true)}
	}},
}

func TestSVNConformance(t *testing.T) {
	t.Parallel()
	for _, server := range svnServers {
		sourcetest.Conform(t, server.Served, func(t *testing.T) sourcetest.Rig {
			r := &svnRig{svnRepo: newSVNRepo(t), base: t.TempDir()}
			server.serve(r)
			return r
		})
	}
}

func (r *svnRig) serveSVN(password string) {
	r.t.Helper()
	r.server = r.svnserve(password)
	r.url = "svn://" + r.server.Address + "/repo/trunk"
}

func (r *svnRig) Can() sourcetest.Abilities {
	return sourcetest.Abilities{
		Clones: true, Local: true, Links: true, Modes: true, ModeChanges: true, EmptyDirs: true, Replaces: true,
		Name: svnName, Rewrite: sourcetest.RewriteIsFollowed, History: true,
	}
}

// options are the rig's own, with those that a test has a say in.
func (r *svnRig) options(o sourcetest.RigOptions) Options {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	return Options{
		Dir: r.Dir(), Base: r.base, URL: r.url, Timeout: o.Timeout, Auth: r.auth, Edits: o.Edits(r),
	}
}

func (r *svnRig) Source(o sourcetest.RigOptions) source.Source { return New(r.options(o)) }
func (r *svnRig) Dir() string                                  { return filepath.Join(r.base, "trunk") }
func (r *svnRig) Discards() string                             { return filepath.Join(r.base, "discarded") }
func (r *svnRig) Valve() *testbed.Valve                        { return r.server }
func (r *svnRig) Upstream() testbed.Listing                    { return r.export("trunk") }
func (r *svnRig) Newest() string                               { return r.youngest() }
func (r *svnRig) Commit(edits ...testbed.Edit)                 { r.t.Helper(); r.svnRepo.commit(edits...) }
func (r *svnRig) DeletePath()                                  { r.t.Helper(); r.mucc("rm", "trunk") }

func (r *svnRig) Rewrite(edits ...testbed.Edit) {
	r.t.Helper()
	r.without()
	r.Commit(edits...)
}

// sqlite runs statements in a working copy's database.
func (r *svnRepo) sqlite(dir, statements string) {
	r.t.Helper()
	testbed.NeedProgram(r.t, "sqlite3")
	r.run(dir, "sqlite3", filepath.Join(dir, svnDir, "wc.db"), statements)
}
