package cvs

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"github.com/etch/etchtag/snapshot/testbed"
)

const (
	// cvsModule is the directory in the repository that the tests follow.
	cvsModule = "etch/trunk"

	cvsPassword = "s3cr3t pa$$word"
	// cvsPasswordHash is what crypt(3) makes of it.
	cvsPasswordHash = "$1$etchtag1$nn1Y0GyhfBOjtWDg7v77Q1"
)

// cvsRig is a CVS repository behind a real server. It writes the repository's files itself, in the format of
// rcsfile(5): for each commit the client would wait for the clock's next second.
type cvsRig struct {
	t      *testing.T
	base   string
	repo   string
	state  cvsState
	before cvsState // the same before the last commit
	ticks  int      // commits made: each is a minute after the one before
	url    string
	auth   remote.Auth
	server *testbed.Valve
}

// cvsState is what upstream has.
type cvsState struct {
	tree    map[string]testbed.Edit  // what the newest revision's files were written by
	history map[string][]rcsRevision // of all files that there ever were, oldest first
}

func (s cvsState) clone() cvsState {
	history := map[string][]rcsRevision{}
	for path, revisions := range s.history {
		history[path] = slices.Clip(revisions)
	}
	return cvsState{maps.Clone(s.tree), history}
}

// apply makes an edit of the tree.
func (s cvsState) apply(e testbed.Edit) {
	if e.Op == testbed.OpWrite {
		s.tree[e.Path] = e
		return
	}
	for path, file := range maps.Clone(s.tree) {
		if path != e.Path && !strings.HasPrefix(path, e.Path+"/") {
			continue
		}
		delete(s.tree, path)
		if e.Op == testbed.OpRename {
			s.tree[e.To+strings.TrimPrefix(path, e.Path)] = file
		}
	}
}

// rcsRevision is one revision of a file.
type rcsRevision struct {
	tick    int
	dead    bool
	content string
}

// cvsServers lists the ways to reach a repository. Each sets the rig's url, auth and valve.
var cvsServers = []struct {
	sourcetest.Served
	serve func(r *cvsRig)
}{
	{sourcetest.Served{Name: "local", Role: sourcetest.Another}, func(r *cvsRig) { r.url = ":local:" + r.repo }},
	{sourcetest.Served{Name: "pserver", Role: sourcetest.Chief, Large: true}, func(r *cvsRig) { r.servePassword(cvsPassword) }},
	{sourcetest.Served{Name: "ext", Role: sourcetest.Alike, Large: true}, func(r *cvsRig) { r.serveSSH("ed25519") }},
}

func TestCVSConformance(t *testing.T) {
	t.Parallel()
	for _, server := range cvsServers {
		sourcetest.Conform(t, server.Served, func(t *testing.T) sourcetest.Rig {
			r := newCVSRig(t)
			server.serve(r)
			return r
		})
	}
}

func (r *cvsRig) Can() sourcetest.Abilities {
	return sourcetest.Abilities{
		Clones: true, Local: true, Modes: true, Replaces: true, Rewrite: sourcetest.RewriteIsFollowed, History: true,
		Name: func(name string) bool {
			return !strings.Contains(name, "\n") && !workcopy.IsMetadata(name) && len(name) <= maxCVSName
		},
	}
}

// maxCVSName is how long a file's name may be: the server locks NAME,v as ",NAME,".
const maxCVSName = 253

