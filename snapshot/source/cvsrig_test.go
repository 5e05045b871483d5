package source

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
	auth   Auth
	server *valve
}

// cvsState is what upstream has.
type cvsState struct {
	tree    map[string]edit          // what the newest revision's files were written by
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
func (s cvsState) apply(e edit) {
	if e.op == opWrite {
		s.tree[e.path] = e
		return
	}
	for path, file := range maps.Clone(s.tree) {
		if path != e.path && !strings.HasPrefix(path, e.path+"/") {
			continue
		}
		delete(s.tree, path)
		if e.op == opRename {
			s.tree[e.to+strings.TrimPrefix(path, e.path)] = file
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
	served
	serve func(r *cvsRig)
}{
	{served{"local", another, false}, func(r *cvsRig) { r.url = ":local:" + r.repo }},
	{served{"pserver", chief, true}, func(r *cvsRig) { r.servePassword(cvsPassword) }},
	{served{"ext", alike, true}, func(r *cvsRig) { r.serveSSH("ed25519") }},
}

func TestCVSConformance(t *testing.T) {
	t.Parallel()
	for _, server := range cvsServers {
		conform(t, server.served, func(t *testing.T) rig {
			r := newCVSRig(t)
			server.serve(r)
			return r
		})
	}
}

func (r *cvsRig) can() abilities {
	return abilities{
		clones: true, local: true, modes: true, replaces: true, rewrite: rewriteIsFollowed, history: true,
		name: func(name string) bool {
			return !strings.Contains(name, "\n") && !isMetadata(name) && len(name) <= maxCVSName
		},
	}
}

// maxCVSName is how long a file's name may be: the server locks NAME,v as ",NAME,".
const maxCVSName = 253

// newCVSRig makes a repository in which the module is an empty directory.
func newCVSRig(t *testing.T) *cvsRig {
	t.Helper()
	needProgram(t, "cvs")
	r := &cvsRig{t: t, base: t.TempDir(), state: cvsState{map[string]edit{}, map[string][]rcsRevision{}}}
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
	writeTestFile(t, filepath.Join(r.repo, "CVSROOT/config"), "LockDir="+locks+"\n")
	return r
}

// cvs runs the client as somebody who works upstream.
func (r *cvsRig) cvs(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("cvs", append([]string{"-f", "-Q", "-d", r.repo}, args...)...)
	cmd.Dir = dir
	cmd.Env = gitEnv("LOGNAME=upstream", "USER=upstream")
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
		system = currentUser(r.t)
	}
	// The client finds no password for a path with a blank.
	repo := filepath.Join(r.base, "cvsroot")
	if err := os.Rename(r.repo, repo); err != nil {
		r.t.Fatal(err)
	}
	r.repo = repo
	line := fmt.Sprintf("etch:%s:%s\n", cvsPasswordHash, system)
	writeTestFile(r.t, filepath.Join(r.repo, "CVSROOT/passwd"), line)
	r.server = newValve(r.t, inetd(r.t, gitEnv(), "cvs", "-f", "--allow-root="+r.repo, "pserver"))
	r.url = ":pserver:etch@" + r.server.address + r.repo
	r.auth = Auth{PasswordFile: secretFile(r.t, password+"\n")}
}

// serveSSH serves the repository by ssh.
func (r *cvsRig) serveSSH(keyType string) {
	r.t.Helper()
	s := newSSHServer(r.t, keyType)
	r.server = s.behindValve()
	_, port, _ := net.SplitHostPort(r.server.address)
	r.url = fmt.Sprintf(":ext:%s@127.0.0.1:%s%s", currentUser(r.t), port, r.repo)
	r.auth = Auth{SSHKey: s.path("user"), KnownHosts: s.knownHosts(keyType, true)}
}

func (r *cvsRig) source(o rigOptions) Source {
	return NewCVS(r.options(o))
}

func (r *cvsRig) options(o rigOptions) CVSOptions {
	if o.timeout == 0 {
		o.timeout = time.Minute
	}
	return CVSOptions{
		Dir: r.dir(), URL: r.url, Module: cvsModule, Timeout: o.timeout, Auth: r.auth, Discard: r.discards(),
		BeforeReplace: o.beforeReplace, Step: o.step, Now: func() time.Time { return theTime },
	}
}

func (r *cvsRig) dir() string      { return filepath.Join(r.base, "trunk") }
func (r *cvsRig) discards() string { return filepath.Join(r.base, "discarded") }
func (r *cvsRig) valve() *valve    { return r.server }
func (r *cvsRig) newest() string   { return "" }

func (r *cvsRig) commit(edits ...edit) {
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
		if n := len(revisions); n == 0 || revisions[n-1].dead || revisions[n-1].content != file.content {
			r.makeWay(path)
			r.record(path, rcsRevision{tick: r.ticks, content: file.content})
		}
	}
}

func (r *cvsRig) rewrite(edits ...edit) {
	r.t.Helper()
	r.deletePath()
	r.state = r.before
	for path := range r.state.history {
		r.writeRCS(path)
	}
	r.commit(edits...)
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
	if r.state.tree[path].mode == Executable {
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

func (r *cvsRig) upstream() listing {
	list := listing{}
	dirs := map[string]bool{}
	for path, file := range r.state.tree {
		list[path] = describe(file.mode, file.content)
		parentDirs(dirs, path)
	}
	for dir := range dirs {
		list[dir] = describe(Directory, "")
	}
	return list
}

func (r *cvsRig) deletePath() {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.repo, cvsModule)); err != nil {
		r.t.Fatal(err)
	}
}

// The rig writes the repository and lists it by itself: CVS's own export has to agree, also of what was before.
func TestCVSRigWritesWhatCVSExports(t *testing.T) {
	t.Parallel()
	r := newCVSRig(t)
	var was []listing
	for _, edits := range [][]edit{
		{write("a@b", "@"), write("d/e", "1\n2\n"), script("run", "x"), write("none", "")},
		{write("a@b", "@@\n@"), remove("d"), write("run", ""), write("none", "nul\x00\n\n")},
		{write("a@b", ""), write("d/e", "again"), write("none/now", "a directory"), remove("none")},
	} {
		r.commit(edits...)
		was = append(was, r.upstream().files())
	}
	for i, want := range was {
		dir := t.TempDir()
		r.cvs(dir, "export", "-D", fmt.Sprintf("2020-01-01 00:%02d:30 +0000", i+1), "-d", "out", cvsModule)
		got := listDir(t, filepath.Join(dir, "out")).files()
		for path := range want {
			want[path], got[path] = want[path][1:], got[path][1:] // modes have no history
		}
		got.same(t, fmt.Sprintf("the export of commit %d", i+1), want)
	}
}
