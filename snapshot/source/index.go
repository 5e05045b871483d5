package source

import (
	"bufio"
	"bytes"
	"crypto/sha1" // the index ends in its SHA-1
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-git/go-git/v5/plumbing"
	"golang.org/x/sys/unix"
)

// The index is the file in which git keeps, for each file of the working copy, its blob and what
// lstat said of it when the two were known to agree. Versions 2 to 4 are read, version 2 is written.

// Modes of index entries.
const (
	indexRegular    = 0o100644
	indexExecutable = 0o100755
	indexSymlink    = 0o120000
	indexSubmodule  = 0o160000
)

const (
	indexSignature  = "DIRC"
	indexHeaderSize = 12
	indexEntrySize  = 62 // without extended flags and the name

	indexFlagAssumeValid = 1 << 15
	indexFlagExtended    = 1 << 14
	indexFlagStage       = 3 << 12
	indexMaxName         = 1<<12 - 1
)

// errIndexUnusable says that an index is damaged or written in a way that only git reads.
var errIndexUnusable = errors.New("unusable index")

// indexEntry is one entry of the index.
type indexEntry struct {
	path string
	mode uint32
	hash plumbing.Hash
	stat indexStat // the zero value never agrees with a file
}

// indexStat is what lstat said of a file, cut to 32 bits as the index has it.
type indexStat struct {
	ctimeSec, ctimeNsec, mtimeSec, mtimeNsec uint32
	dev, ino, uid, gid, size                 uint32
}

func newIndexStat(st *unix.Stat_t) indexStat {
	return indexStat{
		ctimeSec: uint32(st.Ctim.Sec), ctimeNsec: uint32(st.Ctim.Nsec),
		mtimeSec: uint32(st.Mtim.Sec), mtimeNsec: uint32(st.Mtim.Nsec),
		dev: uint32(st.Dev), ino: uint32(st.Ino), uid: st.Uid, gid: st.Gid, size: uint32(st.Size),
	}
}

// agrees reports whether nothing has touched the file since s was recorded. Like git it leaves out
// the device's number, which changes when network and snapshot file systems are mounted anew.
func (s indexStat) agrees(now indexStat) bool {
	s.dev = now.dev
	return s == now
}

// gitIndex is the content of an index file.
type gitIndex struct {
	entries  []indexEntry // sorted by path, none twice
	checksum [sha1.Size]byte
	mtime    unix.Timespec // of the file
}

// racy reports whether a file with this stat data may have been changed after the index was written
// without any trace, because the clock had not ticked.
func (x *gitIndex) racy(s indexStat) bool {
	sec, nsec := int64(s.mtimeSec), int64(s.mtimeNsec)
	return sec > x.mtime.Sec || sec == x.mtime.Sec && nsec >= x.mtime.Nsec
}

