package nventory

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"golang.org/x/sys/unix"
)

// settings say where an nVentory server is and how to reach it.
type settings struct {
	server *url.URL      // ends in a slash; without user, so that it can be shown
	user   *url.Userinfo // of the server; nil if there is none
	proxy  *url.URL      // nil: the environment's
	caFile string        // empty if there is none
	caPath string        // empty if there is none
}

// readSettings reads the configuration files and then the options.
func readSettings(o Options) (*settings, error) {
	s := &settings{}
	if err := s.set("server", nventoryServer); err != nil {
		return nil, err
	}
	for _, path := range o.ConfigFiles {
		if err := s.read(path); err != nil {
			return nil, err
		}
	}
	if o.Server != "" {
		if err := s.set("server", o.Server); err != nil {
			return nil, fmt.Errorf("nVentory: %w", err)
		}
	}
	return s, nil
}

// read adds the settings of the file at path. There is none if its directory may not be searched, as may be
// when the home directory is another user's.
func (s *settings) read(path string) error {
	_, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := parse.Text(path)
	if err != nil {
		return err
	}
	return s.parse(path, text)
}

// parse adds the settings of the file at path, whose content is text. Lines that are about something
// else may have any form, because other programs read the file too.
func (s *settings) parse(path, text string) error {
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\uFEFF")) {
		number++
		left, value, found := strings.Cut(withoutComment(line), "=")
		words := strings.Fields(left)
		if len(words) == 0 || !isKey(words[0]) {
			continue
		}
		if !found || len(words) > 1 {
			return parse.Faultf(path, number, "%s: the line must have the form %[1]s = VALUE", words[0])
		}
		if err := s.set(words[0], strings.TrimSpace(value)); err != nil {
			return parse.Faultf(path, number, "%s", err)
		}
	}
	return nil
}

// withoutComment removes what follows a # at the beginning of line or after white space.
func withoutComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

func isKey(word string) bool {
	switch word {
	case "server", "proxy_server", "ca_file", "ca_path":
		return true
	}
	return false
}

// set sets what a key stands for. An empty value takes back what has been set before.
func (s *settings) set(key, value string) (err error) {
	switch key {
	case "server":
		if value == "" {
			value = nventoryServer
		}
		var u *url.URL
		if u, err = parseWebURL(key, value); err == nil {
			s.user, u.User = u.User, nil
			s.server = u.JoinPath("/")
		}
	case "proxy_server":
		s.proxy = nil
		if value != "" {
			s.proxy, err = parseWebURL(key, value)
		}
	case "ca_file":
		s.caFile = value
	case "ca_path":
		s.caPath = value
	}
	return err
}

// parseWebURL parses the URL of a web server, the value of a key. Its errors do not show what stands before
// an @, which may be a password, nor does it use those of url.Parse, which show it.
func parseWebURL(key, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			text = "***" + text[at:]
		}
		return nil, fmt.Errorf("%s: %q is not a URL like http://HOST/ or https://HOST/", key, text)
	}
	return u, nil
}

// roots returns the certificates that are trusted, nil for the system's.
func (s *settings) roots() (*x509.CertPool, error) {
	if s.caFile == "" && s.caPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if s.caFile != "" {
		text, err := parse.Text(s.caFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		if !pool.AppendCertsFromPEM([]byte(text)) {
			return nil, fmt.Errorf("ca_file: there is no certificate in %s", s.caFile)
		}
	}
	if s.caPath != "" {
		if err := addCertificates(pool, s.caPath); err != nil {
			return nil, fmt.Errorf("ca_path: %w", err)
		}
	}
	return pool, nil
}

// addCertificates adds those of all files in the directory dir. Among them may be links that lead nowhere
// and files that are not for us: they are passed over, as long as there is one certificate.
func addCertificates(pool *x509.CertPool, dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	found := false
	for _, entry := range entries {
		text, err := parse.Text(filepath.Join(dir, entry.Name()))
		if err == nil && pool.AppendCertsFromPEM([]byte(text)) {
			found = true
		}
	}
	if !found {
		return fmt.Errorf("there is no certificate that can be read in %s", dir)
	}
	return nil
}
