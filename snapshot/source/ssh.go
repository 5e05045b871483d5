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
	"slices"
	"strings"
	"time"
)

// Servers are reached by the ssh program, as git, svn and cvs do it: what ssh_config(5) says is true of us then, with
// ProxyJump, agents, certificates and keys in hardware.

const (
	// sshPackage is the Debian package that has ssh.
	sshPackage = "openssh-client"

	// probeTimeout is how long a server may take to show its key.
	probeTimeout = 10 * time.Second

	// politeness is how long we may take to say goodbye to a server.
	politeness = 100 * time.Millisecond
)

// sshAlways are options of every ssh, whatever the user's configuration says: it asks nobody anything, trusts no key that
// known_hosts does not have, does not hand us on to a connection of somebody else's, and does nothing besides. All are
// known to OpenSSH 7.6 and later; so KnownHostsCommand, which is newer, is left to the user.
var sshAlways = []string{
	"BatchMode=yes", "StrictHostKeyChecking=yes", "NoHostAuthenticationForLocalhost=no", "VerifyHostKeyDNS=no",
	"UpdateHostKeys=no", "ControlPath=none", "PermitLocalCommand=no", "RemoteCommand=none", "ClearAllForwardings=yes",
	"ForwardAgent=no", "ForwardX11=no", "AddKeysToAgent=no",
}

// sshQuiet has ssh say nothing where its words are mixed with those of a client.
const sshQuiet = "LogLevel=ERROR"

// sshOptions returns the options for every connection, such as "BatchMode=yes". quote quotes a file's name.
func (a Auth) sshOptions(quote func(path string) string) []string {
	options := sshAlways[:len(sshAlways):len(sshAlways)]
	if a.SSHKey != "" {
		options = append(options, "IdentityAgent=none", "IdentitiesOnly=yes", "IdentityFile="+quote(a.SSHKey))
	}
	if a.KnownHosts != "" {
		options = append(options, "GlobalKnownHostsFile=/dev/null", "UserKnownHostsFile="+quote(a.KnownHosts))
	}
	return options
}

// quoteSSH quotes a file name for an option of ssh, which knows blanks and percent signs.
func quoteSSH(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(path) + `"`
}

// sshFile is a file that is configured for ssh.
type sshFile struct{ what, path string }

func (a Auth) sshFiles() []sshFile {
	files := []sshFile{{"ssh key", a.SSHKey}, {"known hosts", a.KnownHosts}}
	return slices.DeleteFunc(files, func(f sshFile) bool { return f.path == "" })
}

// checkSSH finds files that are configured and cannot be read: ssh goes on without them.
func (a Auth) checkSSH() error {
	for _, file := range a.sshFiles() {
		if strings.Contains(file.path, "${") {
			return fmt.Errorf("the file of the %s, %q: ssh takes ${ in a name for a variable", file.what, file.path)
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

// args returns arguments for ssh. Of an option that is there twice the first one counts.
func (s sshTarget) args(options ...string) []string {
	args := []string{"-T"}
	for _, o := range append(options, s.auth.sshOptions(quoteSSH)...) {
		args = append(args, "-o", o)
	}
	if s.port != "" {
		args = append(args, "-p", s.port)
	}
	if s.user != "" {
		args = append(args, "-l", s.user)
	}
	return append(args, "--", s.host)
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

func (p *sshProcess) Write(data []byte) (int, error) { return p.in.Write(data) }

// Read ends with the reason if the command failed, and else with io.EOF.
func (p *sshProcess) Read(data []byte) (int, error) {
	n, err := p.out.Read(data)
	if errors.Is(err, io.EOF) {
		err = cmp.Or(p.failure(), err)
	}
	return n, err
}

// over waits a little for the end of a command that seems to be over, and reports whether it is.
func (p *sshProcess) over() bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(clientGrace + time.Second): // it may wait for its standard error for so long itself
		return false
	}
}

// failure is why a command that is over failed; nil if it did not, or is not.
func (p *sshProcess) failure() error {
	if !p.over() || p.err == nil {
		return nil
	}
	text := p.words()
	if text == "" {
		return fmt.Errorf("the connection ended, and ssh gives no reason: %w", p.err)
	}
	if strings.Contains(text, "Permission denied (") {
		text += " The server must know our key, and ssh must not have to ask for a passphrase."
	}
	return fmt.Errorf("ssh says: %s", text)
}

// words are what ssh, or the command on the server, said before the end.
func (p *sshProcess) words() string {
	var said []string
	for line := range strings.Lines(p.said.String()) {
		if line = strings.Trim(line, "@ \r\n"); line != "" { // ssh frames what is most important
			said = append(said, line)
		}
	}
	return strings.Join(said, "; ")
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

// explain returns a HostKeyError instead of an error by which ssh says that it does not trust a server's key, if it is
// this server's, was not revoked, and can be had.
func (s sshTarget) explain(ctx context.Context, failed error) error {
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
func (s sshTarget) showKey(ctx context.Context) string {
	dir, err := os.MkdirTemp("", "etchtag-ssh-")
	if err != nil {
		return ""
	}
	defer RemovePath(dir)
	file := filepath.Join(dir, "known_hosts")
	s.probe(ctx, "StrictHostKeyChecking=accept-new", "UserKnownHostsFile="+quoteSSH(file),
		"GlobalKnownHostsFile=/dev/null", "HashKnownHosts=no")
	data, _ := os.ReadFile(file) // if there is none, the server showed no key
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}

// probe connects to the server until it knows who that is, and returns what ssh says. No key is offered and no session
// opened, so that nothing of ours is told even to a server that lets everybody in.
func (s sshTarget) probe(ctx context.Context, options ...string) string {
	ssh := client{program: "ssh", pkg: sshPackage, timeout: probeTimeout}
	_, err := ssh.run(ctx, "", append([]string{"-N"}, s.args(append(options, sshQuiet, "PreferredAuthentications=none")...)...)...)
	if failed, ok := errors.AsType[*ClientError](err); ok {
		return failed.Text
	}
	return ""
}
