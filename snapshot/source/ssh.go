package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Servers are reached by the ssh program, as git, svn and cvs do it: what ssh_config(5) says is true of us then, with
// ProxyJump, agents, certificates and keys in hardware, and so are its defaults.

// sshPackage is the Debian package that has ssh.
const sshPackage = "openssh-client"

// sshNeverAsks are options of ssh with which it asks nobody anything, trusts no unknown key, says what is wrong and nothing
// else, and leaves no process behind.
var sshNeverAsks = []string{"LogLevel=ERROR", "ControlMaster=no", "BatchMode=yes", "StrictHostKeyChecking=yes"}

// sshOptions returns the options for every connection, such as "BatchMode=yes".
func (a Auth) sshOptions() []string {
	options := sshNeverAsks[:len(sshNeverAsks):len(sshNeverAsks)]
	if a.SSHKey != "" {
		options = append(options, "IdentitiesOnly=yes", "IdentityFile="+quoteSSH(a.SSHKey))
	}
	if a.KnownHosts != "" {
		options = append(options, "GlobalKnownHostsFile=/dev/null", "UserKnownHostsFile="+quoteSSH(a.KnownHosts))
	}
	return options
}

// quoteSSH quotes a file name for an option of ssh, which knows blanks and percent signs.
func quoteSSH(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// checkSSH finds files that are configured and cannot be read: ssh goes on without them.
func (a Auth) checkSSH() error {
	for _, file := range []struct{ what, path string }{{"ssh key", a.SSHKey}, {"known hosts", a.KnownHosts}} {
		if file.path == "" {
			continue
		}
		f, err := os.Open(file.path)
		if err != nil {
			return fmt.Errorf("reading the %s: %w", file.what, err)
		}
		_ = f.Close()
	}
	return nil
}

// sshTarget is where an ssh connection leads. The configuration of ssh may know more of it.
type sshTarget struct {
	auth             Auth
	user, host, port string // empty: the usual one; never the host
}

func (s sshTarget) String() string {
	if s.port == "" {
		return s.host
	}
	return net.JoinHostPort(s.host, s.port)
}

// args returns the arguments with which ssh runs a command on the server. Of an option that is there twice the first one
// counts.
func (s sshTarget) args(options []string, command string) []string {
	args := []string{"-T", "-a", "-x"} // no terminal, and nothing of ours for the server to use
	for _, o := range append(options[:len(options):len(options)], s.auth.sshOptions()...) {
		args = append(args, "-o", o)
	}
	if s.port != "" {
		args = append(args, "-p", s.port)
	}
	if s.user != "" {
		args = append(args, "-l", s.user)
	}
	return append(args, "--", s.host, command)
}

// sshProcess is a command that runs on a server: what is written goes to its standard input, what is read comes from
// its standard output.
type sshProcess struct {
	cmd     *exec.Cmd
	in, out *os.File
	said    tail          // what came on standard error; not to be read before the end
	ended   chan struct{} // closed at the end
	err     error         // how it ended
}

// start starts a command on the server.
func (s sshTarget) start(command string) (*sshProcess, error) {
	if err := s.auth.checkSSH(); err != nil {
		return nil, err
	}
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(err, theirIn.Close(), in.Close())
	}
	p := &sshProcess{in: in, out: out, ended: make(chan struct{})}
	p.cmd = exec.Command("ssh", s.args([]string{"ClearAllForwardings=yes", "RemoteCommand=none"}, command)...)
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, &p.said
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal to ask for a password, and one group to kill
	p.cmd.WaitDelay = clientGrace
	err = p.cmd.Start()
	err = errors.Join(err, theirIn.Close(), theirOut.Close())
	if err != nil {
		err = errors.Join(err, p.closePipes())
		if errors.Is(err, exec.ErrNotFound) {
			err = fmt.Errorf("the program ssh is not installed: install the package %s", sshPackage)
		}
		return nil, err
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *sshProcess) Write(data []byte) (int, error) {
	n, err := p.in.Write(data)
	return n, p.explain(err)
}

func (p *sshProcess) Read(data []byte) (int, error) {
	n, err := p.out.Read(data)
	return n, p.explain(err)
}

// explain turns the end of a pipe into the reason, if the command is over because it failed.
func (p *sshProcess) explain(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		select {
		case <-p.ended:
			return cmp.Or(p.failure(), err)
		case <-time.After(clientGrace):
		}
	}
	return err
}

