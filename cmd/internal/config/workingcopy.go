package config

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// WorkingCopy says where the configuration comes from.
type WorkingCopy struct {
	Path    string // relative to the base
	Kind    string // one of kinds
	URL     string // may hold a password: never print it
	Branch  string // of git and cvs; empty for the one that is checked out, or upstream's default
	Module  string // of cvs: what to check out
	Timeout time.Duration
	Auth    Auth
}

// Auth holds names of files, never secrets. Relative paths start at the base.
type Auth struct {
	SSHKey       string
	KnownHosts   string
	Username     string
	PasswordFile string
	TokenFile    string
	CAFile       string
}

// kinds are the kinds of version control.
var kinds = []string{"auto", "git", "svn", "cvs", "dir"}

// CheckKind says why a word is no kind of version control, or nothing if it is one.
func CheckKind(kind string) error { return checkOneOf(kinds...)(kind) }

func (w *WorkingCopy) fields() []field {
	return []field{
		{"path", readText(&w.Path, checkWorkingCopyPath)},
		{"kind", readText(&w.Kind, checkOneOf(kinds...))},
		{"url", readText(&w.URL, checkURL)},
		{"branch", readText(&w.Branch, checkBranch)},
		{"module", readText(&w.Module, checkModule)},
		{"timeout", readDuration(&w.Timeout, checkPositive)},
		{"auth", w.Auth.read},
	}
}

func (w *WorkingCopy) read(v value) {
	v.mapping(w.fields()...)
	w.Path = filepath.Clean(w.Path)
	w.checkKind(v)
}

// SourceKind is the kind that is configured, or else the one that the URL leaves no doubt of; empty if both leave it open.
func (w *WorkingCopy) SourceKind() string {
	scheme, _, hasScheme := strings.Cut(w.URL, "://")
	switch {
	case w.Kind != "auto":
		return w.Kind
	case w.URL == "":
		return ""
	case strings.HasPrefix(w.URL, ":"):
		return "cvs"
	case scheme == "svn", strings.HasPrefix(scheme, "svn+"):
		return "svn"
	case !hasScheme, strings.HasSuffix(w.URL, ".git"), scheme != "http" && scheme != "https" && scheme != "file":
		return "git"
	}
	return ""
}

// checkKind reports keys that the kind of version control has no use for, and those that it needs.
func (w *WorkingCopy) checkKind(v value) {
	say := func(key, why string) {
		at, _ := v.at(key)
		at.fail("%s", why)
	}
	kind := w.SourceKind()
	if kind == "svn" && w.URL != "" && !strings.Contains(w.URL, "://") {
		say("url", "is no URL of Subversion: a path is written as file:///PATH")
	}
	if kind == "svn" && w.Branch != "" {
		say("branch", "is not for svn: there the URL ends in the branch, as in .../etch/trunk")
	}
	if kind == "dir" && w.URL != "" {
		say("url", "is not for dir: the tool that maintains the tree knows where it comes from")
	}
	if kind == "cvs" && w.URL != "" && w.Module == "" {
		say("module", "is missing: it says what of the repository to check out")
	}
	if kind != "cvs" && w.Module != "" {
		say("module", "is for cvs only")
	}
	if w.Auth.TokenFile != "" && kind != "git" && kind != "" {
		say("auth", "has a token_file, which is for git only")
	}
	if w.Auth.CAFile != "" && kind == "cvs" {
		say("auth", "has a ca_file, which is for git and svn only")
	}
}

func (a *Auth) read(v value) {
	v.mapping(
		field{"ssh_key", readText(&a.SSHKey, checkOptionalFile)},
		field{"known_hosts", readText(&a.KnownHosts, checkOptionalFile)},
		field{"username", readText(&a.Username, checkPrintable)},
		field{"password_file", readText(&a.PasswordFile, checkOptionalFile)},
		field{"token_file", readText(&a.TokenFile, checkOptionalFile)},
		field{"ca_file", readText(&a.CAFile, checkOptionalFile)},
	)
	if a.PasswordFile != "" && a.TokenFile != "" {
		v.fail("has both password_file and token_file: a server gets one or the other")
	}
}

func checkModule(s string) error {
	if strings.HasPrefix(s, "-") || s != strings.TrimSpace(s) {
		return fmt.Errorf("%q is not the name of a module", s)
	}
	return checkPrintable(s)
}

// checkURL refuses what cannot be a repository. Its errors never quote the URL, which may hold a password.
func checkURL(s string) error {
	if err := checkPrintable(s); err != nil {
		return err
	}
	if s != strings.TrimSpace(s) {
		return errors.New("must not begin or end with blanks")
	}
	scheme, _, found := strings.Cut(s, "://")
	if !found || scheme == "file" || strings.HasPrefix(s, ":") {
		return nil // empty, a path, HOST:PATH, or a root of CVS
	}
	if !slices.Contains([]string{"https", "http", "ssh", "git+ssh", "ssh+git", "git", "svn"}, scheme) &&
		!strings.HasPrefix(scheme, "svn+") {
		return fmt.Errorf("the scheme %q is none of https, http, ssh, git, svn, svn+ssh and file", scheme)
	}
	u, err := url.Parse(s)
	if err != nil {
		return errors.New("cannot be parsed as a URL: are the special characters in its user and password escaped?")
	}
	if u.Host == "" {
		return errors.New("names no host")
	}
	return nil
}

// checkBranch accepts what git does, see git-check-ref-format(1), and nothing for upstream's default.
func checkBranch(s string) error {
	bad := strings.ContainsAny(s, " ~^:?*[\\") || strings.Contains(s, "..") || strings.Contains(s, "@{") ||
		strings.Contains(s, "//") || strings.Contains("/"+s, "/.") || strings.Contains(s+"/", ".lock/") ||
		strings.HasPrefix(s, "-") || strings.HasPrefix(s, "/") ||
		strings.HasSuffix(s, "/") || strings.HasSuffix(s, ".") || s == "@"
	if bad {
		return fmt.Errorf("%q is not the name of a branch", s)
	}
	return checkPrintable(s)
}
