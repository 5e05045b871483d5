package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// Auth says how to prove to a server who we are, and which servers to trust. All are paths but
// Username; the files are read whenever a connection is made, so that they can be renewed.
type Auth struct {
	SSHKey       string // a private key without passphrase; empty: the agent's, then the usual ones in ~/.ssh
	KnownHosts   string // empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
	Username     string // for http, svn and cvs's pserver; empty: the one in the URL
	PasswordFile string // for these: holds a password
	TokenFile    string // for git over http: holds a token, which is sent as the password
	CAFile       string // for https: certificates in PEM that are trusted besides the system's
}

// gitURL is a URL of a repository, taken apart.
type gitURL struct {
	scheme         string // "http", "https", "ssh", "git" or "file"
	user, password string
	host           string // without brackets
	port           string // empty: the usual one
	path           string // for http still escaped, for "file" absolute and clean
}

// defaultTokenUser is sent with a token where no user is named. GitHub and Gitea take any name,
// GitLab wants this one.
const defaultTokenUser = "oauth2"

// parseGitURL takes a repository's URL apart, as git-clone(1) describes them. A relative path is
// taken from dir.
func parseGitURL(raw, dir string) (gitURL, error) {
	bad := func(why string) (gitURL, error) {
		return gitURL{}, fmt.Errorf("the repository URL %q %s", redact(raw), why)
	}
	if raw == "" {
		return bad("is empty")
	}
	if strings.ContainsAny(raw, "\x00\r\n") {
		return bad("holds a control character")
	}
	scheme, _, hasScheme := strings.Cut(raw, "://")
	if !hasScheme {
		if transport, _, ok := strings.Cut(raw, "::"); ok && !strings.ContainsAny(transport, "/:[") {
			return bad("names a helper program, which is not supported")
		}
		if u, ok := parseSCP(raw); ok {
			return u, nil
		}
		if !filepath.IsAbs(raw) {
			raw = filepath.Join(dir, raw)
		}
		return gitURL{scheme: "file", path: filepath.Clean(raw)}, nil
	}
	if scheme == "file" {
		path := strings.TrimPrefix(strings.TrimPrefix(raw, "file://"), "localhost")
		if !filepath.IsAbs(path) {
			return bad("is no absolute path: write file:///path")
		}
		return gitURL{scheme: "file", path: filepath.Clean(path)}, nil
	}
	parsed, err := url.Parse(raw)
	if err != nil {
		return bad("cannot be parsed")
	}
	u := gitURL{scheme: parsed.Scheme, host: parsed.Hostname(), port: parsed.Port(), path: parsed.Path}
	u.user = parsed.User.Username()
	u.password, _ = parsed.User.Password()
	switch u.scheme {
	case "git+ssh", "ssh+git":
		u.scheme = "ssh"
	case "http", "https", "ssh", "git":
	default:
		return bad("has an unknown scheme: use https, http, ssh, git, file or a path")
	}
	if u.host == "" || strings.HasPrefix(u.host, "-") {
		return bad("names no host")
	}
	if u.path == "" || u.path == "/" {
		return bad("names no repository on the host")
	}
	if u.scheme == "http" || u.scheme == "https" {
		u.path = parsed.EscapedPath()
	} else if strings.HasPrefix(u.path, "/~") {
		u.path = u.path[1:] // relative to a home directory
	}
	return u, nil
}

// parseSCP parses USER@HOST:PATH and HOST:PATH. As in git, a slash before the colon makes it a path.
func parseSCP(raw string) (gitURL, bool) {
	u := gitURL{scheme: "ssh"}
	rest := raw
	if at := strings.IndexByte(rest, '@'); at >= 0 && !strings.ContainsAny(rest[:at], "/:") {
		u.user, rest = rest[:at], rest[at+1:]
	}
	if inner, ok := strings.CutPrefix(rest, "["); ok { // [::1]:path or [host:port]:path
		host, after, ok := strings.Cut(inner, "]:")
		if !ok {
			return gitURL{}, false
		}
		u.host, u.path = host, after
		if strings.Count(host, ":") == 1 {
			u.host, u.port, _ = strings.Cut(host, ":")
		}
	} else {
		host, path, ok := strings.Cut(rest, ":")
		if !ok || strings.Contains(host, "/") {
			return gitURL{}, false
		}
		u.host, u.path = host, path
	}
	if u.host == "" || u.host[0] == '-' || u.path == "" {
		return gitURL{}, false
	}
	if strings.HasPrefix(u.path, "/~") {
		u.path = u.path[1:]
	}
	return u, true
}

// address returns host:port to dial.
func (u gitURL) address(defaultPort string) string {
	if u.port == "" {
		return net.JoinHostPort(u.host, defaultPort)
	}
	return net.JoinHostPort(u.host, u.port)
}

