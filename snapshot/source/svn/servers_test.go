package svn

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// servedSVN returns a working copy of the first files from a server.
func servedSVN(t *testing.T, server string) *svnCopy {
	t.Helper()
	c := newSVNCopy(t)
	for _, s := range svnServers {
		if s.Name == server {
			s.serve(c.svnRig)
		}
	}
	c.o = c.options(sourcetest.RigOptions{})
	c.Commit(sourcetest.FirstFiles...)
	return c
}

func TestSVNUserOfTheURLIsFollowed(t *testing.T) {
	t.Parallel()
	c := servedSVN(t, "svnserve")
	c.clone()
	c.o.URL = strings.Replace(c.url, "svn://", "svn://etch@", 1)
	c.o.Step = func(label string) error {
		if label == "svn relocate" {
			return errors.New("not now")
		}
		return nil
	}
	c.fails("not now")
	c.o.Step = nil
	c.update()
	if url := c.run(c.Dir(), "svn", "info", "--show-item", "url"); url != c.o.URL {
		t.Errorf("it follows %s, not %s", url, c.o.URL)
	}
}

func TestSVNPasswordIsReadAtEachUse(t *testing.T) {
	t.Parallel()
	c := servedSVN(t, "svnserve with password")
	c.clone()
	testbed.WriteTestFile(t, c.auth.PasswordFile, "wr0ng-one\n")
	err := c.fails("E170001")
	if strings.Contains(err.Error(), "wr0ng-one") {
		t.Errorf("the error is %v", err)
	}
	testbed.WriteTestFile(t, c.auth.PasswordFile, "s3cr3t\r\n")
	c.update()
	testbed.WriteTestFile(t, c.auth.PasswordFile, "")
	c.fails("is empty")
}

// The password must be seen by nobody, and be found in no file afterwards.
func TestSVNPasswordIsNowhereToBeSeen(t *testing.T) {
	c := servedSVN(t, "svnserve with password")
	log := recordClients(t, "svn", "svnversion")
	c.clone()
	c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	testbed.WriteTestFile(t, c.path("source/usr/x"), "local\n")
	out := c.update()
	c.DeletePath()
	_, err := c.source().Update(t.Context())
	if err == nil {
		t.Fatal("Update succeeded")
	}
	seen, readErr := os.ReadFile(log)
	if readErr != nil || !strings.Contains(string(seen), "--password-from-stdin") {
		t.Fatalf("the clients' arguments are %s, %v", seen, readErr)
	}
	if text := fmt.Sprintf("%s %+v %v", seen, out, err); strings.Contains(text, "s3cr3t") {
		t.Errorf("it is in %s", text)
	}
	for path, has := range testbed.ListDir(t, c.base) {
		if strings.Contains(has, "s3cr3t") {
			t.Errorf("it is in %q", path)
		}
	}
}

// recordClients puts programs before the real ones that record all that a list of processes would show, and returns the
// file in which they do so.
func recordClients(t *testing.T, names ...string) (log string) {
	t.Helper()
	dir := t.TempDir()
	log = filepath.Join(dir, "log")
	for _, name := range names {
		script := fmt.Sprintf("#!/bin/sh\n{ echo \"$0 $*\"; env; } >> %q\nexec %q \"$@\"\n", log, testbed.NeedProgram(t, name))
		testbed.WriteTestFile(t, filepath.Join(dir, name), script)
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return log
}

func TestSVNHostKeysAreNeverTrustedOnFirstUse(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := servedSVN(t, "svn+ssh")
	empty := filepath.Join(t.TempDir(), "none")
	testbed.WriteTestFile(t, empty, "")
	c.o.Auth.KnownHosts = empty
	_, err := c.source().Clone(t.Context())
	var refused *remote.HostKeyError
	if !errors.As(err, &refused) || refused.Changed {
		t.Fatalf("an unknown key: %v", err)
	}
	other := testbed.NewSSHServer(t, "ed25519")
	other.Port = c.server.Port()
	c.o.Auth.KnownHosts = other.KnownHosts("ed25519", true)
	line := refused.Line
	if _, err := c.source().Clone(t.Context()); !errors.As(err, &refused) || !refused.Changed || refused.Line != line {
		t.Errorf("a changed key: %v", err)
	}
	if _, err := os.Stat(c.Dir()); err == nil {
		t.Error("there is a working copy")
	}
	c.o.Auth.KnownHosts = testbed.SecretFile(t, line+"\n")
	c.clone()
}

func TestSVNSSHPathsWithBlanks(t *testing.T) {
	t.Parallel()
	c := servedSVN(t, "svn+ssh")
	dir := filepath.Join(t.TempDir(), "with a blank")
	for file, name := range map[*string]string{&c.o.Auth.SSHKey: "the key", &c.o.Auth.KnownHosts: "known hosts"} {
		data, err := os.ReadFile(*file)
		if err != nil {
			t.Fatal(err)
		}
		*file = filepath.Join(dir, name)
		testbed.WriteTestFile(t, *file, string(data))
		if err := os.Chmod(*file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c.clone()
	c.o.Auth.SSHKey = filepath.Join(dir, `it's`)
	c.fails(`it's`)
}

func TestSVNTunnel(t *testing.T) {
	t.Setenv("SVN_SSH", "")
	for _, test := range []struct {
		auth remote.Auth
		url  string
		want string // what is added to the words that never ask
	}{
		{remote.Auth{}, "svn+ssh://h/x", "-o LogLevel=ERROR --"},
		{remote.Auth{}, "svn+ssh://u@h:2222/x", "-o LogLevel=ERROR -o HostName=h -p 2222 --"},
		{remote.Auth{}, "svn://h:2222/x", "-o LogLevel=ERROR --"},
		{remote.Auth{SSHKey: "/k"}, "svn+ssh://h/x", `-o IdentityAgent=none -o IdentitiesOnly=yes -o IdentityFile=\"/k\" -o LogLevel=ERROR --`},
		{remote.Auth{KnownHosts: "/a b"}, "svn+ssh://h/x", `-o GlobalKnownHostsFile=/dev/null -o UserKnownHostsFile=\"/a\ b\" -o LogLevel=ERROR --`},
	} {
		env, err := tunnelOf(test.auth, test.url)
		if err != nil || len(env) != 1 || !strings.HasPrefix(env[0], "SVN_SSH=ssh -o BatchMode=yes -o StrictHostKeyChecking=yes ") ||
			!strings.HasSuffix(env[0], " -o AddKeysToAgent=no "+test.want) {
			t.Errorf("%+v, %q: %q, %v", test.auth, test.url, env, err)
		}
	}
	t.Setenv("SVN_SSH", "my ssh")
	if env, err := tunnelOf(remote.Auth{SSHKey: "/k"}, "svn+ssh://h/x"); err != nil || len(env) > 0 {
		t.Errorf("the user's own is not kept: %q, %v", env, err)
	}
}

func TestSVNCertificatesAreChecked(t *testing.T) {
	testbed.NeedProgram(t, "svn")
	t.Parallel()
	var asked atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		http.Error(w, "no repository", http.StatusNotFound)
	}))
	certificate := localhostCertificate(t)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	testbed.WriteTestFile(t, ca, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})))
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	o := Options{Dir: filepath.Join(t.TempDir(), "trunk"), URL: "https://localhost:" + port + "/x", Timeout: time.Minute}
	if _, err := New(o).Clone(t.Context()); err == nil || !strings.Contains(err.Error(), "E230001") || asked.Load() > 0 {
		t.Errorf("an unknown authority: %v", err)
	}
	o.Auth.CAFile = ca
	if _, err := New(o).Clone(t.Context()); err == nil || strings.Contains(err.Error(), "E230001") || asked.Load() == 0 {
		t.Errorf("a known authority: %v", err)
	}
}

