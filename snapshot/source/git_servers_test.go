package source

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// needProgram returns the path of a program that a test cannot do without.
func needProgram(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", names[0])
	}
	t.Skipf("%s is not installed", names[0])
	return ""
}

// gitEnv is an environment in which nobody's configuration and no clock plays a part.
func gitEnv(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com",
	}, extra...)
}

// testRepo is a repository that tests change by means of the git binary.
type testRepo struct {
	t     *testing.T
	dir   string
	ticks int // commits made: each is a minute after the one before
}

// newTestRepo makes a repository with a working tree and one commit on the branch main.
func newTestRepo(t *testing.T) *testRepo {
	t.Helper()
	r := newEmptyRepo(t)
	r.write("defaults.yml", "a: 1\n")
	r.write("source/etc/motd", "hello\n")
	r.commit("first")
	return r
}

// newEmptyRepo makes a repository with a working tree and no commit.
func newEmptyRepo(t *testing.T) *testRepo {
	t.Helper()
	needProgram(t, "git")
	r := &testRepo{t: t, dir: filepath.Join(t.TempDir(), "upstream")}
	if err := os.Mkdir(r.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.git("init", "-q", "-b", "main")
	return r
}

func (r *testRepo) git(args ...string) string {
	r.t.Helper()
	return runGit(r.t, r.dir, r.ticks, args...)
}

func runGit(t *testing.T, dir string, ticks int, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "safe.directory=*", "-c", "gc.auto=0"}, args...)...)
	date := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).Add(time.Duration(ticks) * time.Minute).Format(time.RFC3339)
	cmd.Env = gitEnv("GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimRight(string(out), "\n")
}

func (r *testRepo) write(name, content string) {
	r.t.Helper()
	writeTestFile(r.t, filepath.Join(r.dir, name), content)
}

func writeTestFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commit records all changes and returns the commit's hash.
func (r *testRepo) commit(message string) string {
	r.t.Helper()
	r.ticks++
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
	return r.git("rev-parse", "HEAD")
}

// grow makes n commits that change a few files each.
func (r *testRepo) grow(n int) {
	r.t.Helper()
	for range n {
		r.write(fmt.Sprintf("source/etc/f%d", r.ticks%7), fmt.Sprintf("%d\n", r.ticks))
		r.commit(fmt.Sprintf("commit %d", r.ticks))
	}
}

// inetd listens on a loopback port and runs a command for each connection, with the connection as its standard
// input and output: no port has to be guessed, and nothing outlives the test. It returns the address.
func inetd(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		file, err := conn.(*net.TCPConn).File()
		if err != nil {
			return
		}
		defer file.Close()
		cmd := exec.CommandContext(t.Context(), program, args...)
		cmd.Env = env
		cmd.Stdin, cmd.Stdout = file, file
		_ = cmd.Run()
	})
}

// listen calls serve for every connection to a loopback port, and returns the address. The connection is closed
// when serve returns.
func listen(t *testing.T, serve func(conn net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				serve(conn)
			}()
		}
	}()
	return listener.Addr().String()
}

// valve is what a test puts between a client and a server, to stop what flows. Its address takes the server's place.
type valve struct {
	address string // HOST:PORT, for clients

	mu    sync.Mutex
	state valveState
	left  int64  // bytes from the server that still pass
	on    func() // called when no more do
	conns map[net.Conn]bool
}

type valveState int

const (
	valveOpen   valveState = iota
	valveShut              // every connection is reset at once, also those that stand
	valveSilent            // connections are accepted, and nothing ever comes
	valveCounts            // a number of bytes passes from the server; then on is called, and nothing more comes
)

// newValve returns an open valve in front of the server at an address.
func newValve(t *testing.T, server string) *valve {
	t.Helper()
	v := &valve{conns: map[net.Conn]bool{}}
	v.address = listen(t, func(conn net.Conn) { v.pass(conn, server) })
	t.Cleanup(v.shut)
	return v
}

func (v *valve) port() int {
	_, port, _ := net.SplitHostPort(v.address)
	n, _ := strconv.Atoi(port)
	return n
}

func (v *valve) open()   { v.set(valveOpen, 0, nil) }
func (v *valve) shut()   { v.set(valveShut, 0, nil) }
func (v *valve) silent() { v.set(valveSilent, 0, nil) }

// after lets n bytes pass from the server, then calls on, and lets nothing more pass until it is set otherwise.
func (v *valve) after(n int64, on func()) { v.set(valveCounts, n, on) }

