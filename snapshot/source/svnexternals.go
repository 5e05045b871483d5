package source

import (
	"path"
	"strings"
)

// externalTargets returns where a value of svn:externals, set on the directory dir, puts externals: their paths, as
// dir is one. Each line names one by "[-r REV] URL[@PEG] TARGET" or, as svn before 1.5 wrote it, "TARGET [-r REV] URL".
func externalTargets(dir, value string) []string {
	var targets []string
	for line := range strings.Lines(value) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		var words []string
		all := externalWords(line)
		for i := 0; i < len(all); i++ {
			if all[i] == "-r" {
				i++ // and its revision
			} else if !strings.HasPrefix(all[i], "-r") || len(all) == 2 {
				words = append(words, all[i])
			}
		}
		if len(words) != 2 {
			continue // svn refuses the whole property
		}
		target := words[1]
		if isExternalURL(target) && !isExternalURL(words[0]) {
			target = words[0]
		}
		targets = append(targets, path.Join(dir, target))
	}
	return targets
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

// onTheWay returns the directories that lead to externals, but for those that hold them.
func onTheWay(targets []string) map[string]bool {
	set := map[string]bool{}
	for _, t := range targets {
		parentDirs(set, t)
	}
	return set
}
