package source

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// conversion is what happens to the line ends of a blob on its way to a file. Git on Linux never
// takes carriage returns away there, it only adds some.
type conversion byte

const (
	convertNone conversion = iota
	convertCRLF            // every LF without a CR before it becomes CR LF
	convertAuto            // the same, in contents that look like text and have no CR in them
)

// eolConfig is what a repository's configuration says of line ends.
type eolConfig struct {
	autoCRLF  bool // core.autocrlf = true
	autoInput bool // core.autocrlf = input
	crlf      bool // core.eol = crlf
}

// readEOLConfig reads the configuration of the repository itself: neither the user's nor the
// system's may change what is published.
func readEOLConfig(gitDir string) (eolConfig, error) {
	var c eolConfig
	path := filepath.Join(gitDir, "config")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("reading the repository's configuration: %w", err)
	}
	parsed, err := parseGitConfig(data)
	if err != nil {
		return c, fmt.Errorf("parsing %q: %w", path, err)
	}
	switch strings.ToLower(parsed.get("core", "", "autocrlf")) {
	case "input":
		c.autoInput = true
	case "true", "yes", "on", "1":
		c.autoCRLF = true
	}
	c.crlf = strings.EqualFold(parsed.get("core", "", "eol"), "crlf")
	return c, nil
}

// conversion returns the conversion for a regular file with these attributes.
func (c eolConfig) conversion(values attrValues) conversion {
	text := values["text"]
	if !decidesText(text) {
		text = values["crlf"] // what "text" was called before git 1.7.2
	}
	auto := text.is("auto")
	switch eol := values["eol"]; {
	case text.kind == attrUnset || text.is("input") && !eol.is("crlf"), eol.is("lf"):
		return convertNone
	case eol.is("crlf"):
		return choose(auto, convertAuto, convertCRLF)
	case auto:
		return choose(c.textIsCRLF(), convertAuto, convertNone)
	case text.kind == attrSet:
		return choose(c.textIsCRLF(), convertCRLF, convertNone)
	}
	return choose(c.autoCRLF, convertAuto, convertNone)
}

// textIsCRLF reports whether files that are text end their lines in CR LF if no attribute says how.
func (c eolConfig) textIsCRLF() bool { return c.autoCRLF || c.crlf && !c.autoInput }

// decidesText reports whether a value of "text" or "crlf" is one that git knows.
func decidesText(s attrState) bool {
	return s.kind == attrSet || s.kind == attrUnset || s.is("input") || s.is("auto")
}

func choose(first bool, a, b conversion) conversion {
	if first {
		return a
	}
	return b
}

// convert writes contents, which writeTo writes, as they are to stand in a file. It never holds them in memory: those
// that have to be judged first are written twice.
func (c conversion) convert(w io.Writer, writeTo func(io.Writer) error) error {
	if c == convertAuto {
		var stats textStats
		if err := writeTo(&stats); err != nil {
			return err
		}
		c = choose(stats.convertible(), convertCRLF, convertNone)
	}
	if c == convertCRLF {
		w = &crlfWriter{w: w}
	}
	return writeTo(w)
}

// textStats counts the bytes by which git tells text from other contents.
type textStats struct {
	nul, loneCR, crlf, printable, nonprintable int
	last                                       byte
}

func (s *textStats) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '\r':
			s.loneCR++
		case c == '\n' && s.last == '\r':
			s.loneCR--
			s.crlf++
		case c == '\n':
		case c == 0:
			s.nul++
			s.nonprintable++
		case c == '\b', c == '\t', c == '\f', c == 0x1b:
			s.printable++
		case c < ' ', c == 0x7f:
			s.nonprintable++
		default:
			s.printable++
		}
		s.last = c
	}
	return len(p), nil
}

// convertible reports whether the contents are text without any carriage return.
func (s *textStats) convertible() bool {
	nonprintable := s.nonprintable
	if s.last == 0x1a { // the end-of-file mark of old systems
		nonprintable--
	}
	return s.loneCR == 0 && s.crlf == 0 && s.nul == 0 && s.printable>>7 >= nonprintable
}

// crlfWriter puts a carriage return before every line feed that has none.
type crlfWriter struct {
	w    io.Writer
	last byte
	buf  []byte
}

func (c *crlfWriter) Write(p []byte) (int, error) {
	c.buf = c.buf[:0]
	for _, b := range p {
		if b == '\n' && c.last != '\r' {
			c.buf = append(c.buf, '\r')
		}
		c.buf = append(c.buf, b)
		c.last = b
	}
	if _, err := c.w.Write(c.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}
