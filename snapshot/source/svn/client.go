package svn

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/source/remote"
)

// minLocalTimeout is what a run of svn that needs no network may take at least.
const minLocalTimeout = 5 * time.Minute

// client runs svn and svnversion in one directory. Local commands need neither the network nor a login.
type client struct {
	o   *Options
	dir string
}

// in returns a client for the directory dir. Every command names its files relative to it, mostly as ".".
func (s *Source) in(dir string) client { return client{&s.o, dir} }

func (c client) client(program string) remote.Client {
	return remote.Client{
		Program: program, Pkg: "subversion", Dir: c.dir,
		// The keywords of files hold dates, which depend on the zone.
		Env:     []string{"LANGUAGE=", "TZ=UTC"},
		Timeout: c.o.Timeout,
	}
}

// local runs svn without the network.
func (c client) local(ctx context.Context, command string, args ...string) ([]byte, error) {
	return c.localInput(ctx, "", command, args...)
}

// localInput is local with something to read on standard input.
func (c client) localInput(ctx context.Context, stdin, command string, args ...string) ([]byte, error) {
	run := c.client("svn")
	run.Timeout = localTimeout(c.o.Timeout)
	out, err := run.Run(ctx, stdin, append([]string{command, "--non-interactive"}, args...)...)
	return out, explainSVN(err)
}

// version runs svnversion.
func (c client) version(ctx context.Context) (string, error) {
	run := c.client("svnversion")
	run.Timeout = localTimeout(c.o.Timeout)
	out, err := run.Run(ctx, "", "-n")
	return string(out), explainSVN(err)
}

// localTimeout is the deadline of a command that needs no network, if those that do have this one.
func localTimeout(network time.Duration) time.Duration {
	if network == 0 {
		return 0
	}
	return max(network, minLocalTimeout)
}

// remote runs svn with the network. rawURL is what it is going to reach.
func (c client) remote(ctx context.Context, rawURL, command string, args ...string) ([]byte, error) {
	run := c.client("svn")
	password, flags, err := flagsOf(c.o.Auth)
	if err != nil {
		return nil, err
	}
	if password != "" {
		run.Secrets = []string{password}
	}
	tunnel, err := tunnelOf(c.o.Auth, rawURL)
	if err != nil {
		return nil, err
	}
	run.Env = append(run.Env, tunnel...)
	flags = append([]string{command, "--non-interactive"}, flags...)
	out, err := run.Run(ctx, password, append(flags, args...)...)
	err = explainSVN(err)
	if u, parseErr := parseSVNURL(rawURL); parseErr == nil && u.Scheme == "svn+ssh" && len(tunnel) > 0 {
		err = remote.SSHTarget{Auth: c.o.Auth, User: u.User.Username(), Host: u.Hostname(), Port: u.Port()}.Explain(ctx, err)
	}
	return out, err
}

// flagsOf returns what makes svn log in as configured: nothing if it is to use its own store. The password is for its
// standard input.
func flagsOf(a remote.Auth) (password string, flags []string, err error) {
	if a.Username != "" {
		flags = append(flags, "--username", a.Username)
	}
	if a.PasswordFile != "" {
		if password, err = remote.ReadSecret("password", a.PasswordFile); err != nil {
			return "", nil, err
		}
		flags = append(flags, "--password-from-stdin", "--no-auth-cache")
	}
	if a.CAFile != "" {
		flags = append(flags, "--config-option", "servers:global:ssl-authority-files="+a.CAFile)
	}
	return password, flags, nil
}

// tunnelOf returns the environment that makes svn reach svn+ssh URLs by an ssh that never asks and knows its servers,
// unless the user has said by SVN_SSH how to do that. svn leaves the port of such a URL to the tunnel, as a part of the
// host's name.
func tunnelOf(a remote.Auth, rawURL string) ([]string, error) {
	if os.Getenv("SVN_SSH") != "" {
		return nil, nil
	}
	for _, file := range a.SSHFiles() {
		if i := strings.IndexAny(file.Path, "\"'\\%$\t\r\n"); i >= 0 {
			return nil, fmt.Errorf("the file of the %s: the path %q holds %q, which ssh would not take as it is",
				file.What, file.Path, file.Path[i])
		}
	}
	words := []string{"ssh"}
	for _, o := range append(a.SSHOptions(quoteTunnel), remote.SSHQuiet) {
		words = append(words, "-o", o)
	}
	if u, err := parseSVNURL(rawURL); err == nil && u.Scheme == "svn+ssh" && u.Port() != "" {
		words = append(words, "-o", "HostName="+u.Hostname(), "-p", u.Port())
	}
	return []string{"SVN_SSH=" + strings.Join(append(words, "--"), " ")}, nil
}

