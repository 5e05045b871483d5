package cvs

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

// clear sets aside what is local in the working copy.
func (r *run) clear(ctx context.Context, found *findings, edited []string) error {
	return r.clearIn(ctx, r.root, found, edited)
}

// clearIn sets aside what is local in the tree at root: the files that were edited, and what has no entry.
func (r *run) clearIn(ctx context.Context, root string, found *findings, edited []string) error {
	if len(edited)+len(found.odd)+len(found.empty) == 0 {
		return nil
	}
	l, err := r.openLocal(root)
	if err != nil {
		return err
	}
	defer l.close()
	for _, file := range edited {
		n, _ := found.admin.index(file)
		base := func() ([]byte, error) { return r.contentsOf(ctx, root, file, found.admin.files[n].asWritten()...) }
		upstream := func() ([]byte, error) { return r.contentsOf(ctx, root, file, r.sticky()...) }
		if err := l.take(&workcopy.File{Path: file}, false, base, upstream); err != nil {
			return err
		}
	}
	for i := range found.odd {
		if err := l.take(&found.odd[i], false, nothing, nothing); err != nil {
			return err
		}
	}
	for _, dir := range found.empty {
		if err := l.removeDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// nothing stands for a file that is not there.
func nothing() ([]byte, error) { return nil, nil }

// contentsOf asks upstream for the contents of a file, nil if it has none.
func (r *run) contentsOf(ctx context.Context, root, file string, revision ...string) ([]byte, error) {
	args := append([]string{"-Q", "update", "-p"}, revision...)
	out, err := r.session.output(ctx, root, append(args, "./"+file)...)
	var failed *exec.ExitError
	if errors.As(err, &failed) && failed.ExitCode() == 1 && !strings.Contains(err.Error(), cvsAborted) {
		return nil, nil
	}
	return []byte(out), err
}

// localFiles sets files of one tree aside.
type localFiles struct {
	run  *run
	top  *os.File
	dirs disk.Dirs
}

func (r *run) openLocal(root string) (*localFiles, error) {
	top, err := os.Open(root)
	if err != nil {
		return nil, err
	}
	return &localFiles{run: r, top: top, dirs: disk.Dirs{Root: int(top.Fd())}}, nil
}

func (l *localFiles) close() {
	l.dirs.Close()
	l.top.Close()
}

// take sets a file aside, after telling beforeReplace of it. With keep it goes on standing where it is.
func (l *localFiles) take(f *workcopy.File, keep bool, base, upstream func() ([]byte, error)) error {
	dir, name := disk.SplitPath(f.Path)
	fd, err := l.dirs.At(dir)
	if err != nil {
		return err
	}
	if err := unix.Fstatat(fd, name, &f.Stat, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if errors.Is(err, unix.ENOENT) {
			return nil // it has gone since, which loses nothing
		}
		return err
	}
	if hook := l.run.o.BeforeReplace; hook != nil && f.IsRegular() && f.Stat.Size <= workcopy.MaxPassedOn {
		local, err := workcopy.ReadAt(fd, name)
		if err != nil {
			return err
		}
		was, err := base()
		if err != nil {
			return err
		}
		will, err := upstream()
		if err != nil {
			return err
		}
		if err := hook(f.Path, was, local, will); err != nil {
			return err
		}
	}
	return l.run.discard.SetAside(fd, f.Path, keep && (f.IsRegular() || f.IsSymlink()))
}

// removeDir removes a directory in which nothing of anybody's stands.
func (l *localFiles) removeDir(dir string) error {
	above, name := disk.SplitPath(dir)
	fd, err := l.dirs.At(above)
	if err != nil {
		return err
	}
	return disk.Labelled(l.run.o.Step, "remove directory", func() error { return disk.RemoveTree(fd, name) })
}

// setAsideOld sets aside what is local in the old working copy, of which fresh, at tree, is to take the place: all
// that neither fresh nor the old record has with these contents. What the old one has of its own stays in it. It returns
// how many files are alike in both.
func (r *run) setAsideOld(ctx context.Context, record, fresh *treeRecord, tree string) (alike int, err error) {
	l, err := r.openLocal(r.root)
	if err != nil {
		return 0, err
	}
	defer l.close()
	wanted := map[string]bool{}
	for i := range fresh.files {
		disk.ParentDirs(wanted, fresh.files[i].path)
	}
	work, err := workcopy.Walk(ctx, int(l.top.Fd()), wanted)
	if err != nil {
		return 0, err
	}
	if disk.Exists(path.Join(r.root, ".git")) { // which the walk leaves out
		work.Files = append(work.Files, workcopy.File{Path: ".git"})
	}
	admin, _ := readCVSAdmin(ctx, r.root) // it may be damaged
	h := hasher{dirs: disk.Dirs{Root: int(l.top.Fd())}, record: record}
	defer h.dirs.Close()
	for i := range work.Files {
		f := &work.Files[i]
		if isCVSPath(f.Path) {
			continue
		}
		local, hash, err := oldState(&h, f, fresh)
		if err != nil {
			return alike, err
		}
		if local == fileLocal && f.IsRegular() && admin != nil {
			if local, err = r.otherState(ctx, f, hash, admin, tree); err != nil {
				return alike, err
			}
		}
		if local == fileAlike {
			alike++
		}
		if local != fileLocal {
			continue
		}
		base := func() ([]byte, error) { return r.oldBase(ctx, f.Path, admin, record, fresh, tree) }
		upstream := func() ([]byte, error) { return readTreeFile(tree, f.Path, fresh) }
		if err := l.take(f, true, base, upstream); err != nil {
			return alike, err
		}
	}
	return alike, nil
}

// fileState is what a file of an old working copy is.
type fileState int

const (
	fileLocal fileState = iota
	fileKnown           // it is as a client left it
	fileAlike           // it is as the fresh working copy has it
)

// oldState tells what a file is by what the records have, and the hash of a regular one.
func oldState(h *hasher, f *workcopy.File, fresh *treeRecord) (state fileState, hash [sha256.Size]byte, err error) {
	if !f.IsRegular() {
		return fileLocal, hash, nil
	}
	is, err := h.file(f)
	if err != nil {
		return fileLocal, hash, err
	}
	if will := fresh.find(f.Path); will != nil && will.hash == is.hash {
		return fileAlike, is.hash, nil
	}
	if was := h.record.find(f.Path); was != nil && was.hash == is.hash {
		return fileKnown, is.hash, nil
	}
	return fileLocal, is.hash, nil
}

// otherState tells what a file is that no record of ours knows: another client may have written it. By its time it has
// to be as that one left it, and then by its contents.
func (r *run) otherState(ctx context.Context, f *workcopy.File, hash [sha256.Size]byte, admin *admin, tree string) (
	fileState, error) {
	n, ok := admin.index(f.Path)
	if !ok || !admin.files[n].isWritten(f.Stat.Mtim.Nano()) {
		return fileLocal, nil
	}
	was, err := r.contentsOf(ctx, tree, f.Path, admin.files[n].asWritten()...)
	if err == nil && was != nil && sha256.Sum256(was) == hash {
		return fileKnown, nil
	}
	return fileLocal, err
}

// oldBase returns what a file of the old working copy was checked out as, nil if that cannot be known.
func (r *run) oldBase(ctx context.Context, file string, admin *admin, record, fresh *treeRecord, tree string) (
	[]byte, error) {
	will, was := fresh.find(file), record.find(file)
	if will == nil {
		return nil, nil
	}
	if was != nil && was.hash == will.hash {
		return readTreeFile(tree, file, fresh)
	}
	if admin == nil {
		return nil, nil
	}
	n, ok := admin.index(file)
	if !ok {
		return nil, nil
	}
	if !isRCSNumber(admin.files[n].revision) {
		return nil, nil
	}
	return r.contentsOf(ctx, tree, file, admin.files[n].asWritten()...)
}

// readTreeFile returns the contents of a file that a fresh working copy has, nil if it has none or a large one.
func readTreeFile(tree, file string, fresh *treeRecord) ([]byte, error) {
	if will := fresh.find(file); will == nil || will.size > workcopy.MaxPassedOn {
		return nil, nil
	}
	top, err := os.Open(tree)
	if err != nil {
		return nil, err
	}
	defer top.Close()
	d := disk.Dirs{Root: int(top.Fd())}
	defer d.Close()
	dir, name := disk.SplitPath(file)
	fd, err := d.At(dir)
	if err != nil {
		return nil, err
	}
	data, err := workcopy.ReadAt(fd, name)
	return slices.Clip(data), err
}
