package attr

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/source/git/repo"
)

// Conversion is what happens to the line ends of a blob on its way to a file. Git on Linux never
// takes carriage returns away there, it only adds some.
type Conversion byte

const (
	ConvertNone Conversion = iota
	ConvertCRLF            // every LF without a CR before it becomes CR LF
	ConvertAuto            // the same, in contents that look like text and have no CR in them
)

// EOLConfig is what a repository's configuration says of line ends.
type EOLConfig struct {
	autoCRLF  bool // core.autocrlf = true
	autoInput bool // core.autocrlf = input
	crlf      bool // core.eol = crlf
}

// ReadEOLConfig reads the configuration of the repository itself: neither the user's nor the
// system's may change what is published.
func ReadEOLConfig(gitDir string) (EOLConfig, error) {
	var c EOLConfig
	path := filepath.Join(gitDir, "config")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("read the repository's configuration: %w", err)
	}
	parsed, err := repo.ParseConfig(data)
	if err != nil {
		return c, fmt.Errorf("parse %q: %w", path, err)
	}
	switch strings.ToLower(parsed.Get("core", "", "autocrlf")) {
	case "input":
		c.autoInput = true
	case "true", "yes", "on", "1":
		c.autoCRLF = true
	}
	c.crlf = strings.EqualFold(parsed.Get("core", "", "eol"), "crlf")
	return c, nil
}

// Conversion returns the conversion for a regular file with these attributes.
func (c EOLConfig) Conversion(values Values) Conversion {
	text := values["text"]
	if !decidesText(text) {
		text = values["crlf"] // what "text" was called before git 1.7.2
	}
	auto := text.Is("auto")
	switch eol := values["eol"]; {
	case text.Kind == Unset || text.Is("input") && !eol.Is("crlf"), eol.Is("lf"):
		return ConvertNone
	case eol.Is("crlf"):
		return choose(auto, ConvertAuto, ConvertCRLF)
	case auto:
		return choose(c.textIsCRLF(), ConvertAuto, ConvertNone)
	case text.Kind == Set:
		return choose(c.textIsCRLF(), ConvertCRLF, ConvertNone)
	}
	return choose(c.autoCRLF, ConvertAuto, ConvertNone)
}

// textIsCRLF reports whether files that are text end their lines in CR LF if no attribute says how.
func (c EOLConfig) textIsCRLF() bool { return c.autoCRLF || c.crlf && !c.autoInput }

// decidesText reports whether a value of "text" or "crlf" is one that git knows.
func decidesText(s State) bool {
	return s.Kind == Set || s.Kind == Unset || s.Is("input") || s.Is("auto")
}

func choose(first bool, a, b Conversion) Conversion {
	if first {
		return a
	}
	return b
}

// Convert writes contents, which writeTo writes, as they are to stand in a file. It never holds them in memory: those
// that have to be judged first are written twice.
func (c Conversion) Convert(w io.Writer, writeTo func(io.Writer) error) error {
	if c == ConvertAuto {
		var stats TextStats
		if err := writeTo(&stats); err != nil {
			return err
		}
		c = choose(stats.convertible(), ConvertCRLF, ConvertNone)
	}
	if c == ConvertCRLF {
		w = &crlfWriter{w: w}
	}
	return writeTo(w)
}

// TextStats counts the bytes by which git tells text from other contents.
type TextStats struct {
	nul, loneCR, Crlf, printable, nonprintable int
	last                                       byte
}

func (s *TextStats) Write(p []byte) (int, error) {
	for _, c := range p {
		switch {
		case c == '\r':
			s.loneCR++
		case c == '\n' && s.last == '\r':
			s.loneCR--
			s.Crlf++
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
func (s *TextStats) convertible() bool {
	nonprintable := s.nonprintable
	if s.last == 0x1a { // the end-of-file mark of old systems
		nonprintable--
	}
	return s.loneCR == 0 && s.Crlf == 0 && s.nul == 0 && s.printable>>7 >= nonprintable
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

// LfReader leaves out the carriage returns that stand before line feeds.
type LfReader struct{ R *bufio.Reader }

func (l *LfReader) Read(p []byte) (n int, err error) {
	for n < len(p) {
		b, err := l.R.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if b == '\r' {
			if next, err := l.R.Peek(1); err == nil && next[0] == '\n' {
				continue
			}
		}
		p[n] = b
		n++
	}
	return n, nil
}
