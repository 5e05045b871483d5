package cvs

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
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

// passCVS returns a working copy whose repository is served by pserver.
func passCVS(t *testing.T, password string) *cvsCopy {
	t.Helper()
	c := newCVSCopy(t)
	c.servePassword(password)
	c.o = c.options(sourcetest.RigOptions{})
	c.Commit(sourcetest.FirstFiles...)
	return c
}

// A client that is killed in the middle of an update leaves files of two revisions, and entries that it wrote to its
// log only.
func TestCVSKilledClientIsMadeUpFor(t *testing.T) {
	t.Parallel()
	for _, bytes := range []int64{100, 2_000, 30_000, 150_000} {
		t.Run(itoa(bytes), func(t *testing.T) {
			c := passCVS(t, cvsPassword)
			c.clone()
			had := c.Upstream()
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"), testbed.Write("large", sourcetest.Noise(50_000, 1)), testbed.Write("other", sourcetest.Noise(50_000, 2)),
				testbed.Write("source/etc/motd", sourcetest.Noise(50_000, 3)), testbed.Remove("source/usr"))
			pass := ":pserver:etch@" + c.server.Address + c.repo + " " + scrambleCVS(cvsPassword)
			c.env = []string{"CVS_PASSFILE=" + testbed.SecretFile(t, "/1 "+pass+"\n")}
			cmd := exec.Command("cvs", "-f", "-Q", "update", "-dP")
			cmd.Dir = c.Dir()
			cmd.Env = testbed.GitEnv(c.env...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			c.server.After(bytes, func() { _ = cmd.Process.Kill() })
			if err := cmd.Wait(); err == nil {
				t.Fatal("the client was not killed")
			}
			c.server.Open()
			if current, err := c.source().Current(t.Context()); err == nil {
				if dir := t.TempDir(); exportsTo(c, current, dir) {
					testbed.ListDir(t, dir).Same(t, "what is published", had)
				}
			}
			c.update()
		})
	}
}

// exportsTo reports whether a revision could be exported into dir.
func exportsTo(c *cvsCopy, r source.Revision, dir string) bool {
	_, err := c.source().Export(c.t.Context(), r, dir, source.ExportOptions{})
	return err == nil
}

// hasSecret reports whether a text shows the password, as it is or as CVS writes it.
func hasSecret(text string) bool {
	return strings.Contains(text, cvsPassword) || strings.Contains(text, scrambleCVS(cvsPassword)[1:])
}

// leavesNoSecret fails the test if a file of the rig shows the password.
func (c *cvsCopy) leavesNoSecret() {
	c.t.Helper()
	err := filepath.WalkDir(c.base, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if hasSecret(string(data)) {
			c.t.Errorf("%q shows the password", path)
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestCVSPasswordIsNotShown(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(c *cvsCopy){
		"file": func(*cvsCopy) {},
		"URL": func(c *cvsCopy) {
			c.o.URL = strings.Replace(c.o.URL, "etch@", "etch:"+cvsPassword+"@", 1)
			c.o.Auth = remote.Auth{}
		},
		"user of the configuration": func(c *cvsCopy) {
			c.o.URL = strings.Replace(c.o.URL, "etch@", "", 1)
			c.o.Auth.Username = "etch"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := passCVS(t, cvsPassword)
			put(c)
			out, err := c.source().Clone(t.Context())
			if err != nil {
				t.Fatalf("Clone: %v", err)
			}
			shown := strings.Join(out.Warnings, "\n")
			if (shown != "") != (name == "URL") || hasSecret(shown) {
				t.Errorf("the warnings are %q", shown)
			}
			c.Commit(testbed.Write("defaults.yml", "a: 2\n"))
			if out, err = c.source().Update(t.Context()); err != nil || hasSecret(strings.Join(out.Warnings, "\n")) {
				t.Errorf("the outcome is %+v, %v", out, err)
			}
			c.DeletePath()
			if _, err = c.source().Update(t.Context()); err == nil || hasSecret(err.Error()) {
				t.Errorf("the error is %v", err)
			}
			c.leavesNoSecret()
		})
	}
}

func TestCVSPasswordIsNotInTheListOfProcesses(t *testing.T) {
	t.Parallel()
	c := newCVSCopy(t)
	repo := filepath.Join(c.base, "cvsroot")
	var clients atomic.Int64
	address := testbed.Listen(t, func(net.Conn) { // a server that looks at its client
		lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, line := range lines {
			data, _ := os.ReadFile(line) // it may have ended
			if hasSecret(string(data)) {
				t.Errorf("a process is %q", data)
			}
			if strings.Contains(string(data), repo) {
				clients.Add(1)
			}
		}
	})
	c.o.URL = ":pserver:etch:" + cvsPassword + "@" + address + repo
	c.o.Timeout = time.Minute
	_, err := c.source().Clone(t.Context())
	if err == nil || hasSecret(err.Error()) || clients.Load() == 0 {
		t.Errorf("%d clients were seen, the error is %v", clients.Load(), err)
	}
	c.leavesNoSecret()
}

func TestCVSWrongPasswordIsRefused(t *testing.T) {
	t.Parallel()
	for name, password := range map[string]string{"wrong": "another pa$$word", "none": ""} {
		t.Run(name, func(t *testing.T) {
			c := passCVS(t, "unused")
			c.o.Auth.PasswordFile = ""
			if password != "" {
				c.o.Auth.PasswordFile = testbed.SecretFile(t, password+"\n")
			}
			_, err := c.source().Clone(t.Context())
			says(t, err, "authorization failed")
			if err != nil && password != "" && strings.Contains(err.Error(), password) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestCVSUnknownHostKeyIsRefused(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	c := newCVSCopy(t)
	c.serveSSH("ed25519")
	c.o = c.options(sourcetest.RigOptions{})
	c.Commit(sourcetest.FirstFiles...)
	c.o.Auth.KnownHosts = testbed.SecretFile(t, "")
	_, err := c.source().Clone(t.Context())
	var refused *remote.HostKeyError
	if !errors.As(err, &refused) {
		t.Fatalf("got %v", err)
	}
	c.o.Auth.KnownHosts = testbed.SecretFile(t, refused.Line+"\n")
	if _, err := c.source().Clone(t.Context()); err != nil {
		t.Errorf("with the line that the error gave: %v", err)
	}
}
