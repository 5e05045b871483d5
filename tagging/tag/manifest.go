package tag

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The modes of manifest entries.
const (
	ModeFile       byte = 'f'
	ModeExecutable byte = 'x'
	ModeSymlink    byte = 'l'
	ModeEmptyDir   byte = 'd' // only directories in which nothing else stands have an entry
)

// Entry records one file of a tag.
type Entry struct {
	Path string            // relative to the tag, with slashes; any bytes but NUL
	Mode byte              // ModeFile, ModeExecutable, ModeSymlink or ModeEmptyDir
	Size int64             // in bytes, of a symbolic link that of its target; 0 for a directory
	Hash [sha256.Size]byte // SHA-256 of the contents, or of a symbolic link's target; zero for a directory
}

// Manifest records a tag, so that it can be verified, and so that tags with the same content are known.
//
// It is a text file: the header, an empty line, and then a line for each entry,
//
//	MODE SIZE SHA-256 PATH
//
// in the order of the paths, so that diff shows what two tags differ in. The hash is in base64, which takes a third less
// than hex: openssl dgst -sha256 -binary FILE | base64 prints it, with an equals sign behind it. A path that a reader of
// lines could mistake stands in Go's quotes.
type Manifest struct {
	Header
	Entries []Entry // sorted by path
}

// hashEncoding is how hashes are written.
var hashEncoding = base64.RawStdEncoding

// WriteManifest writes m. It sorts the entries, and sets Tree, Files and Bytes from them. It fails, and
// writes nothing, if m could not be read again: if a path is no clean relative path or stands in two
// entries, or if there is a line end in the header.
func WriteManifest(w io.Writer, m *Manifest) error {
	text, err := m.text()
	if err == nil {
		_, err = w.Write(text)
	}
	if err != nil {
		return fmt.Errorf("write the manifest of %s: %w", m.Name, err)
	}
	return nil
}

func (m *Manifest) text() ([]byte, error) {
	entries, err := m.entriesText()
	if err != nil {
		return nil, err
	}
	header, err := m.Header.text()
	return append(header, entries...), err
}

// entriesText sorts and counts the entries, and returns them as they are written.
func (m *Manifest) entriesText() ([]byte, error) {
	slices.SortFunc(m.Entries, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	text := make([]byte, 0, 128*len(m.Entries))
	m.Files, m.Bytes = 0, 0
	for i, e := range m.Entries {
		if err := m.check(i); err != nil {
			return nil, err
		}
		m.count(e)
		text = e.appendTo(text)
	}
	m.Tree = hashHex(text)
	return text, nil
}

// TreeHash returns what the header of a manifest with these entries, in any order, has as its Tree.
func TreeHash(entries []Entry) (string, error) {
	m := Manifest{Entries: slices.Clone(entries)}
	_, err := m.entriesText()
	return m.Tree, err
}

func hashHex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// check says what is wrong with entry i, all before it being right.
func (m *Manifest) check(i int) error {
	e := m.Entries[i]
	switch e.Mode {
	case ModeFile, ModeExecutable, ModeSymlink, ModeEmptyDir:
	default:
		return fmt.Errorf("%q has the unknown mode %q", e.Path, e.Mode)
	}
	if e.Size < 0 || e.Mode == ModeEmptyDir && (e.Size != 0 || e.Hash != [sha256.Size]byte{}) {
		return fmt.Errorf("%q cannot have %d bytes, or the hash %x", e.Path, e.Size, e.Hash)
	}
	if e.Path == "" || e.Path == "." || e.Path == ".." || strings.HasPrefix(e.Path, "../") ||
		path.IsAbs(e.Path) || path.Clean(e.Path) != e.Path || strings.Contains(e.Path, "\x00") {
		return fmt.Errorf("%q is not a path below a tag", e.Path)
	}
	if i > 0 && m.Entries[i-1].Path >= e.Path {
		return fmt.Errorf("%q does not come after %q", e.Path, m.Entries[i-1].Path)
	}
	return nil
}

func (m *Manifest) count(e Entry) {
	if e.Mode != ModeEmptyDir {
		m.Files++
		m.Bytes += e.Size
	}
}

// appendTo appends the entry's line to b.
func (e Entry) appendTo(b []byte) []byte {
	b = append(b, e.Mode, ' ')
	b = strconv.AppendInt(b, e.Size, 10)
	b = append(b, ' ')
	if e.Mode == ModeEmptyDir {
		b = append(b, '-')
	} else {
		b = hashEncoding.AppendEncode(b, e.Hash[:])
	}
	b = append(b, ' ')
	b = append(b, QuotePath(e.Path)...)
	return append(b, '\n')
}

// QuotePath returns a path of a tag as it stands in a manifest: in Go's quotes if it has to be, else as it is.
func QuotePath(path string) string {
	if path != "" && needsQuotes(path) {
		return strconv.Quote(path)
	}
	return path
}

// needsQuotes reports whether a path would break a line, look like a quoted one, or make tools such as grep
// take the manifest for binary.
func needsQuotes(path string) bool {
	return path[0] == '"' || !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl)
}

