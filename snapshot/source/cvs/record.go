package cvs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"golang.org/x/sys/unix"
)

const (
	// cvsRecordName is the name of the record in the CVS directory of the working copy's root.
	cvsRecordName   = "etchtag"
	cvsRecordHeader = "etchtag-cvs 1\n"
)

// recordedFile is what a file was when the client had written it.
type recordedFile struct {
	path         string
	mode         uint32 // with the type
	size         int64
	mtime, ctime int64 // in nanoseconds since 1970
	inode        uint64
	hash         [sha256.Size]byte
	revision     string // as upstream numbers it
}

// sameStat reports whether the file is still the same inode, untouched. Only whoever sets the clock can
// change a file and leave the time of its last change.
func (f *recordedFile) sameStat(g *recordedFile) bool {
	return f.mode == g.mode && f.size == g.size && f.mtime == g.mtime && f.ctime == g.ctime && f.inode == g.inode
}

// sameTree reports whether both files are to be published alike.
func (f *recordedFile) sameTree(g *recordedFile) bool {
	return f.hash == g.hash && f.kind() == g.kind()
}

func (f *recordedFile) kind() source.Mode {
	if f.mode&unix.S_IXUSR != 0 {
		return source.Executable
	}
	return source.Regular
}

// treeRecord is what an update left in the working copy.
type treeRecord struct {
	revision   source.Revision
	module     string            // as it was configured
	port       string            // of ssh's
	root       string            // what CVS/Root says
	repository string            // what CVS/Repository says
	branch     string            // the one that was followed
	digest     [sha256.Size]byte // of the CVS directories
	stamp      int64             // a time at which no hash had been taken: later changes have a later one, or the same
	files      []recordedFile    // sorted by path
}

// find returns what is known of a file, nil if nothing is. The record may be nil.
func (r *treeRecord) find(path string) *recordedFile {
	if r == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(r.files, path, func(f recordedFile, path string) int { return cmp.Compare(f.path, path) })
	if !ok {
		return nil
	}
	return &r.files[i]
}

// rewinds reports whether upstream has taken back a revision that the old record has. The numbers of what follows a
// revision are greater, also on a branch that begins with it.
func (r *treeRecord) rewinds(old *treeRecord) bool {
	if r.branch != old.branch || r.module != old.module {
		return false
	}
	for i := range r.files {
		was := old.find(r.files[i].path)
		if was != nil && slices.Compare(rcsNumber(r.files[i].revision), rcsNumber(was.revision)) < 0 {
			return true
		}
	}
	return false
}

// rcsNumber returns the parts of a revision's number, such as 1.3.2.1; nil if it is none.
func rcsNumber(revision string) (parts []uint64) {
	for part := range strings.SplitSeq(revision, ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil
		}
		parts = append(parts, n)
	}
	return parts
}

// isRCSNumber reports whether a revision is one that upstream has: one to be added is 0, one to be removed has a dash.
func isRCSNumber(revision string) bool {
	parts := rcsNumber(revision)
	return len(parts) > 0 && len(parts)%2 == 0
}

// encode returns the record as it is written: lines of text, of which the last is the hash of those before.
func (r *treeRecord) encode() []byte {
	var b bytes.Buffer
	b.WriteString(cvsRecordHeader)
	for _, text := range []string{r.revision.ID, r.revision.Time.Format(time.RFC3339), r.module, r.port, r.root,
		r.repository, r.branch} {
		fmt.Fprintf(&b, "%q\n", text)
	}
	fmt.Fprintf(&b, "%x %d\n", r.digest, r.stamp)
	for _, f := range r.files {
		fmt.Fprintf(&b, "%o %d %d %d %d %x %s %q\n", f.mode, f.size, f.mtime, f.ctime, f.inode, f.hash, f.revision, f.path)
	}
	fmt.Fprintf(&b, "%x\n", sha256.Sum256(b.Bytes()))
	return b.Bytes()
}

// decodeCVSRecord reads a record. One that is not exactly as it was written is an error.
func decodeCVSRecord(data []byte) (*treeRecord, error) {
	const sumLine = 2*sha256.Size + 1
	if len(data) < sumLine {
		return nil, fmt.Errorf("it has only %d bytes", len(data))
	}
	body := data[:len(data)-sumLine]
	if string(data[len(body):]) != fmt.Sprintf("%x\n", sha256.Sum256(body)) {
		return nil, fmt.Errorf("its hash does not match")
	}
	text, ok := strings.CutPrefix(string(body), cvsRecordHeader)
	if !ok {
		return nil, fmt.Errorf("it is of another version")
	}
	r := &treeRecord{}
	var date string
	for _, into := range []*string{&r.revision.ID, &date, &r.module, &r.port, &r.root, &r.repository, &r.branch} {
		var line string
		var err error
		line, text, _ = strings.Cut(text, "\n")
		if *into, err = strconv.Unquote(line); err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
	}
	var err error
	if r.revision.Time, err = time.Parse(time.RFC3339, date); err != nil {
		return nil, err
	}
	line, text, _ := strings.Cut(text, "\n")
	digest, stamp, _ := strings.Cut(line, " ")
	if r.stamp, err = strconv.ParseInt(stamp, 10, 64); err != nil {
		return nil, err
	}
	if err := decodeHash(&r.digest, digest); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		f, err := decodeCVSFile(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", line, err)
		}
		r.files = append(r.files, f)
	}
	return r, nil
}

func decodeCVSFile(line string) (f recordedFile, err error) {
	const fields = 8
	field := strings.SplitN(line, " ", fields)
	if len(field) != fields {
		return f, fmt.Errorf("it has %d fields", len(field))
	}
	mode, err := strconv.ParseUint(field[0], 8, 32)
	if err != nil {
		return f, err
	}
	f.mode = uint32(mode)
	for i, into := range []*int64{&f.size, &f.mtime, &f.ctime} {
		if *into, err = strconv.ParseInt(field[1+i], 10, 64); err != nil {
			return f, err
		}
	}
	if f.inode, err = strconv.ParseUint(field[4], 10, 64); err != nil {
		return f, err
	}
	if err := decodeHash(&f.hash, field[5]); err != nil {
		return f, err
	}
	if f.revision = field[6]; !isRCSNumber(f.revision) {
		return f, fmt.Errorf("%q is no number of a revision", f.revision)
	}
	f.path, err = strconv.Unquote(field[7])
	return f, err
}

func decodeHash(into *[sha256.Size]byte, digits string) error {
	sum, err := hex.DecodeString(digits)
	if err != nil || len(sum) != len(into) {
		return fmt.Errorf("%q is no hash", digits)
	}
	copy(into[:], sum)
	return nil
}

// readCVSRecord returns the record of the working copy dir, nil if there is none, or none that is whole: without it
// the working copy is compared with a fresh one.
func readCVSRecord(dir string) *treeRecord {
	data, err := os.ReadFile(filepath.Join(dir, cvsDir, cvsRecordName))
	if err != nil {
		return nil
	}
	record, err := decodeCVSRecord(data)
	if err != nil {
		return nil
	}
	return record
}

// write records what stands in the working copy dir.
func (r *treeRecord) write(dir string, step func(label string) error) error {
	admin := filepath.Join(dir, cvsDir)
	if err := disk.Replace("record", admin, filepath.Join(admin, cvsRecordName), r.encode(), 0o644, step); err != nil {
		return fmt.Errorf("record what was checked out: %w", err)
	}
	return nil
}