// Expressions are compiled when they are needed: every run of the resolver would wait for them.
var (
	urlUserinfo = lazyRegexp(`(?i)\b([a-z][a-z0-9+.-]*)://([^/?#\s"'@]*(?:@[^/?#\s"'@]*)*)@`)
	urlQuery    = lazyRegexp(`(?i)\b(https?://[^\s"'?#]+)\?[^\s"'#]+`)
)

func lazyRegexp(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// redact removes what may be secret from a text for a message: passwords in URLs, user names in web
// URLs (which are often tokens), the queries of those, and every one of secrets.
func redact(text string, secrets ...string) string {
	text = urlUserinfo().ReplaceAllStringFunc(text, func(match string) string {
		scheme, userinfo, _ := strings.Cut(match, "://")
		userinfo = strings.TrimSuffix(userinfo, "@")
		name, _, hasPassword := strings.Cut(userinfo, ":")
		switch {
		case strings.HasPrefix(strings.ToLower(scheme), "http"):
			return scheme + "://***@"
		case hasPassword:
			return scheme + "://" + name + ":***@"
		}
		return match
	})
	text = urlQuery().ReplaceAllString(text, "$1?***")
	for _, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret)} {
			if len(form) > 0 {
				text = strings.ReplaceAll(text, form, "***")
			}
		}
	}
	return text
}

// redactedError has the text of another error without secrets.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }

func (e *redactedError) Unwrap() error { return e.err }

// redactError removes secrets from an error's text; what the error wraps can still be asked for.
func redactError(err error, secrets ...string) error {
	if err == nil {
		return nil
	}
	text := redact(err.Error(), secrets...)
	if text == err.Error() {
		return err
	}
	return &redactedError{text, err}
}

// readSecret reads a file that holds one secret, on its first line.
func readSecret(what, file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading the %s file: %w", what, err)
	}
	secret, _, _ := strings.Cut(string(data), "\n")
	secret = strings.TrimRight(secret, "\r")
	if secret == "" {
		return "", fmt.Errorf("the %s file %q is empty", what, file)
	}
	return secret, nil
}

// basicAuth returns the user and password to send to a web server, or nil.
func (a Auth) basicAuth(u gitURL) (*basicAuth, error) {
	auth := &basicAuth{u.user, u.password}
	if a.Username != "" {
		auth.user = a.Username
	}
	var err error
	switch {
	case a.TokenFile != "":
		auth.password, err = readSecret("token", a.TokenFile)
		if auth.user == "" {
			auth.user = defaultTokenUser
		}
	case a.PasswordFile != "":
		auth.password, err = readSecret("password", a.PasswordFile)
	}
	if err != nil || auth.user == "" && auth.password == "" {
		return nil, err
	}
	return auth, nil
}

// httpTransport returns a transport that trusts CAFile, too, and takes proxies from the environment.
func (a Auth) httpTransport() (*http.Transport, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}
	if a.CAFile == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("reading the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the certificate file %q holds no certificate in PEM", a.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}

// sshTarget is what is needed to reach an ssh server.
type sshTarget struct {
	address string // host:port
	config  *ssh.ClientConfig
	refused error // set by the handshake if the server's key is not trusted
	close   func()
}

// sshTarget completes an ssh URL by ~/.ssh/config and /etc/ssh/ssh_config (HostName, Port, User,
// IdentityFile), and finds keys and known hosts.
func (a Auth) sshTarget(u gitURL) (*sshTarget, error) {
	host := u.host
	home := homeDir()
	settings := readSSHSettings(home)
	if name := settings.get(host, "HostName"); name != "" {
		u.host = strings.ReplaceAll(name, "%h", host)
	}
	if u.port == "" {
		u.port = settings.get(host, "Port")
	}
	if u.user == "" {
		u.user = settings.get(host, "User")
	}
	for _, key := range []string{"ProxyCommand", "ProxyJump"} {
		if v := settings.get(host, key); v != "" && v != "none" {
			return nil, fmt.Errorf("the ssh configuration has %s for %q, which is not supported", key, host)
		}
	}
	if u.user == "" {
		me, err := user.Current()
		if err != nil {
			return nil, fmt.Errorf("finding the user to connect to %q as: %w", host, err)
		}
		u.user = me.Username
	}
	t := &sshTarget{address: u.address("22"), close: func() {}}
	known, err := a.knownHosts(home)
	if err != nil {
		return nil, err
	}
	t.config = &ssh.ClientConfig{
		User:              u.user,
		HostKeyAlgorithms: hostKeyAlgorithms(known.HostKeyAlgorithms(t.address)),
		HostKeyCallback: func(address string, remote net.Addr, key ssh.PublicKey) error {
			t.refused = explainHostKey(known.HostKeyCallback()(address, remote, key), address, key)
			return t.refused
		},
	}
	signers, err := a.signers(t, home, settings.all(host, "IdentityFile"))
	if err != nil {
		t.close()
		return nil, err
	}
	t.config.Auth = []ssh.AuthMethod{ssh.PublicKeys(signers...)}
	if u.password != "" {
		t.config.Auth = append(t.config.Auth, ssh.Password(u.password))
	}
	return t, nil
}

