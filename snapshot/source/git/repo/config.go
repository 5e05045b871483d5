// Package repo is what a repository is besides its objects: where it is, its configuration and its refs.
//
// They are our own because go-git's format/config refuses forms that git takes, and because its refs are written in place
// without a sync, so that a crash leaves half a ref that it never rewrites.
package repo

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/source/remote"
)

// Config is what one configuration file of git says, in its order.
type Config []Setting

// Setting is one variable. Section and Key are in lower case, Sub is as it was written.
type Setting struct {
	Section, Sub, Key, Value string
}

// Get returns the last value of a variable, as git takes it.
func (c Config) Get(section, sub, key string) string {
	value := ""
	for _, s := range c {
		if s.Section == section && s.Sub == sub && s.Key == key {
			value = s.Value
		}
	}
	return value
}

// First returns the first value of a variable: a remote's first URL is the one that is fetched from.
func (c Config) First(section, sub, key string) string {
	for _, s := range c {
		if s.Section == section && s.Sub == sub && s.Key == key {
			return s.Value
		}
	}
	return ""
}

// Remotes lists the names of the remotes that have a URL.
func (c Config) Remotes() []string {
	var names []string
	seen := map[string]bool{}
	for _, s := range c {
		if s.Section == "remote" && s.Key == "url" && !seen[s.Sub] {
			seen[s.Sub] = true
			names = append(names, s.Sub)
		}
	}
	return names
}

// ParseConfig reads the syntax of git-config(1). Files that it includes are not read.
func ParseConfig(data []byte) (Config, error) {
	p := configParser{data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), line: 1}
	var config Config
	section, sub := "", ""
	for {
		p.skipBlank()
		if p.done() {
			return config, nil
		}
		var err error
		if p.data[p.at] == '[' {
			section, sub, err = p.header()
		} else {
			setting := Setting{Section: section, Sub: sub}
			setting.Key, setting.Value, err = p.variable()
			if err == nil && section == "" {
				err = errors.New("a variable stands before the first section")
			}
			config = append(config, setting)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
	}
}

type configParser struct {
	data []byte
	at   int
	line int
}

func (p *configParser) done() bool { return p.at >= len(p.data) }

// next returns the next byte, taking CRLF for a line feed; the end counts as a line feed.
func (p *configParser) next() byte {
	if p.done() {
		return '\n'
	}
	c := p.data[p.at]
	p.at++
	if c == '\r' && !p.done() && p.data[p.at] == '\n' {
		c = '\n'
		p.at++
	}
	if c == '\n' {
		p.line++
	}
	return c
}

// skipBlank passes over white space, empty lines and comments.
func (p *configParser) skipBlank() {
	for !p.done() {
		switch p.data[p.at] {
		case ' ', '\t', '\r', '\n':
			p.next()
		case '#', ';':
			p.skipLine()
		default:
			return
		}
	}
}

func (p *configParser) skipLine() {
	for !p.done() && p.next() != '\n' {
	}
}

// header reads [section], [section "sub"] or the old [section.sub].
func (p *configParser) header() (section, sub string, err error) {
	p.at++
	var name []byte
	for {
		c := p.next()
		switch {
		case c == ']':
			section, sub, _ = strings.Cut(strings.ToLower(string(name)), ".")
			if section == "" {
				return "", "", errors.New("a section has no name")
			}
			return section, sub, nil
		case c == ' ' || c == '\t':
			sub, err = p.subsection()
			if err == nil && len(name) == 0 {
				err = errors.New("a section has no name")
			}
			return strings.ToLower(string(name)), sub, err
		case !isNameByte(c) && c != '.':
			return "", "", fmt.Errorf("unexpected byte %q in a section's name", c)
		}
		name = append(name, c)
	}
}

// subsection reads the quoted part of a section's header and what closes it.
func (p *configParser) subsection() (string, error) {
	c := p.next()
	for c == ' ' || c == '\t' {
		c = p.next()
	}
	if c != '"' {
		return "", errors.New("the second part of a section's name is not quoted")
	}
	var sub []byte
	for {
		c = p.next()
		if c == '\\' {
			c = p.next()
		} else if c == '"' {
			break
		}
		if c == '\n' || c == 0 {
			return "", errors.New("a section's name is cut off")
		}
		sub = append(sub, c)
	}
	if p.next() != ']' {
		return "", errors.New("a section's name is not closed by ]")
	}
	return string(sub), nil
}

func (p *configParser) variable() (key, value string, err error) {
	start := p.at
	for !p.done() && isNameByte(p.data[p.at]) {
		p.at++
	}
	key = strings.ToLower(string(p.data[start:p.at]))
	if key == "" {
		return "", "", fmt.Errorf("unexpected byte %q", p.data[p.at])
	}
	for !p.done() && (p.data[p.at] == ' ' || p.data[p.at] == '\t') {
		p.at++
	}
	if p.done() {
		return key, "true", nil
	}
	switch p.data[p.at] {
	case '=':
		p.at++
		value, err = p.value()
		return key, value, err
	case '\n', '\r', '#', ';': // a name alone is true
		p.skipLine()
		return key, "true", nil
	}
	return "", "", fmt.Errorf("unexpected byte %q after the name %s", p.data[p.at], key)
}

