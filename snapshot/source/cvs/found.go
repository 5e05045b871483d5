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
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

// findings is what stands in a working copy.
type findings struct {
	admin   *admin
	files   []recordedFile  // the files that have entries, sorted by path
	odd     []workcopy.File // what has no entry, a directory as one, and what is no file where there is an entry
	empty   []string        // directories that are not checked out, without any file of somebody's
	stays   []string        // what is in neither, because something is mounted in it
	mounts  workcopy.Mounts
	missing int // entries without a file
}

// inspectCVS looks at all that stands in the working copy at root. Of a file that is as the record has it the hash is
// taken from there; the record may be nil.
func inspectCVS(ctx context.Context, root string, record *treeRecord) (*findings, error) {
	admin, err := readCVSAdmin(ctx, root)
	if err != nil {
		return nil, err
	}
	top, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	known := make(map[string]bool, len(admin.dirs))
	for _, dir := range admin.dirs {
		known[dir] = true
	}
	work, err := workcopy.Walk(ctx, int(top.Fd()), known)
	if err != nil {
		return nil, err
	}
	found := &findings{admin: admin, mounts: work.Mounts}
	if err := found.leaveMounts(); err != nil {
		return nil, err
	}
	tracked := found.sort(work)
	if disk.Exists(path.Join(root, ".git")) && !found.isLeft(".git") { // which the walk leaves out
		found.odd = append(found.odd, workcopy.File{Path: ".git"})
	}
	found.missing = len(admin.files) - len(tracked)
	h := hasher{dirs: disk.Dirs{Root: int(top.Fd())}, record: record}
	defer h.dirs.Close()
	for i := range tracked {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		f, err := h.file(&tracked[i])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", disk.QuotePath(tracked[i].Path), err)
		}
		n, _ := admin.index(f.path)
		f.revision = admin.files[n].revision
		found.files = append(found.files, f)
	}
	return found, nil
}

// sort tells what belongs to whom, and returns the files that have entries.
func (f *findings) sort(work *workcopy.Copy) (tracked []workcopy.File) {
	strange := map[string]bool{} // the topmost directories that are not checked out, and in which a file stands
	for _, w := range work.Files {
		_, hasEntry := f.admin.index(w.Path)
		top := f.stranger(w.Path)
		switch {
		case f.isLeft(w.Path):
		case hasEntry && w.IsRegular():
			tracked = append(tracked, w)
		case isCVSPath(w.Path):
		case top == "":
			f.odd = append(f.odd, w)
		default:
			strange[top] = true
		}
	}
	for _, d := range work.Dirs {
		if d.Path == "" || isCVSPath(d.Path) || f.isLeft(d.Path) || f.stranger(d.Path+"/") != d.Path {
			continue
		}
		if strange[d.Path] {
			f.odd = append(f.odd, workcopy.File{Path: d.Path})
		} else {
			f.empty = append(f.empty, d.Path)
		}
	}
	return tracked
}

// leaveMounts finds out what stays because something is mounted in it. It fails if that is upstream's: the client would
// take what is mounted for what it has checked out, and change and remove it.
func (f *findings) leaveMounts() error {
	for _, m := range f.mounts {
		top := f.stranger(m.Below)
		if _, hasEntry := f.admin.index(m.Below); hasEntry || top == "" && (f.admin.has(m.Below) || isCVSPath(m.Below)) {
			return workcopy.UpstreamsError(m)
		}
		stays := cmp.Or(top, m.Below)
		for up, _ := disk.SplitPath(stays); up != "" && !f.admin.hasFiles(up); up, _ = disk.SplitPath(up) {
			stays = up // checked out, and kept from being pruned by what is mounted alone
		}
		f.stays = append(f.stays, stays)
	}
	return nil
}

// isLeft reports whether a path is one of those that stay, or below one.
func (f *findings) isLeft(path string) bool {
	return slices.ContainsFunc(f.stays, func(stays string) bool { return disk.IsAtOrBelow(path, stays) })
}

// stranger returns the topmost directory above path that is not checked out, empty if all are.
func (f *findings) stranger(path string) string {
	for i, c := range []byte(path) {
		if c == '/' && !f.admin.has(path[:i]) {
			return path[:i]
		}
	}
	return ""
}

// isCVSPath reports whether path is a CVS directory or something in one.
func isCVSPath(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		if part == cvsDir {
			return true
		}
	}
	return false
}