func (v *valve) set(state valveState, n int64, on func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state, v.left, v.on = state, n, on
	if state == valveShut {
		for conn := range v.conns {
			reset(conn)
		}
	}
}

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// pass serves one client.
func (v *valve) pass(client net.Conn, address string) {
	v.mu.Lock()
	state := v.state
	v.conns[client] = true
	v.mu.Unlock()
	defer func() {
		v.mu.Lock()
		delete(v.conns, client)
		v.mu.Unlock()
	}()
	switch state {
	case valveShut:
		reset(client)
		return
	case valveSilent:
		_, _ = io.Copy(io.Discard, client)
		return
	}
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(valveWriter{v, client}, server)
}

// valveWriter passes on what a server says.
type valveWriter struct {
	v      *valve
	client net.Conn
}

func (w valveWriter) Write(p []byte) (int, error) {
	w.v.mu.Lock()
	state, on := w.v.state, w.v.on
	n := len(p)
	if state == valveCounts {
		n = int(min(int64(n), w.v.left))
		w.v.left -= int64(n)
		if w.v.left > 0 {
			on = nil
		} else {
			w.v.on = nil
		}
	}
	w.v.mu.Unlock()
	if state == valveSilent {
		return len(p), nil
	}
	_, err := w.client.Write(p[:n])
	if on != nil {
		on()
	}
	return len(p), err
}

// daemon serves the directory above the repository by git:// and returns the repository's URL.
func (r *testRepo) daemon() string {
	r.t.Helper()
	return fmt.Sprintf("git://%s/%s", r.daemonAddress(), filepath.Base(r.dir))
}

func (r *testRepo) daemonAddress() string {
	r.t.Helper()
	needProgram(r.t, "git-daemon", "git")
	env := gitEnv("GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	return inetd(r.t, env, "git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all",
		"--base-path="+filepath.Dir(r.dir))
}

// webServer serves the directory above the repository by git's smart HTTP protocol; if a password
// is given, only to the user "etch" with that password. It returns the repository's URL.
func (r *testRepo) webServer(password string) string {
	r.t.Helper()
	server := httptest.NewServer(r.webHandler(password))
	r.t.Cleanup(server.Close)
	return server.URL + "/" + filepath.Base(r.dir)
}

func (r *testRepo) webHandler(password string) http.Handler {
	r.t.Helper()
	backend := &cgi.Handler{
		Path: needProgram(r.t, "git-http-backend", "/usr/lib/git-core/git-http-backend"),
		Env: gitEnv("GIT_PROJECT_ROOT="+filepath.Dir(r.dir), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"),
		Stderr: io.Discard,
		Logger: log.New(io.Discard, "", 0), // of clients that were cut off
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, given, _ := q.BasicAuth(); password != "" && (user != "etch" || given != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, q)
	})
}

// sshServer is an sshd on a loopback port, with keys of its own.
type sshServer struct {
	t    *testing.T
	dir  string
	port int
}

// newSSHServer starts sshd with host keys of the types given, such as "ed25519".
func newSSHServer(t *testing.T, keyTypes ...string) *sshServer {
	t.Helper()
	sshd := needProgram(t, "sshd", "/usr/sbin/sshd")
	needProgram(t, "ssh-keygen")
	s := &sshServer{t: t, dir: t.TempDir()}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.keygen("ed25519", "user")
	config := "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n" +
		"LogLevel ERROR\nAuthorizedKeysFile " + s.path("user.pub") + "\n"
	for _, kind := range keyTypes {
		s.keygen(kind, "host_"+kind)
		config += "HostKey " + s.path("host_"+kind) + "\n"
	}
	writeTestFile(t, s.path("config"), config)
	_, port, err := net.SplitHostPort(inetd(t, gitEnv(), sshd, "-i", "-e", "-f", s.path("config")))
	if err != nil {
		t.Fatal(err)
	}
	if s.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return s
}

// behindValve puts a valve before the server. From then on url and knownHosts are about the valve's port.
func (s *sshServer) behindValve() *valve {
	s.t.Helper()
	v := newValve(s.t, fmt.Sprintf("127.0.0.1:%d", s.port))
	s.port = v.port()
	return v
}

func (s *sshServer) path(name string) string { return filepath.Join(s.dir, name) }