// localhostCertificate makes a certificate that is its own authority.
func localhostCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A client that is killed leaves locks and half an update. What is published meanwhile is whole.
func TestSVNKilledClientIsMadeGood(t *testing.T) {
	t.Parallel()
	c := servedSVN(t, "svnserve")
	c.clone()
	for i, n := range runtest.Pick([]int64{600, 5_000, 100_000, 300_000}, 3, 1) {
		had := c.Upstream()
		c.Commit(append(sourcetest.Churn(i+1), testbed.Write("large", sourcetest.Noise(400_000, uint64(i))), testbed.Write(fmt.Sprintf("new%d/x", i), "x\n"))...)
		ctx, cancel := context.WithCancel(t.Context())
		c.server.After(n, cancel) // which kills svn
		if _, err := c.source().Update(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Update: %v", err)
		}
		c.server.Shut()
		(&sourcetest.Conformance{Rig: c.svnRig, T: t}).IsWhole(had)
		c.server.Open()
		c.update()
	}
}

func TestSVNPartsThatAreNotForUsToSeeAreLeftOut(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := servedSVN(t, "svnserve")
	c.Commit(testbed.Write("secret/x", "x\n"))
	conf := filepath.Join(c.svnRepo.dir, "conf")
	testbed.WriteTestFile(t, filepath.Join(conf, "svnserve.conf"), "[general]\nanon-access = read\nauthz-db = authz\n")
	testbed.WriteTestFile(t, filepath.Join(conf, "authz"), "[/]\n* = r\n[/trunk/secret]\n* =\n")
	c.clone()
	for range 2 {
		out, err := c.source().Update(t.Context())
		if err != nil || len(out.Warnings) > 0 {
			t.Fatalf("Update: %+v, %v", out, err)
		}
		dir := t.TempDir()
		export, err := c.source().Export(t.Context(), out.Revision, dir, source.ExportOptions{})
		if err != nil || len(export.Warnings) != 1 || !strings.Contains(export.Warnings[0], "not for this user to see") {
			t.Fatalf("Export: %q, %v", export.Warnings, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "defaults.yml")); err != nil {
			t.Error(err)
		}
		c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
	}
}

func TestSVNMissingClientIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := New(Options{Dir: filepath.Join(t.TempDir(), "trunk"), URL: "svn://h/x"}).Clone(t.Context())
	if err == nil || !strings.Contains(err.Error(), "install the package subversion") {
		t.Errorf("the error is %v", err)
	}
}

func TestSVNUnknownKeyOfAnExternalsServerIsNotTakenForOurs(t *testing.T) {
	runtest.Long(t)
	c := servedSVN(t, "svn+ssh")
	ours, err := url.Parse(c.o.URL)
	if err != nil {
		t.Fatal(err)
	}
	other := testbed.NewSSHServer(t, "ed25519") // which is not in the known hosts
	testbed.ConfigureSSH(t, fmt.Sprintf("HostName 127.0.0.1\nHost ours\n  Port %s\n  HostKeyAlias [127.0.0.1]:%[1]s\nHost other\n  Port %d\n",
		ours.Port(), other.Port))
	ours.Host = "ours"
	c.o.URL = ours.String()
	c.clone()
	c.svn("propset", "-q", "svn:externals", "svn+ssh://"+testbed.CurrentUser(t)+"@other/r ext", "trunk")
	c.svn("commit", "-q", "-m", "an external")
	err = c.fails("Host key verification failed")
	if refused, ok := errors.AsType[*remote.HostKeyError](err); ok {
		t.Errorf("the key of %s is not the one that is not known", refused.Server)
	}
}
