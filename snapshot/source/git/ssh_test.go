package git

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/testbed"
	"golang.org/x/crypto/ssh"

	"github.com/etch/etchtag/snapshot/runtest"
)

func TestSSHServerIsTrustedOnlyByAKnownKey(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519", "rsa", "ecdsa")
	other := testbed.NewSSHServer(t, "ed25519")
	clone := func(knownHosts string) error {
		c := newWorkingCopy(t, s.Url(r.Dir), func(o *Options) {
			o.Auth = remote.Auth{SSHKey: s.Path("user"), KnownHosts: knownHosts}
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
			if err := clone(s.KnownHosts(kind, hashed)); err != nil {
				t.Errorf("known by its %s key, hashed %v: %v", kind, hashed, err)
			}
		}
	}

	err := clone(testbed.SecretFile(t, "# nobody\n"))
	var refused *remote.HostKeyError
	if !errors.As(err, &refused) || refused.Changed {
		t.Fatalf("unknown: got %v", err)
	}
	printed, _ := exec.Command("ssh-keygen", "-l", "-f", s.Path("host_ed25519.pub")).Output()
	rsa, _ := exec.Command("ssh-keygen", "-l", "-f", s.Path("host_rsa.pub")).Output()
	ecdsa, _ := exec.Command("ssh-keygen", "-l", "-f", s.Path("host_ecdsa.pub")).Output()
	if !strings.Contains(string(printed)+string(rsa)+string(ecdsa), refused.Fingerprint) ||
		!strings.Contains(err.Error(), refused.Fingerprint) || !strings.Contains(err.Error(), refused.Line) {
		t.Errorf("the fingerprint is not that of the server, or is not said: %v", err)
	}
	if err := clone(testbed.SecretFile(t, refused.Line+"\n")); err != nil {
		t.Errorf("with the line that the error gave: %v", err)
	}

	pub, err := os.ReadFile(other.Path("host_ed25519.pub"))
	if err != nil {
		t.Fatal(err)
	}
	err = clone(testbed.SecretFile(t, fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, pub)))
	if !errors.As(err, &refused) || !refused.Changed || !strings.Contains(err.Error(), "SHA256:") {
		t.Errorf("changed: got %v", err)
	}
	known := testbed.ReadTestFile(t, s.KnownHosts("ed25519", false))
	if err := clone(testbed.SecretFile(t, known+"@revoked "+known)); err == nil || errors.As(err, &refused) ||
		!strings.Contains(err.Error(), "marked as revoked") {
		t.Errorf("revoked: got %v", err)
	}
	rsaOnly := testbed.NewSSHServer(t, "rsa")
	s.Port = other.Port // which has no key of that type
	err = clone(testbed.SecretFile(t, fmt.Sprintf("[127.0.0.1]:%d %s", s.Port, testbed.ReadTestFile(t, rsaOnly.Path("host_rsa.pub")))))
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), refused.Fingerprint) {
		t.Errorf("known by a key of another type: got %v", err)
	}
}

func TestSSHServerThatRefusesUsIsAnError(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519")
	known := s.KnownHosts("ed25519", false)
	c := newWorkingCopy(t, s.Url(r.Dir), func(o *Options) {
		o.Auth = remote.Auth{SSHKey: testbed.TestSSHKey(t), KnownHosts: known}
	})
	c.cloneFails("Permission denied (publickey")
	c = newWorkingCopy(t, s.Url("/nonexistent.git"), func(o *Options) {
		o.Auth = remote.Auth{SSHKey: s.Path("user"), KnownHosts: known}
	})
	_, err := c.Clone(context.Background())
	if err == nil || !strings.Contains(err.Error(), "does not appear to be a git repository") {
		t.Errorf("no such repository: got %v", err)
	}
}

func TestSSHKeyMayBeInAnAgent(t *testing.T) {
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519")
	testbed.ConfigureSSH(t, "IdentityFile none\nUserKnownHostsFile "+s.KnownHosts("ed25519", true)+"\n")
	t.Setenv("SSH_AUTH_SOCK", "")
	newWorkingCopy(t, s.Url(r.Dir)).cloneFails("The server must know our key")
	t.Setenv("SSH_AUTH_SOCK", testbed.TestSSHAgent(t, s.Path("user")))
	cloned(t, s.Url(r.Dir)).is(r, "main")
}

