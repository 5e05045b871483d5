package svn

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/etch/etchtag/snapshot/source/remote"
)

var svnSchemes = map[string]string{"svn": "3690", "svn+ssh": "22", "http": "80", "https": "443", "file": ""}

// parseSVNURL takes a repository's URL apart. It refuses what svn would take for something else.
func parseSVNURL(raw string) (*url.URL, error) {
	bad := func(why string) (*url.URL, error) {
		return nil, fmt.Errorf("the repository URL %q %s", remote.Redact(raw), why)
	}
	if raw == "" {
		return nil, errors.New("no URL of a repository is configured")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return bad("holds a control character")
	}
	if !strings.Contains(raw, "://") {
		return bad("is none: write svn://, svn+ssh://, https://, http:// or file:///")
	}
	u, err := url.Parse(strings.ReplaceAll(raw, " ", "%20"))
	if err != nil {
		return bad("cannot be parsed")
	}
	if _, known := svnSchemes[u.Scheme]; !known && !strings.HasPrefix(u.Scheme, "svn+") {
		return bad("has an unknown scheme: use svn, svn+ssh, https, http or file")
	}
	if u.Scheme != "file" && (u.Hostname() == "" || strings.HasPrefix(u.Hostname(), "-")) {
		return bad("names no host")
	}
	if u.Scheme == "file" && u.Path == "" {
		return bad("names no directory")
	}
	if strings.HasPrefix(u.User.Username(), "-") {
		return bad("names no user")
	}
	if _, has := u.User.Password(); has {
		return bad("holds a password, which Subversion does not use: configure a password file")
	}
	return u, nil
}

// sameSVN reports whether two URLs are spellings of one: with or without a user, the usual port, a slash at the end.
func sameSVN(a, b string) bool {
	if a == b {
		return true
	}
	place := func(raw string) string {
		u, err := parseSVNURL(raw)
		if err != nil {
			return raw
		}
		host := strings.ToLower(u.Hostname())
		if u.Scheme == "file" && host == "localhost" {
			host = ""
		}
		port := u.Port()
		if port == "" {
			port = svnSchemes[u.Scheme]
		}
		return u.Scheme + " " + host + " " + port + " " + path.Clean("/"+u.Path)
	}
	return place(a) == place(b)
}

// childURL is the URL of a file below a directory.
func childURL(dir, name string) string {
	return dir + (&url.URL{Path: "/" + name}).EscapedPath()
}

// differentUser reports whether a URL logs in as another user than the one that is recorded.
func differentUser(recorded, configured string) bool {
	was, err := parseSVNURL(recorded)
	if err != nil {
		return false
	}
	is, err := parseSVNURL(configured)
	return err == nil && is.User != nil && is.User.Username() != was.User.Username()
}
