package attr

import "strings"

// wildResult is the outcome of matching a part of a pattern: besides yes and no, that no other way to
// spend the rest of the text on the stars before can help.
type wildResult int

const (
	wildMatch wildResult = iota
	wildNoMatch
	wildAbortAll        // the text is too short, whatever the stars before it take
	wildAbortToStarStar // a slash stands in the way of every star but a double one
)

// wildmatch reports whether text matches pattern as git's wildmatch has it: `*`, `?`, `[...]` with
// ranges and POSIX classes, and backslashes. With pathname, only `**` between slashes crosses a slash.
// Without it `*` crosses slashes too.
func wildmatch(pattern, text string, pathname bool) bool {
	return doWild(pattern, text, pathname) == wildMatch
}

func doWild(p, text string, pathname bool) wildResult {
	ti := 0
	for pi := 0; pi < len(p); pi, ti = pi+1, ti+1 {
		pc, tc := p[pi], byteAt(text, ti)
		if tc == 0 && pc != '*' {
			return wildAbortAll
		}
		switch pc {
		case '?':
			if pathname && tc == '/' {
				return wildNoMatch
			}
		case '[':
			matched, end := matchBracket(p, pi+1, tc)
			if end < 0 {
				return wildAbortAll
			}
			if !matched || pathname && tc == '/' {
				return wildNoMatch
			}
			pi = end
		case '*':
			next, crosses := starExtent(p, pi, pathname)
			rest := text[ti:]
			if crosses && pathname && byteAt(p, next) == '/' && doWild(p[next+1:], rest, pathname) == wildMatch {
				return wildMatch // "**/" may stand for nothing
			}
			slash := strings.IndexByte(rest, '/')
			switch {
			case next == len(p) && (crosses || slash < 0):
				return wildMatch
			case next == len(p):
				return wildNoMatch
			case crosses || p[next] != '/':
				return matchStar(p[next:], rest, crosses, pathname)
			case slash < 0:
				return wildNoMatch
			}
			pi, ti = next, ti+slash // one star before a slash takes the rest of this component
		case '\\':
			pi++
			if byteAt(p, pi) != tc {
				return wildNoMatch
			}
		default:
			if pc != tc {
				return wildNoMatch
			}
		}
	}
	if ti < len(text) {
		return wildNoMatch
	}
	return wildMatch
}

// starExtent returns where the stars that begin at p[i] end, and whether they match slashes.
func starExtent(p string, i int, pathname bool) (next int, crosses bool) {
	next = i + 1
	for byteAt(p, next) == '*' {
		next++
	}
	if !pathname {
		return next, true
	}
	if next == i+1 {
		return next, false
	}
	opens := i == 0 || p[i-1] == '/'
	closes := next == len(p) || strings.HasPrefix(p[next:], "/") || strings.HasPrefix(p[next:], `\/`)
	return next, opens && closes
}

// matchStar matches a star, of which the rest of the pattern p is given, with text.
func matchStar(p, text string, crosses, pathname bool) wildResult {
	for i := 0; i < len(text); i++ {
		if !strings.ContainsRune(`*?[\`, rune(p[0])) {
			for i < len(text) && text[i] != p[0] && (crosses || text[i] != '/') {
				i++
			}
			if byteAt(text, i) != p[0] {
				return wildNoMatch
			}
		}
		switch m := doWild(p, text[i:], pathname); {
		case m == wildNoMatch && !crosses && text[i] == '/':
			return wildAbortToStarStar
		case m == wildNoMatch, m == wildAbortToStarStar && crosses:
		default:
			return m
		}
	}
	return wildAbortAll
}

// matchBracket matches t with the bracket expression whose inside begins at p[i]. It returns the
// position of the closing bracket, -1 if the expression is malformed, so that nothing matches.
func matchBracket(p string, i int, t byte) (matched bool, end int) {
	negated := byteAt(p, i) == '!' || byteAt(p, i) == '^'
	if negated {
		i++
	}
	prev := byte(0) // the character that a range may begin with
	for first := true; first || byteAt(p, i) != ']'; first = false {
		c := byteAt(p, i)
		isRange := c == '-' && prev != 0 && byteAt(p, i+1) != 0 && byteAt(p, i+1) != ']'
		if c == '[' && byteAt(p, i+1) == ':' {
			name, after, named := className(p, i+2)
			in, known := inClass(name, t)
			if after < 0 || named && !known {
				return false, -1
			}
			if named {
				matched, prev, i = matched || in, 0, after
				continue
			}
		}
		if isRange {
			i++
			c = byteAt(p, i)
		}
		if c == '\\' {
			i++
			c = byteAt(p, i)
		}
		if c == 0 {
			return false, -1
		}
		if isRange {
			matched, prev = matched || prev <= t && t <= c, 0
		} else {
			matched, prev = matched || t == c, c
		}
		i++
	}
	return matched != negated, i
}

// className reads a class such as "digit:]" that begins at p[i]. after is the position behind it, or
// -1 if no bracket closes; named is false if that bracket does not end a class.
func className(p string, i int) (name string, after int, named bool) {
	n := strings.IndexByte(p[i:], ']')
	if n < 0 {
		return "", -1, false
	}
	name, named = strings.CutSuffix(p[i:i+n], ":")
	return name, i + n + 1, named
}

// inClass reports whether c is in the POSIX class; git knows ASCII only.
func inClass(class string, c byte) (in, known bool) {
	lower, upper, digit := 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9'
	printable := ' ' <= c && c <= '~'
	space := c == ' ' || c == '\t' || c == '\n' || c == '\r'
	switch class {
	case "alnum":
		in = lower || upper || digit
	case "alpha":
		in = lower || upper
	case "blank":
		in = c == ' ' || c == '\t'
	case "cntrl":
		in = c < ' ' || c == 0x7f
	case "digit":
		in = digit
	case "graph":
		in = printable && c != ' '
	case "lower":
		in = lower
	case "print":
		in = printable
	case "punct":
		in = printable && c != ' ' && !lower && !upper && !digit
	case "space":
		in = space
	case "upper":
		in = upper
	case "xdigit":
		in = digit || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
	default:
		return false, false
	}
	return in, true
}

// byteAt returns s[i], and 0 behind its end: neither patterns nor paths have a NUL in them.
func byteAt(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return 0
}