// parseEntry reads one line without its end.
func parseEntry(line string) (e Entry, err error) {
	mode, rest, _ := strings.Cut(line, " ")
	size, rest, _ := strings.Cut(rest, " ")
	hash, name, _ := strings.Cut(rest, " ")
	if len(mode) != 1 || name == "" {
		return e, fmt.Errorf("%s is not an entry", Quote(line))
	}
	e.Mode, e.Path = mode[0], name
	if e.Size, err = strconv.ParseInt(size, 10, 64); err != nil {
		return e, fmt.Errorf("%s is not an entry: %w", Quote(line), err)
	}
	if e.Mode != ModeEmptyDir {
		sum, err := hashEncoding.AppendDecode(e.Hash[:0], []byte(hash))
		if err != nil || len(sum) != len(e.Hash) {
			return e, fmt.Errorf("%s is not an entry: it has no SHA-256", Quote(line))
		}
	}
	if name[0] == '"' {
		if e.Path, err = strconv.Unquote(name); err != nil {
			return e, fmt.Errorf("%s is not an entry: its path is not well quoted", Quote(line))
		}
	}
	return e, nil
}

// ReadManifest reads the manifest at path and proves that it is whole and as it was written.
func ReadManifest(path string) (*Manifest, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	m, err := parseManifest(string(data))
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w", path, err)
	}
	return m, nil
}

func parseManifest(data string) (*Manifest, error) {
	text, entries, ok := cutHeader(data)
	if !ok {
		return nil, errHeaderEnd
	}
	header, err := parseHeader(text)
	if err != nil {
		return nil, err
	}
	if tree := hashHex([]byte(entries)); tree != header.Tree {
		return nil, errors.New("the entries are damaged or not all there: their hash is another one")
	}
	m := &Manifest{Entries: make([]Entry, 0, strings.Count(entries, "\n"))}
	var again []byte
	for i := 0; entries != ""; i++ {
		line, rest, _ := strings.Cut(entries, "\n")
		e, err := parseEntry(line)
		if err != nil {
			return nil, err
		}
		m.Entries = append(m.Entries, e)
		if err := m.check(i); err != nil {
			return nil, err
		}
		// There is one way to write an entry, so that equal trees have equal hashes.
		if again = e.appendTo(again[:0]); string(again) != entries[:len(entries)-len(rest)] {
			return nil, fmt.Errorf("%s is not written as entries are", Quote(line))
		}
		m.count(e)
		entries = rest
	}
	if m.Files != header.Files || m.Bytes != header.Bytes {
		return nil, fmt.Errorf("%d files of %d bytes are announced, but there are %d of %d",
			header.Files, header.Bytes, m.Files, m.Bytes)
	}
	m.Header = *header
	return m, nil
}
