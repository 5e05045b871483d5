package source

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testSSHKey makes a key that no server knows.
func testSSHKey(t *testing.T) string {
	t.Helper()
	needProgram(t, "ssh-keygen")
	file := filepath.Join(t.TempDir(), "key")
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	return file
}

func secretFile(t *testing.T, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWebServerThatWantsAPasswordGetsItFromTheURLOrAFile(t *testing.T) {
	const password = "s3cr3t/pass word"
	r := newTestRepo(t)
	plain := r.webServer(password)
	withUser := strings.Replace(plain, "http://", "http://etch@", 1)
	for name, test := range map[string]struct {
		url  string
		auth Auth
	}{
		"in the URL":      {strings.Replace(plain, "http://", "http://etch:s3cr3t%2Fpass%20word@", 1), Auth{}},
		"password file":   {plain, Auth{Username: "etch", PasswordFile: secretFile(t, password+"\n")}},
		"user in the URL": {withUser, Auth{PasswordFile: secretFile(t, password)}},
		"token file":      {withUser, Auth{TokenFile: secretFile(t, password+"\r\n")}},
		"file before the URL's": {strings.Replace(plain, "http://", "http://etch:wrong@", 1),
			Auth{PasswordFile: secretFile(t, password)}},
	} {
		c := newWorkingCopy(t, test.url, func(o *GitOptions) { o.Auth = test.auth })
		out, err := c.Clone(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.is(r, "main")
		r.grow(1)
		c.update()
		c.is(r, "main")
		if warned := len(out.Warnings) > 0; warned != strings.Contains(test.url, "etch") {
			t.Errorf("%s: warnings %q", name, out.Warnings)
		}
		if strings.Contains(fmt.Sprint(out.Warnings), "s3cr3t") {
			t.Errorf("%s: the password is in a warning: %q", name, out.Warnings)
		}
	}
}

func TestWrongPasswordIsAnErrorThatDoesNotShowIt(t *testing.T) {
	r := newTestRepo(t)
	plain := r.webServer("right")
	for _, test := range []struct {
		url  string
		auth Auth
	}{
		{strings.Replace(plain, "http://", "http://etch:wr0ng%2Fone@", 1), Auth{}},
		{strings.Replace(plain, "http://", "http://wr0ng%2Fone@", 1), Auth{}},
		{plain, Auth{Username: "etch", PasswordFile: secretFile(t, "wr0ng/one")}},
		{plain, Auth{TokenFile: secretFile(t, "wr0ng/one")}},
		{plain, Auth{}},
	} {
		c := newWorkingCopy(t, test.url, func(o *GitOptions) { o.Auth = test.auth })
		_, err := c.Clone(context.Background())
		if err == nil || !strings.Contains(err.Error(), "authentication required") {
			t.Errorf("got %v", err)
		}
		for e := err; e != nil; e = errors.Unwrap(e) {
			if strings.Contains(e.Error(), "wr0ng") {
				t.Errorf("the password is in %v", e)
			}
		}
	}
}

func TestFilesOfSecretsThatCannotBeUsedAreNamed(t *testing.T) {
	r := newTestRepo(t)
	url := r.webServer("x")
	missing := filepath.Join(t.TempDir(), "missing")
	empty := secretFile(t, "\n")
	for _, test := range []struct {
		auth Auth
		url  string
		says string
	}{
		{Auth{PasswordFile: missing}, url, missing},
		{Auth{TokenFile: missing}, url, missing},
		{Auth{PasswordFile: empty}, url, empty},
		{Auth{CAFile: missing}, url, missing},
		{Auth{CAFile: empty}, url, empty},
		{Auth{SSHKey: missing}, "ssh://u@127.0.0.1:1/r", missing},
		{Auth{SSHKey: testSSHKey(t), KnownHosts: missing}, "ssh://u@127.0.0.1:1/r", missing},
	} {
		c := newWorkingCopy(t, test.url, func(o *GitOptions) { o.Auth = test.auth })
		c.cloneFails(test.says)
	}
}

// certificateOf returns a server's own certificate, in PEM.
func certificateOf(server *httptest.Server) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
}

func TestCertificateOfAWebServerIsProved(t *testing.T) {
	r := newTestRepo(t)
	server := httptest.NewUnstartedServer(r.webHandler(""))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	url := server.URL + "/upstream"
	c := newWorkingCopy(t, url)
	c.cloneFails("certificate")
	ca := certificateOf(server)
	c = c.with(func(o *GitOptions) { o.Auth.CAFile = secretFile(t, ca) })
	if _, err := c.Clone(context.Background()); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
	c.is(r, "main")
}

func TestSSHServerIsTrustedOnlyByAKnownKey(t *testing.T) {
	r := newTestRepo(t)
	s := newSSHServer(t, "ed25519", "rsa", "ecdsa")
	other := newSSHServer(t, "ed25519")
	clone := func(knownHosts string) error {
		c := newWorkingCopy(t, s.url(r.dir), func(o *GitOptions) {
			o.Auth = Auth{SSHKey: s.path("user"), KnownHosts: knownHosts}
		})
		_, err := c.Clone(context.Background())
		if err == nil {
			c.is(r, "main")
		} else if left, _ := os.ReadDir(filepath.Dir(c.dir)); len(left) > 0 {
			t.Errorf("left %v", left)
		}
		return err
	}
	for _, kind := range []string{"ed25519", "rsa", "ecdsa"} {
		for _, hashed := range []bool{false, true} {
			if err := clone(s.knownHosts(kind, hashed)); err != nil {
				t.Errorf("known by its %s key, hashed %v: %v", kind, hashed, err)
			}
		}
	}

	err := clone(secretFile(t, "# nobody\n"))
	var refused *HostKeyError
	if !errors.As(err, &refused) || refused.Changed {
		t.Fatalf("unknown: got %v", err)
	}
	printed, _ := exec.Command("ssh-keygen", "-l", "-f", s.path("host_ed25519.pub")).Output()
	rsa, _ := exec.Command("ssh-keygen", "-l", "-f", s.path("host_rsa.pub")).Output()
	ecdsa, _ := exec.Command("ssh-keygen", "-l", "-f", s.path("host_ecdsa.pub")).Output()
	if !strings.Contains(string(printed)+string(rsa)+string(ecdsa), refused.Fingerprint) ||
		!strings.Contains(err.Error(), refused.Fingerprint) || !strings.Contains(err.Error(), refused.Line) {
		t.Errorf("the fingerprint is not that of the server, or is not said: %v", err)
	}
	if err := clone(secretFile(t, refused.Line+"\n")); err != nil {
		t.Errorf("with the line that the error gave: %v", err)
	}

	pub, err := os.ReadFile(other.path("host_ed25519.pub"))
	if err != nil {
		t.Fatal(err)
	}
	err = clone(secretFile(t, fmt.Sprintf("[127.0.0.1]:%d %s", s.port, pub)))
	if !errors.As(err, &refused) || !refused.Changed || !strings.Contains(err.Error(), "SHA256:") {
		t.Errorf("changed: got %v", err)
	}
	revoked := fmt.Sprintf("@revoked [127.0.0.1]:%d %s", s.port, readTestFile(t, s.path("host_ed25519.pub")))
	if err := clone(secretFile(t, revoked)); err == nil {
		t.Error("a revoked key was accepted")
	}
	rsaOnly := newSSHServer(t, "rsa")
	s.port = other.port // which has no key of that type
	err = clone(secretFile(t, fmt.Sprintf("[127.0.0.1]:%d %s", s.port, readTestFile(t, rsaOnly.path("host_rsa.pub")))))
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), refused.Fingerprint) {
		t.Errorf("known by a key of another type: got %v", err)
	}
}

func readTestFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestSSHServerThatRefusesUsIsAnError(t *testing.T) {
	r := newTestRepo(t)
	s := newSSHServer(t, "ed25519")
	known := s.knownHosts("ed25519", false)
	c := newWorkingCopy(t, s.url(r.dir), func(o *GitOptions) {
		o.Auth = Auth{SSHKey: testSSHKey(t), KnownHosts: known}
	})
	c.cloneFails("Permission denied (publickey")
	c = newWorkingCopy(t, s.url("/nonexistent.git"), func(o *GitOptions) {
		o.Auth = Auth{SSHKey: s.path("user"), KnownHosts: known}
	})
	_, err := c.Clone(context.Background())
	if err == nil || !strings.Contains(err.Error(), "does not appear to be a git repository") {
		t.Errorf("no such repository: got %v", err)
	}
}

// testSSHAgent starts an ssh agent that has one key and returns its socket.
func testSSHAgent(t *testing.T, keyFile string) string {
	t.Helper()
	program := needProgram(t, "ssh-agent")
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

// configureSSH makes ssh take a configuration instead of those of the machine and its user.
func configureSSH(t *testing.T, config string) {
	t.Helper()
	ssh := needProgram(t, "ssh")
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	writeTestFile(t, file, config)
	program := fmt.Sprintf("#!/bin/sh\nexec %s -F %s \"$@\"\n", ssh, file)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(program), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestSSHKeyMayBeInAnAgent(t *testing.T) {
	r := newTestRepo(t)
	s := newSSHServer(t, "ed25519")
	configureSSH(t, "IdentityFile none\nUserKnownHostsFile "+s.knownHosts("ed25519", true)+"\n")
	t.Setenv("SSH_AUTH_SOCK", "")
	newWorkingCopy(t, s.url(r.dir)).cloneFails("The server must know our key")
	t.Setenv("SSH_AUTH_SOCK", testSSHAgent(t, s.path("user")))
	cloned(t, s.url(r.dir)).is(r, "main")
}

func TestSSHConfigurationIsHonoured(t *testing.T) {
	r := newTestRepo(t)
	s := newSSHServer(t, "ed25519")
	t.Setenv("SSH_AUTH_SOCK", "")
	// What it forwards and runs is for people, and what it trusts is no longer a matter of its.
	configureSSH(t, fmt.Sprintf("StrictHostKeyChecking no\nLocalForward 127.0.0.1:%d 127.0.0.1:1\nRequestTTY force\n"+
		"RemoteCommand false\nExitOnForwardFailure yes\nUserKnownHostsFile %s\n"+
		"Host near far\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s\n  HostKeyAlias [127.0.0.1]:%d\n"+
		"Host far\n  ProxyJump near\nHost stranger\n  HostName localhost\n  Port %d\n",
		s.port, s.knownHosts("ed25519", false), s.port, currentUser(t), s.path("user"), s.port, s.port))
	for _, host := range []string{"near", "far"} {
		cloned(t, host+":"+r.dir).is(r, "main")
	}
	newWorkingCopy(t, "stranger:"+r.dir).cloneFails("the key of the ssh server stranger is not known")
}

func TestSSHProgramThatIsMissingIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	newWorkingCopy(t, "server:r").cloneFails("install the package openssh-client")
}

func TestSSHTakesNoPassword(t *testing.T) {
	_, err := newWorkingCopy(t, "ssh://u:s3cr3t@127.0.0.1:1/r").Clone(t.Context())
	if err == nil || !strings.Contains(err.Error(), "use a key") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}
