package cvs

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

const (
	// cvsDir is the directory in which the client keeps what it knows of the one above.
	cvsDir = "CVS"
	// maxCVSAdmin is more than any file in such a directory has, in bytes.
	maxCVSAdmin = 64 << 20
)

// entry is what the client knows of one file that it checked out.
type entry struct {
	path     string
	revision string // "0" for a file that is to be added, with "-" before it for one that is to be removed
	stamp    string // the file's time when it was written, in UTC; more than that if it was merged
	options  string // such as "-kb"
	tag      string // "T" and a tag, "D" and a date, or empty: what the file sticks to
}

// line returns the entry as Entries has it.
func (e entry) line() string {
	return "/" + path.Base(e.path) + "/" + e.revision + "/" + e.stamp + "/" + e.options + "/" + e.tag
}

// isWritten reports whether a file that has this time, in nanoseconds since 1970, is one that the client wrote and takes
// for unedited.
func (e entry) isWritten(mtime int64) bool {
	return isRCSNumber(e.revision) && time.Unix(0, mtime).UTC().Format(time.ANSIC) == e.stamp
}

// asWritten returns the options with which the client prints what it wrote.
func (e entry) asWritten() []string {
	options := []string{"-r", e.revision}
	if strings.HasPrefix(e.options, "-k") {
		options = append(options, e.options)
	}
	return options
}

// admin is what all the CVS directories of a working copy say.
type admin struct {
	files   []entry           // sorted by path
	dirs    []string          // those that are checked out, sorted; the root is empty
	entries [sha256.Size]byte // a hash of the paths, revisions and options
	digest  [sha256.Size]byte // a hash of all but the times
}

// index returns where a file stands among the entries.
func (a *admin) index(path string) (int, bool) {
	return slices.BinarySearchFunc(a.files, path, func(e entry, path string) int { return cmp.Compare(e.path, path) })
}

// has reports whether dir is checked out.
func (a *admin) has(dir string) bool {
	_, ok := slices.BinarySearch(a.dirs, dir)
	return ok
}

// hasFiles reports whether there is an entry of a file below dir.
func (a *admin) hasFiles(dir string) bool {
	i, _ := a.index(dir + "/")
	return i < len(a.files) && strings.HasPrefix(a.files[i].path, dir+"/")
}

// readCVSAdmin reads the CVS directories of the working copy at root. It follows no link. A directory that is named in
// the one above it but not there is left out.
func readCVSAdmin(ctx context.Context, root string) (*admin, error) {
	top, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	r := adminReader{ctx: ctx, dirs: disk.Dirs{Root: int(top.Fd())}}
	defer r.dirs.Close()
	if err := r.read(""); err != nil {
		return nil, err
	}
	a := &r.found
	slices.SortFunc(a.files, func(x, y entry) int { return cmp.Compare(x.path, y.path) })
	slices.Sort(a.dirs)
	slices.Sort(r.lines)
	all, entries := sha256.New(), sha256.New()
	for _, line := range r.lines {
		fmt.Fprintf(all, "%s\n", line)
	}
	for i, e := range a.files {
		if i > 0 && e.path == a.files[i-1].path {
			return nil, fmt.Errorf("%s has two entries in CVS/Entries", disk.QuotePath(e.path))
		}
		// What is checked out does not depend on when that was done, nor on what it sticks to since.
		fmt.Fprintf(entries, "/%s/%s/%s\n", e.path, e.revision, e.options)
		fmt.Fprintf(all, "/%s/%s/%s/%s\n", e.path, e.revision, e.options, e.tag)
	}
	all.Sum(a.digest[:0])
	entries.Sum(a.entries[:0])
	return a, nil
}

type adminReader struct {
	ctx   context.Context
	dirs  disk.Dirs
	found admin
	lines []string // what the directories say of themselves
}

// read reads the CVS directory of dir and of those below it.
func (r *adminReader) read(dir string) error {
	if err := r.ctx.Err(); err != nil {
		return context.Cause(r.ctx)
	}
	admin, err := r.dirs.At(path.Join(dir, cvsDir))
	if err != nil {
		return err
	}
	line := dir
	for _, name := range []string{"Repository", "Root", "Tag", "Entries.Static"} {
		text, err := readCVSFile(admin, name)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("read %s: %w", disk.QuotePath(path.Join(dir, cvsDir, name)), err)
		}
		line += fmt.Sprintf("\t%t %q", err == nil, text)
	}
	entries := dirEntries{dir: dir}
	for _, name := range []string{"Entries", "Entries.Log"} {
		text, err := readCVSFile(admin, name)
		if errors.Is(err, unix.ENOENT) && name != "Entries" {
			continue
		}
		if err == nil {
			err = entries.parse(text, name != "Entries")
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", disk.QuotePath(path.Join(dir, cvsDir, name)), err)
		}
	}
	r.lines = append(r.lines, line)
	r.found.dirs = append(r.found.dirs, dir)
	for _, e := range entries.files {
		r.found.files = append(r.found.files, e)
	}
	return r.readBelow(dir, entries.dirs)
}

func (r *adminReader) readBelow(dir string, names map[string]bool) error {
	for name := range names {
		sub := path.Join(dir, name)
		_, err := r.dirs.At(sub)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue
		}
		if err != nil {
			return err
		}
		if err := r.read(sub); err != nil {
			return err
		}
	}
	return nil
}

func readCVSFile(dir int, name string) (string, error) {
	f, err := disk.OpenFileAt(dir, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxCVSAdmin))
	return string(data), err
}

// dirEntries is what one directory's Entries, and the log of what has changed since it was written, say.
type dirEntries struct {
	dir   string
	files map[string]entry // by name
	dirs  map[string]bool
}

// parse reads an Entries file, or with log an Entries.Log file, of which each line says whether it adds or removes.
func (c *dirEntries) parse(text string, log bool) error {
	if c.files == nil {
		c.files, c.dirs = map[string]entry{}, map[string]bool{}
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		add := true
		if log {
			var known bool
			if line, known = strings.CutPrefix(line, "A "); !known {
				if line, known = strings.CutPrefix(line, "R "); !known {
					continue // as the client does
				}
				add = false
			}
		}
		if err := c.line(line, add); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
	return nil
}

// line takes over one line.
func (c *dirEntries) line(line string, add bool) error {
	if line == "" || line == "D" { // the latter says that there are no directories
		return nil
	}
	rest, isDir := strings.CutPrefix(line, "D")
	field := strings.Split(rest, "/")
	if len(field) != 6 || field[0] != "" {
		return fmt.Errorf("%q is no entry", line)
	}
	name := field[1]
	if !filepath.IsLocal(name) || name == "." || name == cvsDir || strings.ContainsRune(name, 0) {
		return fmt.Errorf("%q is no name of a file", name)
	}
	switch {
	case isDir && add:
		c.dirs[name] = true
	case isDir:
		delete(c.dirs, name)
	case add:
		c.files[name] = entry{path.Join(c.dir, name), field[2], field[3], field[4], field[5]}
	default:
		delete(c.files, name)
	}
	return nil
}
