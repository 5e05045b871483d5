package remote

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
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
)

// Servers are reached by the ssh program, as git, svn and cvs do it: what ssh_config(5) says is true of us then, with
// ProxyJump, agents, certificates and keys in hardware.

const (
	// sshPackage is the Debian package that has ssh.
	sshPackage = "openssh-client"

	// probeTimeout is how long a server may take to show its key.
	probeTimeout = 10 * time.Second

	// Politeness is how long we may take to say goodbye to a server.
	Politeness = 100 * time.Millisecond
)

// sshAlways are options of every ssh, whatever the user's configuration says: it asks nobody anything, trusts no key that
// known_hosts does not have, does not hand us on to a connection of somebody else's, and does nothing besides. All are
// known to OpenSSH 7.6 and later; so KnownHostsCommand, which is newer, is left to the user.
var sshAlways = []string{
	"BatchMode=yes", "StrictHostKeyChecking=yes", "NoHostAuthenticationForLocalhost=no", "VerifyHostKeyDNS=no",
	"UpdateHostKeys=no", "ControlPath=none", "PermitLocalCommand=no", "RemoteCommand=none", "ClearAllForwardings=yes",
	"ForwardAgent=no", "ForwardX11=no", "AddKeysToAgent=no",
}

// SSHQuiet has ssh say nothing where its words are mixed with those of a client.
const SSHQuiet = "LogLevel=ERROR"

// SSHOptions returns the options for every connection, such as "BatchMode=yes". quote quotes a file's name.
func (a Auth) SSHOptions(quote func(path string) string) []string {
	options := sshAlways[:len(sshAlways):len(sshAlways)]
	if a.SSHKey != "" {
		options = append(options, "IdentityAgent=none", "IdentitiesOnly=yes", "IdentityFile="+quote(a.SSHKey))
	}
	if a.KnownHosts != "" {
		options = append(options, "GlobalKnownHostsFile=/dev/null", "UserKnownHostsFile="+quote(a.KnownHosts))
	}
	return options
}

// QuoteSSH quotes a file name for an option of ssh, which knows blanks and percent signs.
func QuoteSSH(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// SSHFile is a file that is configured for ssh.
type SSHFile struct{ What, Path string }

// SSHFiles are the files that ssh is told of.
func (a Auth) SSHFiles() []SSHFile {
	files := []SSHFile{{"ssh key", a.SSHKey}, {"known hosts", a.KnownHosts}}
	return slices.DeleteFunc(files, func(f SSHFile) bool { return f.Path == "" })
}

// checkSSH finds files that are configured and cannot be read: ssh goes on without them.
func (a Auth) checkSSH() error {
	for _, file := range a.SSHFiles() {
		if strings.Contains(file.Path, "${") {
			return fmt.Errorf("the file of the %s, %q: ssh takes ${ in a name for a variable", file.What, file.Path)
		}
		f, err := os.Open(file.Path)
		if err != nil {
			return fmt.Errorf("read the %s: %w", file.What, err)
		}
		_ = f.Close()
	}
	return nil
}

// SSHTarget is where an ssh connection leads. The configuration of ssh may know more of it.
type SSHTarget struct {
	Auth             Auth
	User, Host, Port string // empty: the usual one; never the host
}

// String is the server as messages name it.
func (s SSHTarget) String() string {
	if s.Port == "" {
		return s.Host
	}
	return net.JoinHostPort(s.Host, s.Port)
}

// args returns arguments for ssh. Of an option that is there twice the first one counts.
func (s SSHTarget) args(options ...string) []string {
	args := []string{"-T"}
	for _, o := range append(options, s.Auth.SSHOptions(QuoteSSH)...) {
		args = append(args, "-o", o)
	}
	if s.Port != "" {
		args = append(args, "-p", s.Port)
	}
	if s.User != "" {
		args = append(args, "-l", s.User)
	}
	return append(args, "--", s.Host)
}

// SSHProcess is a command that runs on a server: what is written goes to its standard input, what is read comes from
// its standard output.
type SSHProcess struct {
	cmd     *exec.Cmd
	in, out *os.File
	said    tail          // what came on standard error; not to be read before the end
	ended   chan struct{} // closed at the end
	err     error         // how it ended
}

// Start starts a command on the server.
func (s SSHTarget) Start(command string) (*SSHProcess, error) {
	if err := s.Auth.checkSSH(); err != nil {
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
	p := &SSHProcess{in: in, out: out, ended: make(chan struct{})}
	p.cmd = exec.Command("ssh", append(s.args("LogLevel=INFO"), command)...)
	p.cmd.Env = append(os.Environ(), "GIT_PROTOCOL=version=0") // the user's may be sent along
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = theirIn, theirOut, &p.said
	setApart(p.cmd)
	err = p.cmd.Start()
	err = errors.Join(err, theirIn.Close(), theirOut.Close())
	if err != nil {
		err = errors.Join(err, p.closePipes())
		if errors.Is(err, exec.ErrNotFound) {
			err = notInstalled("ssh", sshPackage)
		}
		return nil, err
	}
	go func() {
		p.err = waitApart(p.cmd)
		close(p.ended)
	}()
	return p, nil
}

// Write sends data to the program at the other end.
func (p *SSHProcess) Write(data []byte) (int, error) { return p.in.Write(data) }

// Read ends with the reason if the command failed, and else with io.EOF.
func (p *SSHProcess) Read(data []byte) (int, error) {
	n, err := p.out.Read(data)
	if errors.Is(err, io.EOF) {
		err = cmp.Or(p.Failure(), err)
	}
	return n, err
}

// Over waits a little for the end of a command that seems to be over, and reports whether it is.
func (p *SSHProcess) Over() bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(clientGrace + time.Second): // it may wait for its standard error for so long itself
		return false
	}
}

