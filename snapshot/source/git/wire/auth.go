package wire

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/source/remote"
)

// URL is a URL of a repository, taken apart.
type URL struct {
	Scheme         string // "http", "https", "ssh", "git" or "file"
	user, password string
	Host           string // without brackets
	Port           string // empty: the usual one
	Path           string // for http still escaped, for "file" absolute and clean
}

// defaultTokenUser is sent with a token where no user is named. GitHub and Gitea take any name,
// GitLab wants this one.
const defaultTokenUser = "oauth2"

// ParseURL takes a repository's URL apart, as git-clone(1) describes them. A relative path is
// taken from dir.
func ParseURL(raw, dir string) (URL, error) {
	bad := func(why string) (URL, error) {
		return URL{}, fmt.Errorf("the repository URL %q %s", remote.Redact(raw), why)
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
		return URL{Scheme: "file", Path: filepath.Clean(raw)}, nil
	}
	if scheme == "file" {
		path := strings.TrimPrefix(strings.TrimPrefix(raw, "file://"), "localhost")
		if !filepath.IsAbs(path) {
			return bad("is no absolute path: write file:///path")
		}
		return URL{Scheme: "file", Path: filepath.Clean(path)}, nil
	}
	parsed, err := url.Parse(raw)
	if err != nil {
		return bad("cannot be parsed")
	}
	u := URL{Scheme: parsed.Scheme, Host: parsed.Hostname(), Port: parsed.Port(), Path: parsed.Path}
	u.user = parsed.User.Username()
	u.password, _ = parsed.User.Password()
	switch u.Scheme {
	case "git+ssh", "ssh+git":
		u.Scheme = "ssh"
	case "http", "https", "ssh", "git":
	default:
		return bad("has an unknown scheme: use https, http, ssh, git, file or a path")
	}
	if u.Host == "" || strings.HasPrefix(u.Host, "-") {
		return bad("names no host")
	}
	if u.Path == "" || u.Path == "/" {
		return bad("names no repository on the host")
	}
	if u.Scheme == "http" || u.Scheme == "https" {
		u.Path = parsed.EscapedPath()
	} else if strings.HasPrefix(u.Path, "/~") {
		u.Path = u.Path[1:] // relative to a home directory
	}
	return u, nil
}

// parseSCP parses USER@HOST:PATH and HOST:PATH. As in git, a slash before the colon makes it a path.
func parseSCP(raw string) (URL, bool) {
	u := URL{Scheme: "ssh"}
	rest := raw
	end := max(0, strings.IndexAny(raw, "/:["))
	if at := strings.LastIndexByte(raw[:end], '@'); at >= 0 {
		u.user, rest = raw[:at], raw[at+1:]
	}
	if inner, ok := strings.CutPrefix(rest, "["); ok { // [::1]:path or [host:port]:path
		host, after, ok := strings.Cut(inner, "]:")
		if !ok {
			return URL{}, false
		}
		u.Host, u.Path = host, after
		if strings.Count(host, ":") == 1 {
			u.Host, u.Port, _ = strings.Cut(host, ":")
		}
	} else {
		host, path, ok := strings.Cut(rest, ":")
		if !ok || strings.Contains(host, "/") {
			return URL{}, false
		}
		u.Host, u.Path = host, path
	}
	if u.Host == "" || u.Host[0] == '-' || u.Path == "" {
		return URL{}, false
	}
	if strings.HasPrefix(u.Path, "/~") {
		u.Path = u.Path[1:]
	}
	return u, true
}

// address returns host:port to dial.
func (u URL) address(defaultPort string) string {
	if u.Port == "" {
		return net.JoinHostPort(u.Host, defaultPort)
	}
	return net.JoinHostPort(u.Host, u.Port)
}

// basicAuthOf returns the user and password to send to a web server, or nil.
func basicAuthOf(a remote.Auth, u URL) (*basicAuth, error) {
	auth := &basicAuth{u.user, u.password}
	if a.Username != "" {
		auth.user = a.Username
	}
	var err error
	switch {
	case a.TokenFile != "":
		auth.password, err = remote.ReadSecret("token", a.TokenFile)
		if auth.user == "" {
			auth.user = defaultTokenUser
		}
	case a.PasswordFile != "":
		auth.password, err = remote.ReadSecret("password", a.PasswordFile)
	}
	if err != nil || auth.user == "" && auth.password == "" {
		return nil, err
	}
	return auth, nil
}

// httpTransport returns a transport that trusts CAFile, too, and takes proxies from the environment.
func httpTransport(a remote.Auth) (*http.Transport, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}
	if a.CAFile == "" {
		return transport, nil
	}
	pem, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate file: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("read the system's certificates: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the certificate file %q holds no certificate in PEM", a.CAFile)
	}
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	return transport, nil
}
