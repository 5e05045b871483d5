package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/testbed"
)

func TestWebServerThatWantsAPasswordGetsItFromTheURLOrAFile(t *testing.T) {
	t.Parallel()
	const password = "s3cr3t/pass word"
	r := gittest.NewTestRepo(t)
	plain := r.WebServer(password)
	withUser := strings.Replace(plain, "http://", "http://etch@", 1)
	for name, test := range map[string]struct {
		url  string
		auth remote.Auth
	}{
		"in the URL":      {strings.Replace(plain, "http://", "http://etch:s3cr3t%2Fpass%20word@", 1), remote.Auth{}},
		"password file":   {plain, remote.Auth{Username: "etch", PasswordFile: testbed.SecretFile(t, password+"\n")}},
		"user in the URL": {withUser, remote.Auth{PasswordFile: testbed.SecretFile(t, password)}},
		"token file":      {withUser, remote.Auth{TokenFile: testbed.SecretFile(t, password+"\r\n")}},
		"file before the URL's": {strings.Replace(plain, "http://", "http://etch:wrong@", 1),
			remote.Auth{PasswordFile: testbed.SecretFile(t, password)}},
	} {
		c := newWorkingCopy(t, test.url, func(o *Options) { o.Auth = test.auth })
		out, err := c.Clone(context.Background())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		c.is(r, "main")
		r.Grow(1)
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
	r := gittest.NewTestRepo(t)
	plain := r.WebServer("right")
	for _, test := range []struct {
		url  string
		auth remote.Auth
	}{
		{strings.Replace(plain, "http://", "http://etch:wr0ng%2Fone@", 1), remote.Auth{}},
		{strings.Replace(plain, "http://", "http://wr0ng%2Fone@", 1), remote.Auth{}},
		{plain, remote.Auth{Username: "etch", PasswordFile: testbed.SecretFile(t, "wr0ng/one")}},
		{plain, remote.Auth{TokenFile: testbed.SecretFile(t, "wr0ng/one")}},
		{plain, remote.Auth{}},
	} {
		c := newWorkingCopy(t, test.url, func(o *Options) { o.Auth = test.auth })
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
	r := gittest.NewTestRepo(t)
	url := r.WebServer("x")
	missing := filepath.Join(t.TempDir(), "missing")
	empty := testbed.SecretFile(t, "\n")
	for _, test := range []struct {
		auth remote.Auth
		url  string
		says string
	}{
		{remote.Auth{PasswordFile: missing}, url, missing},
		{remote.Auth{TokenFile: missing}, url, missing},
		{remote.Auth{PasswordFile: empty}, url, empty},
		{remote.Auth{CAFile: missing}, url, missing},
		{remote.Auth{CAFile: empty}, url, empty},
		{remote.Auth{SSHKey: missing}, "ssh://u@127.0.0.1:1/r", missing},
		{remote.Auth{SSHKey: testbed.TestSSHKey(t), KnownHosts: missing}, "ssh://u@127.0.0.1:1/r", missing},
	} {
		c := newWorkingCopy(t, test.url, func(o *Options) { o.Auth = test.auth })
		c.cloneFails(test.says)
	}
}

func TestCertificateOfAWebServerIsProved(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	server := httptest.NewUnstartedServer(r.WebHandler(""))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	url := server.URL + "/upstream"
	c := newWorkingCopy(t, url)
	c.cloneFails("certificate")
	ca := testbed.CertificateOf(server)
	c = c.with(func(o *Options) { o.Auth.CAFile = testbed.SecretFile(t, ca) })
	if _, err := c.Clone(context.Background()); err != nil {
		t.Errorf("with its certificate: %v", err)
	}
	c.is(r, "main")
}