func TestSSHConfigurationIsHonoured(t *testing.T) {
	runtest.Long(t)
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519")
	t.Setenv("SSH_AUTH_SOCK", "")
	// What it forwards and runs is for people, and whom it trusts is no longer for it to say.
	testbed.ConfigureSSH(t, fmt.Sprintf("StrictHostKeyChecking no\nNoHostAuthenticationForLocalhost yes\nVerifyHostKeyDNS yes\n"+
		"LocalForward 127.0.0.1:%d 127.0.0.1:1\nRequestTTY force\nRemoteCommand false\nExitOnForwardFailure yes\n"+
		"PermitLocalCommand yes\nLocalCommand echo hello\nUserKnownHostsFile %s\n"+
		"Host near far\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  IdentityFile %s\n  HostKeyAlias [127.0.0.1]:%d\n"+
		"Host far\n  ProxyJump near\nHost stranger\n  HostName localhost\n  Port %d\n",
		s.Port, s.KnownHosts("ed25519", false), s.Port, testbed.CurrentUser(t), s.Path("user"), s.Port, s.Port))
	for _, host := range []string{"near", "far"} {
		cloned(t, host+":"+r.Dir).is(r, "main")
	}
	newWorkingCopy(t, "stranger:"+r.Dir).cloneFails("the key of the ssh server stranger is not known")
}

func TestSSHProgramThatIsMissingIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	newWorkingCopy(t, "server:r").cloneFails("install the package openssh-client")
}

func TestSSHTakesNoPassword(t *testing.T) {
	t.Parallel()
	_, err := newWorkingCopy(t, "ssh://u:s3cr3t@127.0.0.1:1/r").Clone(t.Context())
	if err == nil || !strings.Contains(err.Error(), "use a key") || strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("got %v", err)
	}
}

func TestSSHNeedsNoConnectionOfTheUsers(t *testing.T) {
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519")
	t.Setenv("SSH_AUTH_SOCK", "")
	socket := filepath.Join(t.TempDir(), "master")
	testbed.ConfigureSSH(t, fmt.Sprintf("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\nIdentityFile %s\nControlPath %s\n",
		s.Path("user"), socket))
	master := exec.CommandContext(t.Context(), "ssh", "-M", "-f", "-N", "-p", fmt.Sprint(s.Port), "127.0.0.1")
	if err := master.Run(); err != nil { // it is ready when it goes into the background
		t.Fatal(err)
	}
	defer func() { _ = exec.Command("ssh", "-O", "exit", "127.0.0.1").Run() }()
	c := newWorkingCopy(t, s.Url(r.Dir), func(o *Options) { o.Auth.KnownHosts = testbed.SecretFile(t, "") })
	c.cloneFails("is not known")
}

// openSSHServer lets everybody in, and returns its address and what was asked of it.
func openSSHServer(t *testing.T) (address string, asked func() []string) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(key)
	log := make(chan string, 100)
	address = testbed.Listen(t, func(conn net.Conn) {
		_, channels, requests, err := ssh.NewServerConn(conn, config)
		if err != nil {
			log <- err.Error()
			return
		}
		log <- "somebody was let in"
		time.AfterFunc(100*time.Millisecond, func() { conn.Close() }) // there is time to ask for more
		go ssh.DiscardRequests(requests)
		for channel := range channels {
			log <- "asked for: " + channel.ChannelType()
			_ = channel.Reject(ssh.Prohibited, "")
		}
	})
	return address, func() (all []string) {
		for len(log) > 0 {
			all = append(all, <-log)
		}
		return all
	}
}

func TestStrangerThatLetsEverybodyInIsToldNothing(t *testing.T) {
	address, asked := openSSHServer(t)
	mark := filepath.Join(t.TempDir(), "mark")
	testbed.ConfigureSSH(t, "SendEnv *\nPermitLocalCommand yes\nLocalCommand touch "+mark+"\n")
	c := newWorkingCopy(t, "ssh://u@"+address+"/r", func(o *Options) { o.Auth.KnownHosts = testbed.SecretFile(t, "") })
	c.cloneFails("is not known")
	all := asked()
	if !slices.Contains(all, "somebody was let in") {
		t.Errorf("nobody asked the server for its key: %q", all)
	}
	if slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, "asked for") }) {
		t.Errorf("the server was asked for something: %q", all)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("a command was run")
	}
}

