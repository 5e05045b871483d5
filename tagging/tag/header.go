package tag

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Header is what a manifest begins with. Decisions read nothing else of it.
type Header struct {
	Name      string
	Revision  string    // as the source names it; may be empty
	Tree      string    // SHA-256 of the entries in hex: the same for the same tree from whatever source
	Source    string    // the kind of source: git, svn, cvs, dir; or Adopted
	Layout    string    // "auto": files are 0644 or 0755; "hardlink": they are 0444 or 0555; Adopted: see there
	Published time.Time // when the tag was durable and about to be seen, whatever its name says
	Files     int       // files and symbolic links
	Bytes     int64     // their sizes
	Stale     bool      // upstream could not be asked when the tag was made
	Marked    bool      // its name was marked bad or badfwd already when it was published
}

// Adopted is the Source and the Layout of a manifest that was written for a tag that some other program had
// made. Its revision is not known, and it counts as published at the time that its name says. Its files may belong
// to anyone and have any modes but setuid and setgid; of these only whether a file is executable is recorded.
const Adopted = "adopted"

const (
	// headerMagic is the first line. Its number changes if programs that know the old one would
	// misunderstand the new. A key that they do not know they skip.
	headerMagic = "etchtag manifest 2"

	// checkKey is the key of the last line: a checksum of all lines before it.
	checkKey = "check"

	// maxHeader is the size of the longest header that is read, in bytes.
	maxHeader = 16 << 10
)

var errHeaderEnd = errors.New("the header has no end")

// text is the header as it is written, with the empty line that ends it.
func (h Header) text() ([]byte, error) {
	type line struct{ key, value string }
	lines := []line{
		{"name", h.Name},
		{"revision", h.Revision},
		{"tree", h.Tree},
		{"source", h.Source},
		{"layout", h.Layout},
		{"published", h.Published.UTC().Format(time.RFC3339Nano)},
		{"files", strconv.Itoa(h.Files)},
		{"bytes", strconv.FormatInt(h.Bytes, 10)},
		{"stale", strconv.FormatBool(h.Stale)},
	}
	if h.Marked {
		lines = append(lines, line{"marked", "true"})
	}
	var b strings.Builder
	b.WriteString(headerMagic + "\n")
	for _, line := range lines {
		if strings.Contains(line.value, "\n") {
			return nil, fmt.Errorf("the %s %q has a line end", line.key, line.value)
		}
		b.WriteString(line.key + " " + line.value + "\n")
	}
	b.WriteString(checkKey + " " + checksum(b.String()) + "\n\n")
	if b.Len() > maxHeader {
		return nil, fmt.Errorf("the header would have more than %d bytes", maxHeader)
	}
	return []byte(b.String()), nil
}

func checksum(s string) string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(s))))
}

// cutHeader splits a manifest at the empty line, which belongs to neither part.
func cutHeader(data string) (header, entries string, ok bool) {
	header, entries, ok = strings.Cut(data, "\n\n")
	return header, entries, ok
}

// parseHeader reads a header without the empty line and the line end before it.
func parseHeader(text string) (*Header, error) {
	first, _, _ := strings.Cut(text, "\n")
	if first != headerMagic {
		return nil, fmt.Errorf("it begins with %s, not with %q", Quote(first), headerMagic)
	}
	end := strings.LastIndexByte(text, '\n') + 1
	if text[end:] != checkKey+" "+checksum(text[:end]) {
		return nil, errors.New("the header is damaged: its checksum is another one")
	}
	h := &Header{}
	required := 0
	for line := range strings.SplitSeq(text[len(first):end], "\n") {
		key, value, _ := strings.Cut(line, " ")
		must, err := h.set(key, value)
		if err != nil {
			return nil, fmt.Errorf("the header's %s cannot be %s: %w", key, Quote(value), err)
		}
		if must {
			required++
		}
	}
	if required != headerKeys || h.Name == "" || h.Tree == "" {
		return nil, errors.New("the header lacks a key, or has one twice")
	}
	return h, nil
}

// headerKeys is the number of keys that every header has.
const headerKeys = 9

// set takes one line of a header, and reports whether it is one that every header has. A key that came later is written
// only where it says something: old manifests lack it, and old programs skip it.
func (h *Header) set(key, value string) (required bool, err error) {
	switch key {
	case "name":
		h.Name = value
	case "revision":
		h.Revision = value
	case "tree":
		h.Tree = value
	case "source":
		h.Source = value
	case "layout":
		h.Layout = value
	case "published":
		h.Published, err = time.Parse(time.RFC3339Nano, value)
	case "files":
		h.Files, err = strconv.Atoi(value)
	case "bytes":
		h.Bytes, err = strconv.ParseInt(value, 10, 64)
	case "stale":
		h.Stale, err = strconv.ParseBool(value)
	case "marked":
		h.Marked, err = strconv.ParseBool(value)
		return false, err
	default:
		return false, nil
	}
	return true, err
}

// ReadHeader reads the header of the manifest at path, and nothing of its entries. The error matches
// fs.ErrNotExist if there is no such file.
//
// It calls the kernel itself: it is all that list does for each tag, and what os.File does besides, for files that one
// can wait for and for those that nobody closes, takes longer than to open, read and close this one.
func ReadHeader(path string) (*Header, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	for err == unix.EINTR {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	text, err := readHeader(fd)
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		err = &fs.PathError{Op: "read", Path: path, Err: errno}
	}
	var h *Header
	if err == nil {
		h, err = parseHeader(text)
	}
	if err != nil {
		return nil, fmt.Errorf("read the manifest %s: %w", path, err)
	}
	return h, nil
}

// readHeader reads an open manifest up to the empty line that ends the header. It returns what comes before.
func readHeader(fd int) (string, error) {
	buf := make([]byte, 0, 512) // one read does for any header that is not extraordinary
	for {
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", err
		}
		buf = buf[:len(buf)+n]
		if header, _, ok := bytes.Cut(buf, []byte("\n\n")); ok {
			return string(header), nil
		}
		switch {
		case n == 0, len(buf) >= maxHeader:
			return "", errHeaderEnd
		case len(buf) == cap(buf):
			buf = append(make([]byte, 0, 4*cap(buf)), buf...)
		}
	}
}