// value reads the rest of a line, and of those that it is continued on.
func (p *configParser) value() (string, error) {
	var value []byte
	quoted := false
	keep := 0 // the length of the value without trailing blanks that stand outside quotes
	for {
		c := p.next()
		switch {
		case c == 0:
			return "", errors.New("a value holds a NUL byte")
		case c == '\n' && quoted:
			return "", errors.New("a quoted value is not closed")
		case c == '\n':
			return string(value[:keep]), nil
		case (c == '#' || c == ';') && !quoted:
			p.skipLine()
			return string(value[:keep]), nil
		case (c == ' ' || c == '\t') && !quoted:
			if len(value) > 0 {
				value = append(value, c)
			}
			continue
		case c == '"':
			quoted = !quoted
		case c == '\\':
			escaped, ok := configEscape(p.next())
			if !ok {
				return "", errors.New("a value holds an unknown escape")
			}
			value = append(value, escaped...)
		default:
			value = append(value, c)
		}
		keep = len(value)
	}
}

func configEscape(c byte) (string, bool) {
	switch c {
	case '\n':
		return "", true
	case 't':
		return "\t", true
	case 'n':
		return "\n", true
	case 'b':
		return "\b", true
	case '\\', '"':
		return string(c), true
	}
	return "", false
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-'
}

// quoteConfig writes a value so that parseGitConfig and git read it back.
func quoteConfig(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\b", `\b`).Replace(s) + `"`
}

// quoteSubsection writes the second part of a section's name.
func quoteSubsection(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Location says where the parts of a repository lie.
type Location struct {
	GitDir    string // HEAD and the index
	CommonDir string // config, refs and objects: another than gitDir in a linked working tree
}

// ErrNoCheckout says that a directory is not the top of a git working copy.
var ErrNoCheckout = errors.New("it is not a git working copy: it has no .git")

// Find finds the repository of the working copy root, whose .git may be a file or a link.
func Find(root string) (Location, error) {
	gitDir := filepath.Join(root, ".git")
	info, err := os.Stat(gitDir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Location{}, ErrNoCheckout
	case err != nil:
		return Location{}, err
	case !info.IsDir():
		if gitDir, err = ReadPathFile(gitDir, "gitdir:"); err != nil {
			return Location{}, err
		}
	}
	return LocationOf(gitDir)
}

// LocationOf adds the common directory of a linked working tree.
func LocationOf(gitDir string) (Location, error) {
	common, err := ReadPathFile(filepath.Join(gitDir, "commondir"), "")
	if errors.Is(err, os.ErrNotExist) {
		return Location{gitDir, gitDir}, nil
	}
	return Location{gitDir, common}, err
}

// ReadPathFile reads a file that holds one path, relative to the file's own directory.
func ReadPathFile(name, prefix string) (string, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return "", err
	}
	path, ok := strings.CutPrefix(strings.TrimRight(string(data), "\r\n"), prefix)
	path = strings.TrimLeft(path, " ")
	if !ok || path == "" || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf("%s: malformed: it should hold a path", name)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(name), path)
	}
	return filepath.Clean(path), nil
}

// UnsupportedRepositoryError says that a repository uses a format that cannot be read.
type UnsupportedRepositoryError struct {
	Repository string // its git directory
	Feature    string // such as "extensions.objectFormat = sha256"
	Advice     string // what to do
}

func (e *UnsupportedRepositoryError) Error() string {
	return fmt.Sprintf("the repository %q uses %s, which is not supported: %s", e.Repository, e.Feature, e.Advice)
}

// CheckFormat refuses formats of a repository that would be read wrongly.
func CheckFormat(gitDir string, c Config) error {
	unsupported := func(feature, advice string) error {
		return &UnsupportedRepositoryError{gitDir, feature, advice}
	}
	version := c.Get("core", "", "repositoryformatversion")
	if version != "" && version != "0" && version != "1" {
		return unsupported("core.repositoryformatversion = "+version, "make a fresh clone of version 0 or 1")
	}
	for _, s := range c {
		if s.Section != "extensions" {
			continue
		}
		feature := "extensions." + s.Key + " = " + s.Value
		switch {
		case s.Key == "objectformat" && s.Value != "sha1":
			return unsupported(feature, "only repositories with SHA-1 object names can be used")
		case s.Key == "refstorage" && s.Value != "files":
			return unsupported(feature, `run "git refs migrate --ref-format=files" there`)
		}
		switch s.Key {
		case "objectformat", "refstorage", "noop", "noop-v1", "preciousobjects",
			"partialclone", "worktreeconfig", "relativeworktrees":
		default:
			return unsupported(feature, "make a fresh clone without this extension")
		}
	}
	return nil
}

// IsPartial reports whether objects were left out when the repository was cloned.
func IsPartial(c Config) bool {
	for _, s := range c {
		if s.Section == "extensions" && s.Key == "partialclone" ||
			s.Section == "remote" && s.Key == "promisor" && s.Value != "false" {
			return true
		}
	}
	return false
}

// String writes the configuration so that git reads it.
func (c Config) String() string {
	var text strings.Builder
	section, sub := "", ""
	for i, s := range c {
		if i == 0 || s.Section != section || s.Sub != sub {
			section, sub = s.Section, s.Sub
			text.WriteString("[" + section)
			if sub != "" {
				text.WriteString(" " + quoteSubsection(sub))
			}
			text.WriteString("]\n")
		}
		fmt.Fprintf(&text, "\t%s = %s\n", s.Key, quoteConfig(s.Value))
	}
	return text.String()
}

// Mode returns the mode for the file: no one else may read a password in a URL.
func (c Config) Mode() os.FileMode {
	for _, s := range c {
		if strings.Contains(remote.Redact(s.Value), "***") {
			return 0o600
		}
	}
	return 0o644
}