// newCVSRig makes a repository in which the module is an empty directory.
func newCVSRig(t *testing.T) *cvsRig {
	t.Helper()
	testbed.NeedProgram(t, "cvs")
	r := &cvsRig{t: t, base: t.TempDir(), state: cvsState{map[string]testbed.Edit{}, map[string][]rcsRevision{}}}
	r.repo = filepath.Join(r.base, "cvs root")
	r.url = r.repo
	r.cvs(r.base, "init")
	// The server may run as another user.
	locks := filepath.Join(r.base, "locks")
	err := errors.Join(os.Chmod(filepath.Dir(r.base), 0o755), os.Mkdir(locks, 0o755), os.Chmod(locks, 0o777),
		os.Remove(filepath.Join(r.repo, "CVSROOT/history")), os.MkdirAll(filepath.Join(r.repo, cvsModule), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	testbed.WriteTestFile(t, filepath.Join(r.repo, "CVSROOT/config"), "LockDir="+locks+"\n")
	return r
}

// cvs runs the client as somebody who works upstream.
func (r *cvsRig) cvs(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("cvs", append([]string{"-f", "-Q", "-d", r.repo}, args...)...)
	cmd.Dir = dir
	cmd.Env = testbed.GitEnv("LOGNAME=upstream", "USER=upstream")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("cvs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// servePassword serves the repository by pserver to the user "etch", whose password is cvsPassword. The client is
// given another one only to be refused.
func (r *cvsRig) servePassword(password string) {
	r.t.Helper()
	system := "nobody" // no server of CVS's runs as root
	if os.Getuid() != 0 {
		system = testbed.CurrentUser(r.t)
	}
	// The client finds no password for a path with a blank.
	repo := filepath.Join(r.base, "cvsroot")
	if err := os.Rename(r.repo, repo); err != nil {
		r.t.Fatal(err)
	}
	r.repo = repo
	line := fmt.Sprintf("etch:%s:%s\n", cvsPasswordHash, system)
	testbed.WriteTestFile(r.t, filepath.Join(r.repo, "CVSROOT/passwd"), line)
	r.server = testbed.NewValve(r.t, testbed.Inetd(r.t, testbed.GitEnv(), "cvs", "-f", "--allow-root="+r.repo, "pserver"))
	r.url = ":pserver:etch@" + r.server.Address + r.repo
	r.auth = remote.Auth{PasswordFile: testbed.SecretFile(r.t, password+"\n")}
}

// serveSSH serves the repository by ssh.
func (r *cvsRig) serveSSH(keyType string) {
	r.t.Helper()
	s := testbed.NewSSHServer(r.t, keyType)
	r.server = s.BehindValve()
	_, port, _ := net.SplitHostPort(r.server.Address)
	r.url = fmt.Sprintf(":ext:%s@127.0.0.1:%s%s", testbed.CurrentUser(r.t), port, r.repo)
	r.auth = remote.Auth{SSHKey: s.Path("user"), KnownHosts: s.KnownHosts(keyType, true)}
}

func (r *cvsRig) Source(o sourcetest.RigOptions) source.Source {
	return New(r.options(o))
}

func (r *cvsRig) options(o sourcetest.RigOptions) Options {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	return Options{
		Dir: r.Dir(), URL: r.url, Module: cvsModule, Timeout: o.Timeout, Auth: r.auth, Edits: o.Edits(r),
	}
}

func (r *cvsRig) Dir() string           { return filepath.Join(r.base, "trunk") }
func (r *cvsRig) Discards() string      { return filepath.Join(r.base, "discarded") }
func (r *cvsRig) Valve() *testbed.Valve { return r.server }
func (r *cvsRig) Newest() string        { return "" }

func (r *cvsRig) Commit(edits ...testbed.Edit) {
	r.t.Helper()
	r.before = r.state.clone()
	for _, e := range edits {
		r.state.apply(e)
	}
	r.ticks++
	for path, revisions := range r.state.history {
		if _, stays := r.state.tree[path]; !stays && !revisions[len(revisions)-1].dead {
			r.record(path, rcsRevision{tick: r.ticks, dead: true})
		}
	}
	for path, file := range r.state.tree {
		revisions := r.state.history[path]
		if n := len(revisions); n == 0 || revisions[n-1].dead || revisions[n-1].content != file.Content {
			r.makeWay(path)
			r.record(path, rcsRevision{tick: r.ticks, content: file.Content})
		}
	}
}

func (r *cvsRig) Rewrite(edits ...testbed.Edit) {
	r.t.Helper()
	r.DeletePath()
	r.state = r.before
	for path := range r.state.history {
		r.writeRCS(path)
	}
	r.Commit(edits...)
}

// makeWay does what CVS has no command for: a file can take the place of a directory only if somebody removes the
// directory from the repository.
func (r *cvsRig) makeWay(path string) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.repo, cvsModule, path)); err != nil {
		r.t.Fatal(err)
	}
	for below := range r.state.history {
		if strings.HasPrefix(below, path+"/") {
			delete(r.state.history, below)
		}
	}
}

// record adds a revision to a file's history.
func (r *cvsRig) record(path string, revision rcsRevision) {
	r.t.Helper()
	r.state.history[path] = append(r.state.history[path], revision)
	r.writeRCS(path)
}

// writeRCS writes a file's history into the repository. The server gives files the mode that they have there, and
// keeps them in a directory Attic while the newest revision says that there is none.
func (r *cvsRig) writeRCS(path string) {
	r.t.Helper()
	revisions := r.state.history[path]
	dir, name := filepath.Split(filepath.Join(r.repo, cvsModule, path))
	file, other := filepath.Join(dir, name+",v"), filepath.Join(dir, "Attic", name+",v")
	if revisions[len(revisions)-1].dead {
		file, other = other, file
	}
	mode := os.FileMode(0o444)
	if r.state.tree[path].Mode == source.Executable {
		mode = 0o555
	}
	err := errors.Join(os.RemoveAll(other), os.MkdirAll(filepath.Dir(file), 0o755),
		os.WriteFile(file+".new", encodeRCS(revisions), mode), os.Rename(file+".new", file))
	if err != nil {
		r.t.Fatal(err)
	}
}

// encodeRCS returns a file's history in the format of rcsfile(5). The newest revision is there as it is, each other one
// by what makes it of the one after it.
func encodeRCS(revisions []rcsRevision) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "head\t1.%d;\naccess;\nsymbols;\nlocks; strict;\ncomment\t@# @;\nexpand\t@b@;\n\n\n", len(revisions))
	for n := len(revisions); n > 0; n-- {
		revision, next, state := revisions[n-1], "", "Exp"
		if n > 1 {
			next = fmt.Sprintf("1.%d", n-1)
		}
		if revision.dead {
			state = "dead"
		}
		date := time.Date(2020, 1, 1, 0, revision.tick, 0, 0, time.UTC).Format("2006.01.02.15.04.05")
		fmt.Fprintf(&b, "1.%d\ndate\t%s;\tauthor upstream;\tstate %s;\nbranches;\nnext\t%s;\n\n", n, date, state, next)
	}
	b.WriteString("\ndesc\n@@\n")
	for n := len(revisions); n > 0; n-- {
		text := revisions[n-1].content
		if n < len(revisions) {
			text = replaceRCS(revisions[n].content, text)
		}
		fmt.Fprintf(&b, "\n\n1.%d\nlog\n@edit\n@\ntext\n@%s@\n", n, strings.ReplaceAll(text, "@", "@@"))
	}
	return b.Bytes()
}