// quoteTunnel quotes a path for ssh, and for svn, which takes SVN_SSH apart at blanks.
func quoteTunnel(path string) string { return `\"` + strings.ReplaceAll(path, " ", `\ `) + `\"` }

// peg makes svn take a path or URL as it is, although there may be an "@" in it. With a revision it names the file that
// was there then.
func peg(target, revision string) string { return target + "@" + revision }

// parseXML reads svn's XML output.
func parseXML[T any](out []byte, what string) (T, error) {
	var v T
	if err := xml.Unmarshal(out, &v); err != nil {
		return v, fmt.Errorf("read what %s has written: %w", what, err)
	}
	return v, nil
}

// FormatError says that a working copy was made by an older svn.
type FormatError struct {
	Dir string
	Err error
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("the working copy %q has the format of an older Subversion: run \"svn upgrade %s\", as its owner: %v",
		e.Dir, e.Dir, e.Err)
}

func (e *FormatError) Unwrap() error { return e.Err }

var (
	svnCode   = remote.LazyRegexp(`\b[EW](\d{6}):`)
	svnOldDir = remote.LazyRegexp(`E155036: The working copy at '([^']+)'`)
	// The errors of SQLite that mean a damaged file, and not a full disk, say.
	svnDamagedDB = remote.LazyRegexp(`sqlite\[S(1|11|26)\]`)
	svnNoFile    = remote.LazyRegexp(`E000002: [^\n]*/\.svn/`)
)

// explainSVN makes a FormatError of an error that means one.
func explainSVN(err error) error {
	if m := svnOldDir().FindStringSubmatch(clientText(err)); m != nil {
		return &FormatError{m[1], err}
	}
	return err
}

// clientText returns what a client has complained of.
func clientText(err error) string {
	var failed *remote.ClientError
	if errors.As(err, &failed) {
		return failed.Text
	}
	return ""
}

// hasCode reports whether svn failed with one of its error codes.
func hasCode(err error, codes ...string) bool {
	for _, m := range svnCode().FindAllStringSubmatch(clientText(err), -1) {
		if slices.Contains(codes, m[1]) {
			return true
		}
	}
	return false
}

// isLocked reports whether an error means that a svn was interrupted in the working copy, or is at work there.
func isLocked(err error) bool {
	return hasCode(err, "155004", "155037") // locked; an operation was not finished
}

// stuckError says that "svn cleanup" has not helped.
type stuckError struct{ err error }

func (e *stuckError) Error() string { return "\"svn cleanup\" does not help: " + e.err.Error() }

func (e *stuckError) Unwrap() error { return e.err }

// isSVNDamage reports whether an error means that what svn keeps in the working copy is damaged, so that only a new
// checkout helps.
func isSVNDamage(err error) bool {
	var stuck *stuckError
	text := clientText(err)
	// No space, no permission, read-only, quota, an I/O error: it may be whole nevertheless.
	if hasCode(err, "000028", "000013", "000030", "000122", "000005") {
		return false
	}
	// No or a corrupt database; a corrupt base text; a checksum that does not match; no such node; not a working copy;
	// a step that cannot be taken, even by "svn cleanup".
	return hasCode(err, "155016", "155017", "200014", "155010", "155007", "155009") ||
		errors.As(err, &stuck) || svnDamagedDB().MatchString(text) || svnNoFile().MatchString(text)
}

// isGone reports whether an error means that upstream does not have what was asked for.
func isGone(err error) bool {
	return hasCode(err, "160013", "170000", "195012", "160006", "160005")
}

// commitTime parses the time of a commit, which svn leaves out if nobody may know it.
func commitTime(date string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, date)
	return t.UTC()
}
