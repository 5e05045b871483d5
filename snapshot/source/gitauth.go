package source

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
)

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
	end := max(0, strings.IndexAny(raw, "/:["))
	if at := strings.LastIndexByte(raw[:end], '@'); at >= 0 {
		u.user, rest = raw[:at], raw[at+1:]
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
