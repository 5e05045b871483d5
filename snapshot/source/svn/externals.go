package svn

import (
	"cmp"
	"path"
	"strconv"
	"strings"
)

// external is one definition of an external.
type external struct {
	dir      string // the directory that it is defined on
	path     string // where it is to be
	url      string // as it was written: it may be relative
	revision string // that it is pinned to, as it was written; empty: upstream's newest
}

// parseExternals reads a value of svn:externals, set on the directory dir. Each line defines one by
// "[-r REV] URL[@PEG] TARGET" or, as svn before 1.5 wrote it, "TARGET [-r REV] URL". Lines that svn would refuse
// are left out.
func parseExternals(dir, value string) []external {
	var found []external
	for line := range strings.Lines(value) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		e := external{dir: dir}
		var words []string
		all := externalWords(line)
		for i := 0; i < len(all); i++ {
			revision, pins := strings.CutPrefix(all[i], "-r")
			switch {
			case pins && revision == "" && i+1 < len(all):
				i++
				e.revision = all[i]
			case pins && len(all) > 2:
				e.revision = revision
			default:
				words = append(words, all[i])
			}
		}
		if len(words) != 2 {
			continue
		}
		target := words[1]
		e.url = words[0]
		if isExternalURL(target) && !isExternalURL(e.url) {
			target, e.url = e.url, target
		} else if at := strings.LastIndexByte(e.url, '@'); at > strings.LastIndexByte(e.url, '/') {
			e.revision = cmp.Or(e.revision, e.url[at+1:])
			e.url = e.url[:at]
		}
		e.path = path.Join(dir, target)
		found = append(found, e)
	}
	return found
}

// is reports whether what is checked out in an external's place is what its definition says. above is the directory
// that it is defined on.
func (e external) is(here, above wcInfo) bool {
	if e.pinned() && e.revision != here.Revision {
		return false
	}
	return sameSVN(here.URL, e.resolve(above))
}

// pinned reports whether the definition says which revision it is, once and for all.
func (e external) pinned() bool {
	_, err := strconv.ParseInt(e.revision, 10, 64)
	return err == nil
}

// resolve makes a URL of one that may be relative: to the repository, the scheme, the server or the directory above.
func (e external) resolve(above wcInfo) string {
	scheme, rest, _ := strings.Cut(above.URL, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case strings.HasPrefix(e.url, "^/"):
		return above.Root + e.url[1:]
	case strings.HasPrefix(e.url, "//"):
		return scheme + ":" + e.url
	case strings.HasPrefix(e.url, "/"):
		return scheme + "://" + host + e.url
	case strings.HasPrefix(e.url, "../"):
		return above.URL + "/" + e.url
	}
	return e.url
}

// isExternalURL reports whether a word of a definition is a URL, or relative to one. "../" and "/" begin relative
// ones only in definitions of the newer form, in which the target comes last.
func isExternalURL(word string) bool {
	return strings.Contains(word, "://") || strings.HasPrefix(word, "^/") || strings.HasPrefix(word, "//") ||
		strings.HasPrefix(word, "/") || strings.HasPrefix(word, "../")
}

// externalWords splits a line at blanks, as svn does: quotes hold words together, a backslash keeps what follows it.
func externalWords(line string) []string {
	var words []string
	var word strings.Builder
	var quote byte
	started := false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			started = true
		case quote == 0 && (c == '"' || c == '\''):
			quote, started = c, true
		case quote == c:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t'):
			if started {
				words = append(words, word.String())
			}
			word.Reset()
			started = false
		default:
			word.WriteByte(c)
			started = true
		}
	}
	if started {
		words = append(words, word.String())
	}
	return words
}
