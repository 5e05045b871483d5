package cvs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// cvsShell runs the client: the shell sets what a process has to have set before it starts. What the environment says
// of read-only files and logs is not ours; directories and files are such that the etch server's user can read them.
const cvsShell = `unset CVSREAD CVSREADONLYFS CVS_CLIENT_LOG; umask 022; exec cvs "$@"`

// session runs the client for one repository, with the credentials that were configured.
type session struct {
	client remote.Client
	ssh    *remote.SSHTarget // where our ssh leads; nil if there is none
	global []string          // options before the command
	dir    string            // where secrets and the program for :ext: are kept; empty if there are none
	step   func(label string) error
}

// newSession prepares to run the client. What it has to write stands beside the working copy at root for the time
// being, in a directory that nobody else can enter.
func (c *Source) newSession(upstream repositoryRoot, root string) (*session, error) {
	s := &session{step: c.o.Step}
	s.client = remote.Client{Program: "sh", Pkg: "dash", Timeout: c.o.Timeout}
	var err error
	switch upstream.method {
	case cvsPserver:
		upstream, err = s.logIn(upstream, c.o.Auth, root)
	case cvsExt:
		err = s.useSSH(upstream, c.o.Auth, root)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("prepare to connect to the CVS repository %s: %w", upstream, err)
	}
	s.global = []string{"-f", "-w", "-q", "-d", upstream.String()}
	if upstream.host == "" {
		// A client that is killed would leave its locks in the repository, and nobody could commit.
		s.global = append(s.global, "-R")
	}
	return s, nil
}

func (s *session) close() {
	if s.dir != "" {
		_ = disk.RemovePath(s.dir)
	}
}

// file writes a file for the client into the session's directory, and returns its path.
func (s *session) file(root, name, content string, mode os.FileMode) (string, error) {
	if s.dir == "" {
		dir, err := workcopy.NewCloneDir(root, s.step)
		if err != nil {
			return "", err
		}
		s.dir = dir
	}
	path := filepath.Join(s.dir, name)
	return path, disk.Labelled(s.step, "write "+name, func() error { return disk.WriteFile(path, []byte(content), mode) })
}

// logIn gives the client a file of passwords of its own if a password is configured. Otherwise it takes ~/.cvspass.
func (s *session) logIn(upstream repositoryRoot, auth remote.Auth, root string) (repositoryRoot, error) {
	upstream.user = cmp.Or(auth.Username, upstream.user)
	upstream.port = cmp.Or(upstream.port, pserverPort)
	if upstream.user == "" {
		me, err := user.Current()
		if err != nil {
			return upstream, fmt.Errorf("find the user to log in as: %w", err)
		}
		upstream.user = me.Username
	}
	password := upstream.password
	if auth.PasswordFile != "" {
		var err error
		if password, err = remote.ReadSecret("password", auth.PasswordFile); err != nil {
			return upstream, err
		}
	}
	if password == "" {
		return upstream, nil
	}
	if strings.Contains(upstream.String(), " ") {
		return upstream, errors.New("its name has a blank: the client finds no password for such a one")
	}
	scrambled := scrambleCVS(password)
	s.client.Secrets = append(s.client.Secrets, password, scrambled)
	line := "/1 " + upstream.String() + " " + scrambled + "\n"
	path, err := s.file(root, "cvspass", line, 0o600)
	s.client.Env = append(s.client.Env, "CVS_PASSFILE="+path)
	return upstream, err
}

// scrambleCVS hides a password from a casual glance, in the way that CVS does it in files and on the wire. It is no
// encryption. The table maps bytes to each other in pairs.
func scrambleCVS(password string) string {
	scrambled := []byte{'A'}
	for _, b := range []byte(password) {
		scrambled = append(scrambled, cvsScramble[b])
	}
	return string(scrambled)
}

