package parse

import (
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// yamlFault turns an error of the YAML library into a Fault. The library is not exact about lines.
func yamlFault(file, text string, err error) *Fault {
	line, problem := splitYAMLError(err)
	switch {
	case isStructural(problem):
		line = structuralLine(text, line)
	case line == 0:
		line = 1 + CountBreaks(text[:offence(text, problem)])
	}
	last := 1 + CountBreaks(strings.TrimRight(text, " \r\n")) // the library takes the end of the file for one more
	return Faultf(file, min(line, last), "%s", problem)
}

// CountBreaks counts the ends of lines as YAML knows them.
func CountBreaks(text string) int {
	count := -strings.Count(text, "\r\n")
	for _, end := range []string{"\n", "\r", "\u0085", "\u2028", "\u2029"} {
		count += strings.Count(text, end)
	}
	return count
}

// splitYAMLError takes the line out of an error's text; it is 0 if there is none.
func splitYAMLError(err error) (line int, problem string) {
	problem = strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, found := strings.CutPrefix(problem, "line "); found {
		if number, what, found := strings.Cut(rest, ": "); found {
			if line, err := strconv.Atoi(number); err == nil {
				return line, what
			}
		}
	}
	return 0, problem
}

// isStructural reports whether a problem is one of words that are well-formed by themselves. With those
// the library counts lines from 0, and names the line in which the mapping or list around it begins.
func isStructural(problem string) bool {
	expected, found := strings.CutPrefix(problem, "did not find expected ")
	switch expected {
	case "key", "'-' indicator", "',' or ']'", "',' or '}'", "node content", "<document start>":
		return found
	}
	return false
}

// structuralLine finds the line of a structural problem, for which the library says that it is reported.
// The library names the problem's own line if the mapping around it begins in the very first line, so it
// is asked again without the lines before that.
func structuralLine(text string, reported int) int {
	rest, skipped, begun := text, 0, false
	for {
		line, after, found := strings.Cut(rest, "\n")
		word := strings.TrimSpace(line)
		begins := word == "---" && !begun
		if !found || word != "" && word[0] != '#' && !begins {
			break
		}
		rest, skipped, begun = after, skipped+1, begun || begins
	}
	decoder := yaml.NewDecoder(strings.NewReader(rest))
	for {
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return reported + 1
		}
		if err != nil {
			line, _ := splitYAMLError(err)
			return line + 1 + skipped
		}
	}
}

// offence finds the place in text that the library complains of without naming any line: an alias to
// nothing or a byte that may not stand in YAML. Other complaints without a line are about the first.
func offence(text, problem string) int {
	if _, rest, found := strings.Cut(problem, "unknown anchor '"); found {
		anchor, _, _ := strings.Cut(rest, "'")
		return max(0, strings.Index(text, "*"+anchor))
	}
	for i, r := range text {
		invalid := r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD")
		if control := r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f; invalid || control {
			return i
		}
	}
	return 0
}
