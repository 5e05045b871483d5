package source

import (
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// cvsModule is the directory in the repository that the tests follow.
const cvsModule = "etch/trunk"

// cvsRig is a CVS repository behind a real server.
type cvsRig struct {
	t      *testing.T
	base   string
	repo   string
	master string // a plain tree: what upstream is to be
	ticks  int    // commits made: each is a minute after the one before
	url    string
	auth   Auth
	server *valve
}

// cvsServers lists the ways to reach a repository. Each sets the rig's url, auth and valve.
var cvsServers = []struct {
	name  string
	serve func(r *cvsRig)
}{
	{"local", func(r *cvsRig) { r.url = ":local:" + r.repo }},
	{"pserver", func(r *cvsRig) { r.servePassword("s3cr3t pa$$word") }},
	{"ext", func(r *cvsRig) { r.serveSSH("ed25519") }},
}

func TestCVSConformance(t *testing.T) {
	for _, server := range cvsServers {
		makeRig := func(t *testing.T) rig {
			r := newCVSRig(t)
			server.serve(r)
			return r
		}
		t.Run(server.name, func(t *testing.T) {
			conform(t, makeRig)
			t.Run("100 MB", func(t *testing.T) { conformLarge(t, makeRig) })
		})
	}
}

// newCVSRig makes a repository in which the module is an empty directory.
func newCVSRig(t *testing.T) *cvsRig {
	t.Helper()
	needProgram(t, "cvs")
	r := &cvsRig{t: t, base: t.TempDir()}
	if err := os.Chmod(filepath.Dir(r.base), 0o755); err != nil { // the server may run as another user
		t.Fatal(err)
	}
	r.repo, r.master = filepath.Join(r.base, "cvs root"), filepath.Join(r.base, "master")
	r.url = r.repo
	r.cvs(r.base, "init")
	if err := os.MkdirAll(filepath.Join(r.repo, cvsModule), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.master, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

// cvs runs the client as somebody who works upstream.
func (r *cvsRig) cvs(dir string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("cvs", append([]string{"-f", "-Q", "-d", r.repo}, args...)...)
	cmd.Dir = dir
	cmd.Env = gitEnv("CVSUMASK=000", "LOGNAME=upstream", "USER=upstream")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("cvs %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// servePassword serves the repository by pserver to the user "etch".
func (r *cvsRig) servePassword(password string) {
	r.t.Helper()
	system := "nobody" // no server of CVS's runs as root
	if os.Getuid() != 0 {
		system = currentUser(r.t)
	}
	out, err := exec.Command(needProgram(r.t, "openssl"), "passwd", "-1", password).Output()
	if err != nil {
		r.t.Fatalf("openssl passwd: %v", err)
	}
	line := fmt.Sprintf("etch:%s:%s\n", strings.TrimSpace(string(out)), system)
	writeTestFile(r.t, filepath.Join(r.repo, "CVSROOT", "passwd"), line)
	r.open()
	r.server = newValve(r.t, inetd(r.t, gitEnv("CVSUMASK=000"), "cvs", "-f", "--allow-root="+r.repo, "pserver"))
	r.url = ":pserver:etch@" + r.server.address + r.repo
	r.auth = Auth{PasswordFile: secretFile(r.t, password+"\n")}
}

// open lets every user lock every directory of the repository.
func (r *cvsRig) open() {
	r.t.Helper()
	if out, err := exec.Command("chmod", "-R", "a+rwX", r.repo).CombinedOutput(); err != nil {
		r.t.Fatalf("chmod: %v\n%s", err, out)
	}
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

func (r *cvsRig) can() abilities {
	return abilities{
		clones: true, local: true, modes: true, replaces: true, rewrite: rewriteIsFollowed, history: true,
		name: func(name string) bool { return !strings.Contains(name, "\n") && !isMetadata(name) },
	}
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

// rcs is the file of a repository that has a file's history.
func (r *cvsRig) rcs(path string) string { return filepath.Join(r.repo, cvsModule, path) + ",v" }

// attic is the place of that file while the newest revision on the trunk says that there is none.
func (r *cvsRig) attic(path string) string {
	dir, name := filepath.Split(r.rcs(path))
	return filepath.Join(dir, "Attic", name)
}

func (r *cvsRig) commit(edits ...edit) {
	r.t.Helper()
	r.save()
	editTree(r.t, r.master, edits)
	r.publish()
}

// save copies the repository and the master, for rewrite.
func (r *cvsRig) save() {
	r.t.Helper()
	for _, dir := range []string{r.repo, r.master} {
		if err := os.RemoveAll(dir + ".before"); err != nil {
			r.t.Fatal(err)
		}
		if out, err := exec.Command("cp", "-a", dir, dir+".before").CombinedOutput(); err != nil {
			r.t.Fatalf("cp: %v\n%s", err, out)
		}
	}
}

func (r *cvsRig) rewrite(edits ...edit) {
	r.t.Helper()
	for _, dir := range []string{r.repo, r.master} {
		if err := os.RemoveAll(dir); err != nil {
			r.t.Fatal(err)
		}
		if err := os.Rename(dir+".before", dir); err != nil {
			r.t.Fatal(err)
		}
	}
	r.commit(edits...)
}

// publish commits what the master has, as one revision.
func (r *cvsRig) publish() {
	r.t.Helper()
	r.ticks++
	work := filepath.Join(r.t.TempDir(), "work")
	r.cvs(filepath.Dir(work), "checkout", "-d", "work", cvsModule)
	had, want := listWorkingCopy(r.t, work).files(), listDir(r.t, r.master).files()
	var gone []string
	for path := range had {
		if _, ok := want[path]; !ok {
			gone = append(gone, path)
		}
	}
	if len(gone) > 0 {
		r.removeFiles(work, gone)
	}
	r.makeWay(want)
	r.writeFiles(work, had, want)
	r.setModes(want)
	r.setDates()
	if r.server != nil {
		r.open()
	}
}

func (r *cvsRig) removeFiles(work string, paths []string) {
	r.t.Helper()
	args := []string{"remove"}
	for _, path := range paths {
		if err := os.Remove(filepath.Join(work, path)); err != nil {
			r.t.Fatal(err)
		}
		args = append(args, "./"+path)
	}
	r.cvs(work, args...)
	r.cvs(work, "commit", "-m", "remove")
}

// makeWay does what CVS has no command for: a file can take the place of a directory only if somebody removes the
// directory from the repository, and the reverse.
func (r *cvsRig) makeWay(want listing) {
	r.t.Helper()
	for path := range want {
		if err := os.RemoveAll(filepath.Join(r.repo, cvsModule, path)); err != nil {
			r.t.Fatal(err)
		}
		dirs := map[string]bool{}
		parentDirs(dirs, path)
		for dir := range dirs {
			for _, file := range []string{r.rcs(dir), r.attic(dir)} {
				if err := os.RemoveAll(file); err != nil {
					r.t.Fatal(err)
				}
			}
		}
	}
}

// writeFiles commits the files that are new or have changed.
func (r *cvsRig) writeFiles(work string, had, want listing) {
	r.t.Helper()
	var add []string
	dirs := map[string]bool{}
	for path, contents := range want {
		if had[path] == contents {
			continue
		}
		to := filepath.Join(work, path)
		if _, known := had[path]; !known {
			add = append(add, "./"+path)
			for dir := filepath.Dir(to); !exists(filepath.Join(dir, "CVS")); dir = filepath.Dir(dir) {
				dirs[dir] = true
			}
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				r.t.Fatal(err)
			}
		}
		if out, err := exec.Command("cp", "-p", filepath.Join(r.master, path), to).CombinedOutput(); err != nil {
			r.t.Fatalf("cp: %v\n%s", err, out)
		}
		if err := os.Chtimes(to, theTime, theTime); err != nil { // later than any that the client knows
			r.t.Fatal(err)
		}
	}
	r.add(work, dirs, add)
	r.cvs(work, "commit", "-m", "edit")
}

// add adds directories, parents first, and then files.
func (r *cvsRig) add(work string, dirs map[string]bool, files []string) {
	r.t.Helper()
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		r.cvs(work, "add", "./"+strings.TrimPrefix(dir, work+"/"))
	}
	if len(files) > 0 {
		r.cvs(work, append([]string{"add", "-kb"}, files...)...)
	}
}

// setModes gives the files of the repository the modes that the master has: CVS itself never changes them.
func (r *cvsRig) setModes(want listing) {
	r.t.Helper()
	for path, contents := range want {
		mode := os.FileMode(0o444)
		if Mode(contents[0]) == Executable {
			mode = 0o555
		}
		if err := os.Chmod(r.rcs(path), mode); err != nil {
			r.t.Fatal(err)
		}
	}
}

var (
	rcsDate = regexp.MustCompile(`(?m)^date\t(\d{4})\.[\d.]+;`)
	// rcsYear is the year of all commits once they have their dates, which is not the present one.
	rcsYear = "2020"
)

// setDates gives all commits that were made just now the date of this tick.
func (r *cvsRig) setDates() {
	r.t.Helper()
	date := time.Date(2020, 1, 1, 0, r.ticks, 0, 0, time.UTC).Format("date\t2006.01.02.15.04.05;")
	err := filepath.WalkDir(filepath.Join(r.repo, cvsModule), func(path string, d os.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ",v") || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dated := rcsDate.ReplaceAllStringFunc(string(data), func(line string) string {
			if rcsDate.FindStringSubmatch(line)[1] == rcsYear {
				return line
			}
			return date
		})
		if dated == string(data) {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.WriteFile(path+".new", []byte(dated), info.Mode()); err != nil {
			return err
		}
		return os.Rename(path+".new", path)
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *cvsRig) upstream() listing {
	r.t.Helper()
	dir := r.t.TempDir()
	r.cvs(dir, "export", "-r", "HEAD", "-d", "out", cvsModule)
	list := listDir(r.t, filepath.Join(dir, "out"))
	for path, has := range list {
		if has == describe(Directory, "") && !hasBelow(list, path) {
			delete(list, path) // nobody publishes a directory in which nothing is
		}
	}
	return list
}

// hasBelow reports whether a file stands below a directory of a listing.
func hasBelow(list listing, dir string) bool {
	for path, has := range list {
		if strings.HasPrefix(path, dir+"/") && has != describe(Directory, "") {
			return true
		}
	}
	return false
}

func (r *cvsRig) deletePath() {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.repo, cvsModule)); err != nil {
		r.t.Fatal(err)
	}
}