// readIndex reads an index file. One that is not there is empty. One that cannot be used is an error
// that wraps errIndexUnusable.
func readIndex(path string) (*gitIndex, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return &gitIndex{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, fmt.Errorf("reading the index %q: %w", path, err)
	}
	data, err := io.ReadAll(f)
	if errors.Is(err, unix.EISDIR) {
		return nil, fmt.Errorf("reading the index: %w: %w", errIndexUnusable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the index: %w", err)
	}
	x, err := parseIndex(data)
	if err != nil {
		return nil, fmt.Errorf("parsing %q: %w", path, err)
	}
	x.mtime = st.Mtim
	return x, nil
}

// parseIndex parses an index of version 2, 3 or 4. Entries that git is told not to look at, and those
// of a merge, lose their stat data or are left out, so that their files are read.
func parseIndex(data []byte) (*gitIndex, error) {
	bad := func(why string) (*gitIndex, error) { return nil, fmt.Errorf("%w: %s", errIndexUnusable, why) }
	if len(data) < indexHeaderSize+sha1.Size || string(data[:4]) != indexSignature {
		return bad("not an index, or cut off")
	}
	body, trailer := data[:len(data)-sha1.Size], data[len(data)-sha1.Size:]
	x := &gitIndex{checksum: sha1.Sum(body)}
	if !bytes.Equal(trailer, x.checksum[:]) && !bytes.Equal(trailer, plumbing.ZeroHash[:]) {
		return bad("its checksum is wrong") // all zeros: written without one (index.skipHash)
	}
	version, count := binary.BigEndian.Uint32(body[4:]), binary.BigEndian.Uint32(body[8:])
	if version < 2 || version > 4 {
		return bad(fmt.Sprintf("version %d", version))
	}
	rest := body[indexHeaderSize:]
	x.entries = make([]indexEntry, 0, min(int(count), len(rest)/indexEntrySize))
	for previous := ""; count > 0; count-- {
		e, flags, size := parseIndexEntry(rest, version, previous)
		if size == 0 || e.path < previous {
			return bad(fmt.Sprintf("malformed entry after %q", previous))
		}
		merging := flags&indexFlagStage != 0
		if e.path == previous && !merging {
			return bad(fmt.Sprintf("entry %q is there twice", previous))
		}
		if !merging {
			x.entries = append(x.entries, e)
		}
		previous, rest = e.path, rest[size:]
	}
	if !optionalExtensions(rest) {
		return bad("an extension that only git reads")
	}
	return x, nil
}

// parseIndexEntry parses one entry and returns its flags and its size, 0 if it is malformed. Version
// 4 cuts off what a path has in common with the previous one.
func parseIndexEntry(data []byte, version uint32, previous string) (e indexEntry, flags uint16, size int) {
	if len(data) < indexEntrySize+1 {
		return e, 0, 0
	}
	field := func(i int) uint32 { return binary.BigEndian.Uint32(data[i:]) }
	e.stat = indexStat{
		ctimeSec: field(0), ctimeNsec: field(4), mtimeSec: field(8), mtimeNsec: field(12),
		dev: field(16), ino: field(20), uid: field(28), gid: field(32), size: field(36),
	}
	e.mode = field(24)
	copy(e.hash[:], data[40:])
	flags = binary.BigEndian.Uint16(data[60:])
	size = indexEntrySize
	if flags&indexFlagExtended != 0 {
		size += 2
	}
	if flags&(indexFlagExtended|indexFlagAssumeValid) != 0 {
		e.stat = indexStat{}
	}
	size = min(size, len(data))
	if version == 4 {
		strip, n := offsetVarint(data[size:])
		if n == 0 || strip > uint64(len(previous)) {
			return e, 0, 0
		}
		size += n
		previous = previous[:uint64(len(previous))-strip]
	} else {
		previous = ""
	}
	end := bytes.IndexByte(data[size:], 0)
	if end < 0 {
		return e, 0, 0
	}
	e.path = previous + string(data[size:size+end])
	size += end + 1
	if version != 4 {
		size = (size + 7) &^ 7 // one to eight NULs
	}
	if e.path == "" || size > len(data) {
		return e, 0, 0
	}
	return e, flags, size
}

// optionalExtensions reports whether all extensions may be ignored, which an upper-case letter says.
func optionalExtensions(data []byte) bool {
	for len(data) > 0 {
		if len(data) < 8 || data[0] < 'A' || data[0] > 'Z' {
			return false
		}
		size := uint64(binary.BigEndian.Uint32(data[4:]))
		if size > uint64(len(data)-8) {
			return false
		}
		data = data[8+size:]
	}
	return true
}

// writeIndex writes an index of version 2 with these entries, sorted by path, and returns its checksum.
func writeIndex(w io.Writer, entries []indexEntry) (checksum [sha1.Size]byte, err error) {
	digest := sha1.New()
	out := bufio.NewWriterSize(io.MultiWriter(w, digest), 64<<10)
	header := binary.BigEndian.AppendUint32([]byte(indexSignature), 2)
	_, _ = out.Write(binary.BigEndian.AppendUint32(header, uint32(len(entries))))
	var buf []byte
	for _, e := range entries {
		buf = appendIndexEntry(buf[:0], e)
		_, _ = out.Write(buf)
	}
	if err := out.Flush(); err != nil { // it keeps the first error
		return checksum, err
	}
	digest.Sum(checksum[:0])
	_, err = w.Write(checksum[:])
	return checksum, err
}

func appendIndexEntry(buf []byte, e indexEntry) []byte {
	s := e.stat
	for _, v := range [...]uint32{
		s.ctimeSec, s.ctimeNsec, s.mtimeSec, s.mtimeNsec, s.dev, s.ino, e.mode, s.uid, s.gid, s.size,
	} {
		buf = binary.BigEndian.AppendUint32(buf, v)
	}
	buf = append(buf, e.hash[:]...)
	buf = binary.BigEndian.AppendUint16(buf, uint16(min(len(e.path), indexMaxName)))
	buf = append(buf, e.path...)
	return append(buf, make([]byte, 8-len(buf)%8)...)
}