// replaceRCS returns the commands that replace all lines of one text by those of another.
func replaceRCS(from, to string) string {
	lines := func(text string) int {
		n := strings.Count(text, "\n")
		if text != "" && !strings.HasSuffix(text, "\n") {
			n++
		}
		return n
	}
	commands := ""
	if n := lines(from); n > 0 {
		commands = fmt.Sprintf("d1 %d\n", n)
	}
	if n := lines(to); n > 0 {
		commands += fmt.Sprintf("a%d %d\n%s", lines(from), n, to)
	}
	return commands
}

func (r *cvsRig) Upstream() testbed.Listing {
	list := testbed.Listing{}
	dirs := map[string]bool{}
	for path, file := range r.state.tree {
		list[path] = testbed.Describe(file.Mode, file.Content)
		disk.ParentDirs(dirs, path)
	}
	for dir := range dirs {
		list[dir] = testbed.Describe(source.Directory, "")
	}
	return list
}

func (r *cvsRig) DeletePath() {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.repo, cvsModule)); err != nil {
		r.t.Fatal(err)
	}
}

// The rig writes the repository and lists it by itself: CVS's own export has to agree, also of what was before.
func TestCVSRigWritesWhatCVSExports(t *testing.T) {
	t.Parallel()
	r := newCVSRig(t)
	var was []testbed.Listing
	for _, edits := range [][]testbed.Edit{
		{testbed.Write("a@b", "@"), testbed.Write("d/e", "1\n2\n"), testbed.Script("run", "x"), testbed.Write("none", "")},
		{testbed.Write("a@b", "@@\n@"), testbed.Remove("d"), testbed.Write("run", ""), testbed.Write("none", "nul\x00\n\n")},
		{testbed.Write("a@b", ""), testbed.Write("d/e", "again"), testbed.Write("none/now", "a directory"), testbed.Remove("none")},
	} {
		r.Commit(edits...)
		was = append(was, r.Upstream().Files())
	}
	for i, want := range was {
		dir := t.TempDir()
		r.cvs(dir, "export", "-D", fmt.Sprintf("2020-01-01 00:%02d:30 +0000", i+1), "-d", "out", cvsModule)
		got := testbed.ListDir(t, filepath.Join(dir, "out")).Files()
		for path := range want {
			want[path], got[path] = want[path][1:], got[path][1:] // modes have no history
		}
		got.Same(t, fmt.Sprintf("the export of commit %d", i+1), want)
	}
}