// failure is why a command that is over failed.
func (p *sshProcess) failure() error {
	if p.err == nil {
		return nil
	}
	var said []string
	for line := range strings.Lines(p.said.String()) {
		if line = strings.Trim(line, "@ \r\n"); line != "" { // ssh frames what is most important
			said = append(said, line)
		}
	}
	text := strings.Join(said, "; ")
	if text == "" {
		text = p.err.Error()
	}
	if strings.Contains(text, "Permission denied (") {
		text += " The server must know our key, which must be in an agent or have no passphrase."
	}
	return fmt.Errorf("ssh says: %s", text)
}

// SetDeadline is net.Conn's.
func (p *sshProcess) SetDeadline(t time.Time) error {
	return errors.Join(p.in.SetWriteDeadline(t), p.out.SetReadDeadline(t))
}

func (p *sshProcess) closePipes() error { return errors.Join(p.in.Close(), p.out.Close()) }

// Close ends the command, and waits until nothing of it is left.
func (p *sshProcess) Close() error {
	err := p.closePipes()
	select {
	case <-p.ended:
	case <-time.After(politeness):
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
	return err
}

// HostKeyError says that an ssh server's key is not the one that it should have, or not known.
type HostKeyError struct {
	Server      string // host or host:port, as the URL has it
	Changed     bool   // the known one is another
	Fingerprint string // of the key that the server showed, "SHA256:..."
	Line        string // what a file of known hosts would have to hold for the key to be trusted
	Err         error  // what ssh says
}

func (e *HostKeyError) Unwrap() error { return e.Err }

func (e *HostKeyError) Error() string {
	if e.Changed {
		return fmt.Sprintf("the ssh server %s showed a key that is not the known one: its fingerprint is %s. "+
			"Someone may be listening in. If the server's key was really changed, replace its line in "+
			"known_hosts by: %s", e.Server, e.Fingerprint, e.Line)
	}
	return fmt.Sprintf("the key of the ssh server %s is not known: its fingerprint is %s. If that is the "+
		"server's, add to known_hosts: %s", e.Server, e.Fingerprint, e.Line)
}

// explain returns a HostKeyError instead of an error by which ssh says that it does not trust the server's key, unless it
// never will, or the key cannot be had.
func (s sshTarget) explain(ctx context.Context, failed error) error {
	if failed == nil || !strings.Contains(failed.Error(), "Host key verification failed") ||
		strings.Contains(failed.Error(), "REVOKED HOST KEY") {
		return failed
	}
	line, err := s.showKey(ctx)
	fields := strings.Fields(line) // host, type of the key, key
	if err != nil || len(fields) < 3 {
		return failed
	}
	key, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return failed
	}
	sum := sha256.Sum256(key)
	return &HostKeyError{
		Server:      s.String(),
		Changed:     strings.Contains(failed.Error(), "HOST IDENTIFICATION HAS CHANGED"),
		Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
		Line:        line,
		Err:         failed,
	}
}

// showKey returns the line that would make the server's key known, which ssh does not say. It has ssh write it to a file
// of known hosts that is empty before and gone after; nobody logs in.
func (s sshTarget) showKey(ctx context.Context) (string, error) {
	dir, err := os.MkdirTemp("", "etchtag-ssh-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "known_hosts")
	options := []string{"StrictHostKeyChecking=accept-new", "UserKnownHostsFile=" + quoteSSH(file),
		"GlobalKnownHostsFile=/dev/null", "HashKnownHosts=no", "UpdateHostKeys=no", "PreferredAuthentications=none",
		"ControlPath=none", "ClearAllForwardings=yes", "RemoteCommand=none"}
	ssh := client{program: "ssh", pkg: sshPackage, timeout: showKeyTimeout}
	_, failed := ssh.run(ctx, "", s.args(options, "true")...) // it must: the server lets nobody in without a proof
	data, err := os.ReadFile(file)
	if err != nil {
		return "", errors.Join(err, failed)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line), nil
}

// showKeyTimeout is how long a server may take to show its key.
const showKeyTimeout = 20 * time.Second
