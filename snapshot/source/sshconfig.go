package source

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// sshSettings is what ~/.ssh/config and /etc/ssh/ssh_config say, in that order, as ssh_config(5) describes them: of
// the settings for a host the first one counts. Conditions of Match other than "all" are never met: they ask for things
// that we do not know, and most hosts need none. (A library for it compiles a regular expression before the resolver may
// begin.)
type sshSettings []sshSetting

// sshSetting is one line. The key is in lower case.
type sshSetting struct {
	scope      sshScope
	key, value string
}

// sshScope is for which hosts lines stand: a host must fit each of its lists of patterns, which are those of the Host
// line above and of that above the Include.
type sshScope [][]string

// maxSSHIncludes bounds how deep files include others, as in OpenSSH.
const maxSSHIncludes = 16

// readSSHSettings reads the configuration. What cannot be read is left out, as it may be somebody else's.
func readSSHSettings(home string) sshSettings {
	r := sshConfigReader{home: home}
	r.file(filepath.Join(home, ".ssh", "config"), filepath.Join(home, ".ssh"), nil, maxSSHIncludes)
	r.file("/etc/ssh/ssh_config", "/etc/ssh", nil, maxSSHIncludes)
	return r.settings
}

type sshConfigReader struct {
	home     string
	settings sshSettings
}

// file reads a file whose lines stand for outer. Paths are relative to dir; depth is how deep it may include others.
func (r *sshConfigReader) file(name, dir string, outer sshScope, depth int) {
	data, err := os.ReadFile(name)
	if err != nil {
		return
	}
	scope := outer
	for line := range strings.Lines(string(data)) {
		key, values := parseSSHLine(line)
		switch {
		case len(values) == 0:
		case key == "host":
			scope = append(slices.Clip(outer), values)
		case key == "match" && len(values) == 1 && strings.EqualFold(values[0], "all"):
			scope = outer
		case key == "match":
			scope = append(slices.Clip(outer), nil) // no pattern, so no host
		case key == "include":
			for _, pattern := range values {
				r.include(pattern, dir, scope, depth)
			}
		default:
			r.settings = append(r.settings, sshSetting{scope, key, values[0]})
		}
	}
}

// include reads all files that a pattern stands for, in their order.
func (r *sshConfigReader) include(pattern, dir string, scope sshScope, depth int) {
	if depth == 0 {
		return
	}
	if rest, ok := strings.CutPrefix(pattern, "~/"); ok {
		pattern = filepath.Join(r.home, rest)
	} else if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(dir, pattern)
	}
	names, err := filepath.Glob(strings.ReplaceAll(pattern, "[!", "[^"))
	if err != nil {
		return // it is malformed, so there is no such file
	}
	for _, name := range names {
		if filepath.Base(name)[0] == '.' && filepath.Base(pattern)[0] != '.' {
			continue // glob(7) passes over hidden files, such as those of editors
		}
		r.file(name, dir, scope, depth-1)
	}
}

// parseSSHLine splits a line into its keyword, in lower case, and its arguments, which may be quoted. What follows a # is
// a comment. Between keyword and arguments stands white space or one equals sign.
func parseSSHLine(line string) (key string, values []string) {
	const blank = " \t\r\n\f"
	line = strings.Trim(line, blank)
	end := strings.IndexAny(line, blank+`="`)
	if end <= 0 || line[0] == '#' {
		return "", nil
	}
	key, line = strings.ToLower(line[:end]), strings.TrimLeft(line[end:], blank)
	line = strings.TrimLeft(strings.TrimPrefix(line, "="), blank)
	for line != "" && line[0] != '#' {
		value, quote := "", byte(0)
		for line != "" && (quote != 0 || !strings.Contains(blank, line[:1])) {
			c := line[0]
			switch {
			case c == quote:
				quote = 0
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case c == '\\' && len(line) > 1 && (strings.Contains(`\"'`, line[1:2]) || quote == 0 && line[1] == ' '):
				line = line[1:]
				value += line[:1]
			default:
				value += line[:1]
			}
			line = line[1:]
		}
		values = append(values, value)
		line = strings.TrimLeft(line, blank)
	}
	return key, values
}

// fits reports whether lines of this scope stand for a host.
func (s sshScope) fits(host string) bool {
	special := strings.NewReplacer(`\`, `\\`, "[", `\[`) // to path.Match, and not in a Host line
	for _, patterns := range s {
		fits := false
		for _, pattern := range patterns {
			pattern, negated := strings.CutPrefix(pattern, "!")
			if ok, err := path.Match(special.Replace(pattern), host); err == nil && ok {
				if negated {
					return false
				}
				fits = true
			}
		}
		if !fits {
			return false
		}
	}
	return true
}

// all returns the values of a keyword for a host.
func (s sshSettings) all(host, keyword string) []string {
	keyword = strings.ToLower(keyword)
	var values []string
	for _, setting := range s {
		if setting.key == keyword && setting.scope.fits(host) {
			values = append(values, setting.value)
		}
	}
	return values
}

// get returns the value of a keyword that counts for a host, or an empty string.
func (s sshSettings) get(host, keyword string) string {
	for _, value := range s.all(host, keyword) {
		return value
	}
	return ""
}