// Failure is why a command that is over failed; nil if it did not, or is not.
func (p *SSHProcess) Failure() error {
	if !p.Over() || p.err == nil {
		return nil
	}
	text := p.Words()
	if text == "" {
		return fmt.Errorf("the connection ended, and ssh gives no reason: %w", p.err)
	}
	if strings.Contains(text, "Permission denied (") {
		text += " The server must know our key, and ssh must not have to ask for a passphrase."
	}
	return fmt.Errorf("ssh says: %s", text)
}

// Words are what ssh, or the command on the server, said before the end.
func (p *SSHProcess) Words() string {
	var said []string
	for line := range strings.Lines(p.said.String()) {
		if line = strings.Trim(line, "@ \r\n"); line != "" { // ssh frames what is most important
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
}

// SetDeadline is net.Conn's.
func (p *SSHProcess) SetDeadline(t time.Time) error {
	return errors.Join(p.in.SetWriteDeadline(t), p.out.SetReadDeadline(t))
}

func (p *SSHProcess) closePipes() error { return errors.Join(p.in.Close(), p.out.Close()) }

// Close ends the command, and waits until nothing of it is left.
func (p *SSHProcess) Close() error {
	err := p.closePipes()
	select {
	case <-p.ended:
	case <-time.After(Politeness):
		_ = killAll(p.cmd)
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

// Explain returns a HostKeyError instead of an error by which ssh says that it does not trust a server's key, if it is
// this server's, was not revoked, and can be had.
func (s SSHTarget) Explain(ctx context.Context, failed error) error {
	const untrusted = "Host key verification failed"
	if failed == nil || !strings.Contains(failed.Error(), untrusted) {
		return failed
	}
	said := s.probe(ctx) // it may have been another server, on the way to this one or named by what this one has
	if !strings.Contains(said, untrusted) || strings.Contains(said, "REVOKED HOST KEY") {
		return failed
	}
	line := s.showKey(ctx)
	fields := strings.Fields(line) // host, type of the key, key
	if len(fields) < 3 {
		return failed
	}
	key, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return failed
	}
	sum := sha256.Sum256(key)
	return &HostKeyError{
		Server:      s.String(),
		Changed:     strings.Contains(said, "HOST IDENTIFICATION HAS CHANGED"),
		Fingerprint: "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]),
		Line:        line,
		Err:         failed,
	}
}

// showKey returns the line that would make the server's key known, which ssh does not say. It has ssh write it to a file
// of known hosts that is empty before and gone after.
func (s SSHTarget) showKey(ctx context.Context) string {
	dir, err := disk.MakeTemp("", "etchtag-ssh-")
	if err != nil {
		return ""
	}
	defer disk.RemovePath(dir)
	file := filepath.Join(dir, "known_hosts")
	s.probe(ctx, "StrictHostKeyChecking=accept-new", "UserKnownHostsFile="+QuoteSSH(file),
		"GlobalKnownHostsFile=/dev/null", "HashKnownHosts=no")
	data, _ := os.ReadFile(file) // if there is none, the server showed no key
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// probe connects to the server until it knows who that is, and returns what ssh says. No key is offered and no session
// opened, so that nothing of ours is told even to a server that lets everybody in.
func (s SSHTarget) probe(ctx context.Context, options ...string) string {
	ssh := Client{Program: "ssh", Pkg: sshPackage, Timeout: probeTimeout}
	_, err := ssh.Run(ctx, "", append([]string{"-N"}, s.args(append(options, SSHQuiet, "PreferredAuthentications=none")...)...)...)
	if failed, ok := errors.AsType[*ClientError](err); ok {
		return failed.Text
	}
	return ""
}