// exact reports whether nothing but what the entries name stands there.
func (f *findings) exact() bool { return len(f.odd) == 0 && len(f.empty) == 0 && f.missing == 0 }

// untouched reports whether the files are all as the record has them, down to the times.
func (f *findings) untouched(record *treeRecord) bool {
	if len(f.files) != len(record.files) {
		return false
	}
	for i := range f.files {
		if f.files[i].path != record.files[i].path || !f.files[i].sameStat(&record.files[i]) {
			return false
		}
	}
	return true
}

// changes returns the files whose contents are not those that the record has, and those of which only the mode or time
// is another.
func (f *findings) changes(record *treeRecord) (edited []string, touched []*recordedFile) {
	for i := range f.files {
		file := &f.files[i]
		was := record.find(file.path)
		switch {
		case was == nil || was.hash != file.hash:
			edited = append(edited, file.path)
		case was.mode != file.mode || was.mtime != file.mtime:
			touched = append(touched, was)
		}
	}
	return edited, touched
}

// unlike returns the files that are not as the client wrote them: by CVS's own rule, which is that the entry has the
// file's time, and by contents where the entry is the one that it was before.
func (f *findings) unlike(before *findings) (edited []string) {
	written := map[string]*recordedFile{}
	if before != nil {
		for i := range before.files {
			written[before.files[i].path] = &before.files[i]
		}
	}
	for i := range f.files {
		file := &f.files[i]
		n, _ := f.admin.index(file.path)
		e := f.admin.files[n]
		is := e.isWritten(file.mtime)
		if was := written[file.path]; is && was != nil {
			if n, ok := before.admin.index(file.path); ok && before.admin.files[n].revision == e.revision &&
				before.admin.files[n].options == e.options {
				is = was.hash == file.hash
			}
		}
		if !is {
			edited = append(edited, file.path)
		}
	}
	return edited
}

// changedSince returns the files whose revisions are not those that were found before, nil if nothing was.
func (f *findings) changedSince(before *findings) (changed []string) {
	if before == nil {
		return nil
	}
	for _, e := range before.admin.files {
		if n, ok := f.admin.index(e.path); !ok || f.admin.files[n].revision != e.revision {
			changed = append(changed, e.path)
		}
	}
	for _, e := range f.admin.files {
		if _, ok := before.admin.index(e.path); !ok {
			changed = append(changed, e.path)
		}
	}
	return changed
}

// newest returns the time of the newest file: of a fresh checkout, that of the newest commit that left a file.
func (f *findings) newest() time.Time {
	var newest int64
	for i := range f.files {
		newest = max(newest, f.files[i].mtime)
	}
	return time.Unix(0, newest).UTC()
}

// hasher tells what files hold.
type hasher struct {
	dirs   disk.Dirs
	record *treeRecord
}

func (h *hasher) file(w *workcopy.File) (recordedFile, error) {
	f := newCVSFile(w)
	was := h.record.find(w.Path)
	// One that was changed in the same moment in which its hash was taken cannot be told from one that was not.
	if was != nil && was.sameStat(&f) && was.ctime < h.record.stamp {
		f.hash = was.hash
		return f, nil
	}
	var err error
	f.hash, err = h.hash(w)
	return f, err
}

func newCVSFile(w *workcopy.File) recordedFile {
	return recordedFile{
		path: w.Path, mode: w.Stat.Mode, size: w.Stat.Size, inode: w.Stat.Ino,
		mtime: w.Stat.Mtim.Nano(), ctime: w.Stat.Ctim.Nano(),
	}
}

// hash reads a regular file that was seen in the working copy.
func (h *hasher) hash(w *workcopy.File) (sum [sha256.Size]byte, err error) {
	dir, name := disk.SplitPath(w.Path)
	fd, err := h.dirs.At(dir)
	if err != nil {
		return sum, err
	}
	file, err := disk.OpenFileAt(fd, name)
	if err != nil {
		return sum, err
	}
	defer file.Close()
	var st unix.Stat_t
	err = unix.Fstat(int(file.Fd()), &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Ino != w.Stat.Ino {
		return sum, errors.Join(err, workcopy.ErrChangedMeanwhile)
	}
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		return sum, err
	}
	digest.Sum(sum[:0])
	return sum, nil
}