func TestWhatSSHSaysIsNotLost(t *testing.T) {
	runtest.Long(t)
	for script, says := range map[string]string{
		"echo down for maintenance >&2": "the server closed the connection without an answer; it says: down for maintenance",
		"printf 003f; echo no more >&2": "in the middle of its answer; it says: no more",
		"exit 7":                        "ssh gives no reason: exit status 7",
		"printf '@@@\n@ BEWARE @\n@@@\r\nof the dog' >&2; exit 255": "ssh says: BEWARE; of the dog",
		// What has standard error still is waited for, but not for long.
		"sleep 5 </dev/null >/dev/null & echo no route >&2; exit 1": "ssh says: no route",
		"sleep 5 </dev/null >/dev/null & exit 0":                    "the server closed the connection without an answer",
	} {
		testbed.FakeSSH(t, script)
		newWorkingCopy(t, "host:r").cloneFails(says)
	}
}

func TestSSHThatHangsIsEndedInTime(t *testing.T) {
	for _, script := range []string{
		"trap '' HUP INT TERM PIPE; exec sleep 100",
		"exec 0<&-; exec sleep 100",
		"printf 003f; exec sleep 100",
	} {
		testbed.FakeSSH(t, script)
		c := newWorkingCopy(t, "host:r", func(o *Options) { o.Timeout = 100 * time.Millisecond })
		c.cloneFails("did not finish within 100ms")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := newWorkingCopy(t, "host:r").Clone(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled, and got %v", script, err)
		}
	}
}

func TestServerThatHangsUpIsNotSilent(t *testing.T) {
	t.Parallel()
	address := testbed.Listen(t, func(conn net.Conn) { // as one does that has too many connections
		_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
		_, _ = conn.Read(make([]byte, 1))
	})
	newWorkingCopy(t, "ssh://u@"+address+"/r").cloneFails("Connection")
}

func TestGitProtocolOfTheEnvironmentIsNotSent(t *testing.T) {
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519")
	testbed.WriteTestFile(t, s.Path("config"), testbed.ReadTestFile(t, s.Path("config"))+"AcceptEnv GIT_PROTOCOL\n")
	testbed.ConfigureSSH(t, "SendEnv GIT_PROTOCOL\n")
	t.Setenv("GIT_PROTOCOL", "version=2")
	cloned(t, s.Url(r.Dir), func(o *Options) {
		o.Auth = remote.Auth{SSHKey: s.Path("user"), KnownHosts: s.KnownHosts("ed25519", false)}
	}).is(r, "main")
}

func TestOtherKeysDoNotLogInInsteadOfOurs(t *testing.T) {
	r := gittest.NewTestRepo(t)
	s := testbed.NewSSHServer(t, "ed25519")
	public := filepath.Join(t.TempDir(), "other.pub") // by which ssh finds the key in the agent
	testbed.WriteTestFile(t, public, testbed.ReadTestFile(t, s.Path("user.pub")))
	testbed.ConfigureSSH(t, "IdentityFile "+public+"\n")
	t.Setenv("SSH_AUTH_SOCK", testbed.TestSSHAgent(t, s.Path("user")))
	newWorkingCopy(t, s.Url(r.Dir), func(o *Options) {
		o.Auth = remote.Auth{SSHKey: testbed.TestSSHKey(t), KnownHosts: s.KnownHosts("ed25519", false)}
	}).cloneFails("The server must know our key")
}

func TestSSHWouldTakeANameForAnother(t *testing.T) {
	t.Parallel()
	for _, auth := range []remote.Auth{{SSHKey: "/${HOME}/k"}, {KnownHosts: "/${HOME}/k"}} {
		newWorkingCopy(t, "host:r", func(o *Options) { o.Auth = auth }).cloneFails(`"/${HOME}/k"`)
	}
}