func (s *sshServer) keygen(kind, name string) {
	s.t.Helper()
	if kind != "rsa" {
		if err := makeKey(s.path(name), "-t", kind); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	key, err := rsaKey()
	if err != nil {
		s.t.Fatal(err)
	}
	writeTestFile(s.t, s.path(name+".pub"), key.public)
	writeTestFile(s.t, s.path(name), key.private)
	if err := os.Chmod(s.path(name), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func makeKey(file string, args ...string) error {
	out, err := exec.Command("ssh-keygen", append(args, "-q", "-N", "", "-f", file)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
	}
	return nil
}

// rsaKey is the same for all servers, because it takes long to make one.
var rsaKey = sync.OnceValues(func() (key struct{ private, public string }, err error) {
	dir, err := os.MkdirTemp("", "rsa")
	if err != nil {
		return key, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "key")
	if err := makeKey(file, "-t", "rsa", "-b", "2048"); err != nil {
		return key, err
	}
	private, err := os.ReadFile(file)
	if err != nil {
		return key, err
	}
	public, err := os.ReadFile(file + ".pub")
	key.private, key.public = string(private), string(public)
	return key, err
})

// knownHosts writes a file that knows the server by the host key of the type given.
func (s *sshServer) knownHosts(keyType string, hashed bool) string {
	s.t.Helper()
	pub, err := os.ReadFile(s.path("host_" + keyType + ".pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "known_hosts")
	writeTestFile(s.t, file, fmt.Sprintf("[127.0.0.1]:%d %s", s.port, pub))
	if hashed {
		if out, err := exec.Command("ssh-keygen", "-q", "-H", "-f", file).CombinedOutput(); err != nil {
			s.t.Fatalf("ssh-keygen -H: %v\n%s", err, out)
		}
	}
	return file
}

// url returns the URL by which the server serves a repository.
func (s *sshServer) url(dir string) string {
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", currentUser(s.t), s.port, dir)
}

func currentUser(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// hungServer accepts connections, answers the client's first words with what it is given, and then
// says nothing more.
func hungServer(t *testing.T, says string) string {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write([]byte(says))
		_, _ = bufio.NewReader(conn).WriteTo(new(bytes.Buffer)) // until the client goes
	})
}

// workingCopy is a working copy under test, with its upstream.
type workingCopy struct {
	*Git
	t   *testing.T
	dir string
}

// newWorkingCopy returns a source for a working copy that does not exist yet.
func newWorkingCopy(t *testing.T, url string, change ...func(*GitOptions)) *workingCopy {
	t.Helper()
	base := t.TempDir()
	o := GitOptions{
		Dir:     filepath.Join(base, "trunk"),
		URL:     url,
		Timeout: time.Minute,
		Discard: filepath.Join(base, "discarded"),
		Now:     func() time.Time { return time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC) },
	}
	for _, f := range change {
		f(&o)
	}
	return &workingCopy{Git: NewGit(o), t: t, dir: o.Dir}
}

// cloned returns a working copy that was just cloned.
func cloned(t *testing.T, url string, change ...func(*GitOptions)) *workingCopy {
	t.Helper()
	c := newWorkingCopy(t, url, change...)
	if _, err := c.Clone(context.Background()); err != nil {
		t.Fatalf("Clone: %v", err)
	}
	return c
}

// with returns the same working copy with other options.
func (c *workingCopy) with(change func(*GitOptions)) *workingCopy {
	o := c.o
	change(&o)
	return &workingCopy{Git: NewGit(o), t: c.t, dir: c.dir}
}

func (c *workingCopy) update() Outcome {
	c.t.Helper()
	out, err := c.Update(context.Background())
	if err != nil {
		c.t.Fatalf("Update: %v", err)
	}
	return out
}

// updateFails asserts that an update fails, and that its error says every one of the words.
func (c *workingCopy) updateFails(words ...string) error {
	c.t.Helper()
	_, err := c.Update(context.Background())
	if err == nil {
		c.t.Fatal("Update succeeded")
	}
	c.says(err, words)
	return err
}

// cloneFails asserts that a clone fails, and that its error says every one of the words.
func (c *workingCopy) cloneFails(words ...string) error {
	c.t.Helper()
	_, err := c.Clone(context.Background())
	if err == nil {
		c.t.Fatal("Clone succeeded")
	}
	c.says(err, words)
	return err
}

// says asserts that an error says every one of the words.
func (c *workingCopy) says(err error, words []string) {
	c.t.Helper()
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			c.t.Errorf("the error does not say %q: %v", word, err)
		}
	}
}

// is asserts that the working copy is exactly what upstream's branch is, by git's own judgement.
func (c *workingCopy) is(r *testRepo, branch string) {
	c.t.Helper()
	want := r.git("rev-parse", branch)
	if got := runGit(c.t, c.dir, 0, "rev-parse", "HEAD"); got != want {
		c.t.Errorf("HEAD is %s, upstream's %s is %s", got, branch, want)
	}
	if status := runGit(c.t, c.dir, 0, "status", "--porcelain", "--ignored"); status != "" {
		c.t.Errorf("git status says:\n%s", status)
	}
	if got, want := runGit(c.t, c.dir, 0, "log", "--format=%H"), r.git("log", "--format=%H", branch); got != want {
		c.t.Errorf("git log is\n%s\nwant\n%s", got, want)
	}
	runGit(c.t, c.dir, 0, "fsck", "--full", "--strict", "--no-dangling")
	if left, _ := filepath.Glob(filepath.Join(c.dir, ".git", "objects", tempPrefix+"*")); len(left) > 0 {
		c.t.Errorf("left over: %q", left)
	}
}
