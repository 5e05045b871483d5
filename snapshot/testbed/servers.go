package testbed

import (
	"bufio"
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// NeedProgram returns the path of a program that a test cannot do without.
func NeedProgram(t *testing.T, names ...string) string {
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

func WriteTestFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Inetd listens on a loopback port and runs a command for each connection, with the connection as its standard
// input and output: no port has to be guessed, and nothing outlives the test. It returns the address.
func Inetd(t *testing.T, env []string, program string, args ...string) string {
	t.Helper()
	return Listen(t, func(conn net.Conn) {
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

// Listen calls serve for every connection to a loopback port, and returns the address. The connection is closed
// when serve returns.
func Listen(t *testing.T, serve func(conn net.Conn)) string {
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

// Valve is what a test puts between a client and a server, to stop what flows. Its address takes the server's place.
type Valve struct {
	Address string // HOST:PORT, for clients

	mu    sync.Mutex
	state valveState
	left  int64  // bytes from the server that still pass
	on    func() // called when no more do
	conns map[net.Conn]bool
}

func (v *Valve) Port() int {
	_, port, _ := net.SplitHostPort(v.Address)
	n, _ := strconv.Atoi(port)
	return n
}

func (v *Valve) Open() { v.set(valveOpen, 0, nil) }

func (v *Valve) Shut() { v.set(valveShut, 0, nil) }

func (v *Valve) Silent() { v.set(valveSilent, 0, nil) }

// After lets n bytes pass from the server, then calls on, and lets nothing more pass until it is set otherwise.
func (v *Valve) After(n int64, on func()) { v.set(valveCounts, n, on) }

func (v *Valve) set(state valveState, n int64, on func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.state, v.left, v.on = state, n, on
	if state == valveShut {
		for conn := range v.conns {
			reset(conn)
		}
	}
}

// pass serves one client.
func (v *Valve) pass(client net.Conn, address string) {
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

type valveState int

// NewValve returns an open valve in front of the server at an address.
func NewValve(t *testing.T, server string) *Valve {
	t.Helper()
	v := &Valve{conns: map[net.Conn]bool{}}
	v.Address = Listen(t, func(conn net.Conn) { v.pass(conn, server) })
	t.Cleanup(v.Shut)
	return v
}

func reset(conn net.Conn) {
	_ = conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// valveWriter passes on what a server says.
type valveWriter struct {
	v      *Valve
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

// sshServer is an sshd on a loopback port, with keys of its own.
type sshServer struct {
	t    *testing.T
	dir  string
	Port int
}

// BehindValve puts a valve before the server. From then on url and knownHosts are about the valve's port.
func (s *sshServer) BehindValve() *Valve {
	s.t.Helper()
	v := NewValve(s.t, fmt.Sprintf("127.0.0.1:%d", s.Port))
	s.Port = v.Port()
	return v
}

func (s *sshServer) Path(name string) string { return filepath.Join(s.dir, name) }

func (s *sshServer) keygen(kind, name string) {
	s.t.Helper()
	if kind != "rsa" {
		if err := makeKey(s.Path(name), "-t", kind); err != nil {
			s.t.Fatal(err)
		}
		return
	}
	key, err := rsaKey()
	if err != nil {
		s.t.Fatal(err)
	}
	WriteTestFile(s.t, s.Path(name+".pub"), key.public)
	WriteTestFile(s.t, s.Path(name), key.private)
	if err := os.Chmod(s.Path(name), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// KnownHosts writes a file that knows the server by the host key of the type given.
func (s *sshServer) KnownHosts(keyType string, hashed bool) string {
	s.t.Helper()
	pub, err := os.ReadFile(s.Path("host_" + keyType + ".pub"))
	if err != nil {
		s.t.Fatal(err)
	}
	file := filepath.Join(s.t.TempDir(), "known_hosts")
	WriteTestFile(s.t, file, fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, pub))
	if hashed {
		if out, err := exec.Command("ssh-keygen", "-q", "-H", "-f", file).CombinedOutput(); err != nil {
			s.t.Fatalf("ssh-keygen -H: %v\n%s", err, out)
		}
	}
	return file
}

// Url returns the URL by which the server serves a repository.
func (s *sshServer) Url(dir string) string {
	return fmt.Sprintf("ssh://%s@127.0.0.1:%d%s", CurrentUser(s.t), s.Port, dir)
}

// NewSSHServer starts sshd with host keys of the types given, such as "ed25519".
func NewSSHServer(t *testing.T, keyTypes ...string) *sshServer {
	t.Helper()
	sshd := NeedProgram(t, "sshd", "/usr/sbin/sshd")
	NeedProgram(t, "ssh-keygen")
	s := &sshServer{t: t, dir: t.TempDir()}
	if os.Getuid() == 0 {
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			t.Fatal(err)
		}
	}
	s.keygen("ed25519", "user")
	config := "StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nPermitRootLogin yes\n" +
		"LogLevel ERROR\nAuthorizedKeysFile " + s.Path("user.pub") + "\n"
	for _, kind := range keyTypes {
		s.keygen(kind, "host_"+kind)
		config += "HostKey " + s.Path("host_"+kind) + "\n"
	}
	WriteTestFile(t, s.Path("config"), config)
	_, port, err := net.SplitHostPort(Inetd(t, GitEnv(), sshd, "-i", "-e", "-f", s.Path("config")))
	if err != nil {
		t.Fatal(err)
	}
	if s.Port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
	return s
}

func CurrentUser(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("id", "-un").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// HungServer accepts connections, answers the client's first words with what it is given, and then
// says nothing more.
func HungServer(t *testing.T, says string) string {
	t.Helper()
	return Listen(t, func(conn net.Conn) {
		_, _ = conn.Read(make([]byte, 1))
		_, _ = conn.Write([]byte(says))
		_, _ = bufio.NewReader(conn).WriteTo(new(bytes.Buffer)) // until the client goes
	})
}

func SecretFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func ReadTestFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// CertificateOf returns a server's own certificate, in PEM.
func CertificateOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

// TestSSHKey makes a key that no server knows.
func TestSSHKey(t *testing.T) string {
	t.Helper()
	NeedProgram(t, "ssh-keygen")
	file := filepath.Join(t.TempDir(), "key")
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return file
}

// TestSSHAgent starts an ssh agent that has one key and returns its socket.
func TestSSHAgent(t *testing.T, keyFile string) string {
	t.Helper()
	program := NeedProgram(t, "ssh-agent")
	socket := filepath.Join(t.TempDir(), "agent")
	agent := exec.CommandContext(t.Context(), program, "-D", "-a", socket)
	started, err := agent.StdoutPipe() // it says where it listens
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = agent.Process.Kill(); _ = agent.Wait() })
	if _, err := bufio.NewReader(started).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	add := exec.Command("ssh-add", "-q", keyFile)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("ssh-add: %v: %s", err, out)
	}
	return socket
}

// ConfigureSSH makes ssh take a configuration instead of those of the machine and its user.
func ConfigureSSH(t *testing.T, config string) {
	t.Helper()
	ssh := NeedProgram(t, "ssh")
	file := filepath.Join(t.TempDir(), "config")
	WriteTestFile(t, file, config)
	FakeSSH(t, fmt.Sprintf(`exec %s -F %s "$@"`, ssh, file))
}

// FakeSSH is a script instead of ssh.
func FakeSSH(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
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

const (
	valveOpen   valveState = iota
	valveShut              // every connection is reset at once, also those that stand
	valveSilent            // connections are accepted, and nothing ever comes
	valveCounts            // a number of bytes passes from the server; then on is called, and nothing more comes
)

// GitEnv is an environment in which nobody's configuration and no clock plays a part.
func GitEnv(extra ...string) []string {
	return append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=C", "GIT_COMMITTER_EMAIL=c@example.com",
	}, extra...)
}
