package source

import (
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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
	t.Parallel()
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

func readTestFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