// hostKeyAlgorithms has a server asked for the keys by which it is known first, and then, as OpenSSH does, for any: so
// that the key can be shown if it is of another type now. An empty list means any to the library.
func hostKeyAlgorithms(known []string) []string {
	if len(known) == 0 {
		return nil
	}
	for _, a := range ssh.SupportedAlgorithms().HostKeys {
		if !slices.Contains(known, a) {
			known = append(known, a)
		}
	}
	return known
}

// homeDir returns the user's home directory, also where HOME is not set, as under systemd.
func homeDir() string {
	if home := os.Getenv("HOME"); home != "" {
		return home
	}
	if me, err := user.Current(); err == nil {
		return me.HomeDir
	}
	return "/"
}

// knownHosts reads the files of known hosts that exist.
func (a Auth) knownHosts(home string) (*knownhosts.HostKeyDB, error) {
	files := []string{a.KnownHosts}
	if a.KnownHosts == "" {
		files = []string{filepath.Join(home, ".ssh", "known_hosts"), "/etc/ssh/ssh_known_hosts"}
	}
	var found []string
	for _, file := range files {
		_, err := os.Stat(file)
		switch {
		case err == nil:
			found = append(found, file)
		case a.KnownHosts != "" || !errors.Is(err, os.ErrNotExist):
			return nil, fmt.Errorf("reading the known hosts: %w", err)
		}
	}
	db, err := knownhosts.NewDB(found...)
	if err != nil {
		return nil, fmt.Errorf("reading the known hosts: %w", err)
	}
	return db, nil
}

// HostKeyError says that an ssh server's key is not the one that it should have, or not known.
type HostKeyError struct {
	Address     string // host:port
	Changed     bool   // another key of this host is known
	Fingerprint string // of the key that the server showed, "SHA256:..."
	Line        string // what a file of known hosts would have to hold for the key to be trusted
	Err         error
}

func (e *HostKeyError) Error() string {
	if e.Changed {
		return fmt.Sprintf("the ssh server %s showed a key that is not the known one: its fingerprint is %s. "+
			"Someone may be listening in. If the server's key was really changed, replace its line in "+
			"known_hosts by: %s", e.Address, e.Fingerprint, e.Line)
	}
	return fmt.Sprintf("the key of the ssh server %s is not known: its fingerprint is %s. If that is the "+
		"server's, add to known_hosts: %s", e.Address, e.Fingerprint, e.Line)
}

func (e *HostKeyError) Unwrap() error { return e.Err }

func explainHostKey(err error, address string, key ssh.PublicKey) error {
	if err == nil {
		return nil
	}
	if !knownhosts.IsHostKeyChanged(err) && !knownhosts.IsHostUnknown(err) {
		fingerprint := ssh.FingerprintSHA256(key)
		return fmt.Errorf("the key of the ssh server %s (%s) is refused: %w", address, fingerprint, err)
	}
	return &HostKeyError{
		Address:     address,
		Changed:     knownhosts.IsHostKeyChanged(err),
		Fingerprint: ssh.FingerprintSHA256(key),
		Line:        knownhosts.Line([]string{address}, key),
		Err:         err,
	}
}

// signers collects the keys to offer: the configured one, or those of the agent and the usual files.
func (a Auth) signers(t *sshTarget, home string, identities []string) ([]ssh.Signer, error) {
	if a.SSHKey != "" {
		signer, err := readSSHKey(a.SSHKey)
		if err != nil {
			return nil, err
		}
		return []ssh.Signer{signer}, nil
	}
	var signers []ssh.Signer
	var failures []error
	if socket := os.Getenv("SSH_AUTH_SOCK"); socket != "" {
		if conn, err := net.Dial("unix", socket); err == nil {
			t.close = func() { _ = conn.Close() }
			keys, err := agent.NewClient(conn).Signers()
			signers, failures = append(signers, keys...), append(failures, err)
		} else {
			failures = append(failures, fmt.Errorf("the ssh agent: %w", err))
		}
	}
	for _, file := range append(identities, "~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa") {
		if rest, ok := strings.CutPrefix(file, "~/"); ok {
			file = filepath.Join(home, rest)
		}
		signer, err := readSSHKey(file)
		switch {
		case err == nil:
			signers = append(signers, signer)
		case !errors.Is(err, os.ErrNotExist):
			failures = append(failures, err)
		}
	}
	if len(signers) == 0 {
		err := errors.Join(failures...)
		if err == nil {
			err = errors.New("no agent, and no key in ~/.ssh")
		}
		return nil, fmt.Errorf("there is no ssh key to log in with: %w", err)
	}
	return signers, nil
}

func readSSHKey(file string) (ssh.Signer, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the ssh key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(data)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		return nil, fmt.Errorf("the ssh key %q has a passphrase: load it into an agent, or use one without", file)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the ssh key %q: %w", file, err)
	}
	return signer, nil
}