// useSSH makes the client run ssh, which asks nobody anything and trusts no unknown host. A program that the user's
// environment names in CVS_RSH is used instead if nothing is configured that it could not know.
func (s *session) useSSH(upstream repositoryRoot, auth remote.Auth, root string) error {
	if os.Getenv("CVS_RSH") != "" && auth.SSHKey == "" && auth.KnownHosts == "" && upstream.port == "" {
		return nil
	}
	s.ssh = &remote.SSHTarget{Auth: auth, User: upstream.user, Host: upstream.host, Port: upstream.port}
	options := append(auth.SSHOptions(remote.QuoteSSH), remote.SSHQuiet)
	if upstream.port != "" {
		options = append(options, "Port="+upstream.port)
	}
	script := "#!/bin/sh\nexec ssh"
	for _, o := range options {
		script += " -o " + quoteShell(o)
	}
	path, err := s.file(root, "ssh", script+" \"$@\"\n", 0o700)
	s.client.Env = append(s.client.Env, "CVS_RSH="+path)
	return err
}

func quoteShell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// run runs a command of the client in dir and returns all that it says, errors and warnings among it: many are told
// by nothing else.
func (s *session) run(ctx context.Context, dir string, args ...string) (string, error) {
	return s.runShell(ctx, cvsShell+" 2>&1", dir, args)
}

// output is run for a command that prints the contents of a file.
func (s *session) output(ctx context.Context, dir string, args ...string) (string, error) {
	return s.runShell(ctx, cvsShell, dir, args)
}

func (s *session) runShell(ctx context.Context, script, dir string, args []string) (string, error) {
	args = append(s.global[:len(s.global):len(s.global)], args...)
	c := s.client
	c.Dir = dir
	if _, err := exec.LookPath("cvs"); err != nil {
		c.Program, c.Pkg = "cvs", "cvs"
		_, err := c.Run(ctx, "", args...)
		return "", err
	}
	out, err := c.Run(ctx, "", append([]string{"-c", script, "cvs"}, args...)...)
	var failed *remote.ClientError
	if !errors.As(err, &failed) {
		return string(out), err
	}
	text := cmp.Or(failed.Text, c.Hide(strings.TrimSpace(string(out))))
	err = &remote.ClientError{Program: "cvs", Args: c.HideAll(args), Text: text[max(0, len(text)-remote.MaxClientText):], Err: failed.Err}
	if s.ssh != nil {
		err = s.ssh.Explain(ctx, err)
	}
	return string(out), err
}

// cvsSkipped is what the client says of a directory that the repository has lost, or that it may not read. It does
// not call that an error.
const cvsSkipped = "skipping directory"

// cvsAborted is how the client says that it gave up, such as in "cvs [update aborted]: ".
const cvsAborted = " aborted]: "

// write runs a command that writes below dir. It fails, too, if the client left a directory out.
func (s *session) write(ctx context.Context, label, dir string, args ...string) error {
	var text string
	err := disk.Labelled(s.step, label, func() (err error) {
		text, err = s.run(ctx, dir, args...)
		return err
	})
	if err == nil && strings.Contains(text, cvsSkipped) {
		err = &remote.ClientError{Program: "cvs", Args: args, Text: s.client.Hide(strings.TrimSpace(text)), Err: errors.New("a directory was left out")}
	}
	return err
}

// news is what the client says it would do.
type news struct {
	any      bool // something, perhaps
	removed  int  // files that are no longer in the repository
	other    bool // something besides removing files
	vanished bool // a directory is no longer in the repository
}

// ask asks what an update of dir would do. It changes nothing and takes no lock. Of a new directory the client does
// not say whether any file is in it. That it cannot do all of what it would have to, because of what is local, is news.
func (s *session) ask(ctx context.Context, dir string, sticky []string) (news, error) {
	text, err := s.run(ctx, dir, append([]string{"-n", "update", "-d", "-P", "-C"}, sticky...)...)
	var failed *exec.ExitError
	if err != nil && (!errors.As(err, &failed) || failed.ExitCode() != 1 || strings.Contains(text, cvsAborted)) {
		return news{}, err
	}
	news := news{any: err != nil, other: err != nil}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "? ") { // what it does not know, and does nothing about
			continue
		}
		news.any = true
		switch {
		case strings.Contains(line, "is no longer in the repository"):
			news.removed++
		case strings.Contains(line, cvsSkipped):
			news.vanished = true
		default:
			news.other = true
		}
	}
	return news, nil
}
