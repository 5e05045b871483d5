package svn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

// walker lists a working copy of Subversion, but for .svn and for what is mounted. What has a name that Subversion
// cannot have, and stops svn as soon as it lists the directory, is only named.
type walker struct {
	ctx     context.Context
	found   workcopy.Copy
	strange []string // paths, sorted
}

// walkSVN lists the directory at root.
func walkSVN(ctx context.Context, root string) (*walker, error) {
	w := &walker{ctx: ctx}
	top, err := disk.OpenDirAt(unix.AT_FDCWD, root)
	if err == nil {
		defer top.Close()
		var st unix.Stat_t
		err = unix.Fstat(int(top.Fd()), &st)
		w.found.Dirs = append(w.found.Dirs, workcopy.Dir{Path: "", Mode: st.Mode})
	}
	if err == nil {
		w.found.Mounts = slices.DeleteFunc(workcopy.FindMounts(int(top.Fd())), func(p disk.MountPoint) bool { return inSVNDir(p.Below) })
		err = w.list(top, "")
	}
	if err != nil {
		return nil, fmt.Errorf("look at the working copy: %w", err)
	}
	slices.SortFunc(w.found.Files, func(a, b workcopy.File) int { return cmp.Compare(a.Path, b.Path) })
	slices.SortFunc(w.found.Dirs, func(a, b workcopy.Dir) int { return cmp.Compare(a.Path, b.Path) })
	slices.Sort(w.strange)
	return w, nil
}

// inSVNDir reports whether a path leads into what svn keeps of a working copy.
func inSVNDir(path string) bool { return slices.Contains(strings.Split(path, "/"), svnDir) }

// list lists a directory that was just opened.
func (w *walker) list(dir *os.File, path string) error {
	prefix := path
	if path != "" {
		prefix += "/"
	}
	return disk.EachName(dir, func(dir int, child string) error {
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case isSVNDir(child) || w.found.Mounts.At(prefix+child):
			return nil
		case !svnName(child):
			w.strange = append(w.strange, prefix+child)
			return nil
		}
		return w.look(dir, child, prefix+child)
	})
}

func (w *walker) look(dir int, name, path string) error {
	f := workcopy.File{Path: path}
	err := unix.Fstatat(dir, name, &f.Stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) { // it went meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", disk.QuotePath(path), err)
	}
	if f.Stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.found.Files = append(w.found.Files, f)
		return nil
	}
	w.found.Dirs = append(w.found.Dirs, workcopy.Dir{Path: path, Mode: f.Stat.Mode})
	fd, err := disk.OpenUnmounted(dir, name)
	if err == nil {
		inside := os.NewFile(uintptr(fd), path)
		defer inside.Close()
		err = w.list(inside, path)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("list %s: %w", disk.QuotePath(path), err)
	}
	return nil
}

// svnName reports whether Subversion can have a file of this name: UTF-8 without control characters.
func svnName(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] == 0x7f {
			return false
		}
	}
	return utf8.ValidString(name)
}

// fileChanges counts the files that are not the same in both.
func fileChanges(before, after *workcopy.Copy) int {
	old := make(map[string]*workcopy.File, len(before.Files))
	for i := range before.Files {
		old[before.Files[i].Path] = &before.Files[i]
	}
	changed := 0
	for i := range after.Files {
		f := &after.Files[i]
		was := old[f.Path]
		delete(old, f.Path)
		if was == nil || was.Stat.Ino != f.Stat.Ino || was.Stat.Mode != f.Stat.Mode || was.Stat.Size != f.Stat.Size ||
			was.Stat.Mtim != f.Stat.Mtim {
			changed++
		}
	}
	return changed + len(old)
}

// setModes makes every file one that all may read and, if it is in executable, run, and every directory one that all
// may list. The umask has no say, nor has what was done to the modes locally, which svn does not notice.
func (r *run) setModes(f *findings) error {
	top, err := disk.OpenDirAt(unix.AT_FDCWD, r.root)
	if err != nil {
		return err
	}
	defer top.Close()
	d := disk.Dirs{Root: int(top.Fd())}
	defer d.Close()
	for i := range f.work.Dirs {
		dir := &f.work.Dirs[i]
		if want := dir.Mode&0o7777 | disk.DirMode; want != dir.Mode&0o7777 {
			if err := r.setMode(&d, dir.Path, want, unix.S_IFDIR); err != nil {
				return err
			}
		}
	}
	for i := range f.work.Files {
		file := &f.work.Files[i]
		if !file.IsRegular() {
			continue
		}
		want := file.Stat.Mode&0o666 | 0o444
		if file.Stat.Mode&unix.S_IRUSR == 0 {
			want |= unix.S_IWUSR // svn makes files that may only be read, but none that its user may not read
		}
		if f.executable[file.Path] {
			want |= 0o111
		}
		if want == file.Stat.Mode&0o7777 {
			continue
		}
		if err := r.setMode(&d, file.Path, want, unix.S_IFREG); err != nil {
			return err
		}
		file.Stat.Mode = unix.S_IFREG | want
	}
	return nil
}

// setMode changes the mode of what is still of this kind.
func (r *run) setMode(d *disk.Dirs, path string, mode, kind uint32) error {
	err := disk.Labelled(r.o.Step, "change mode", func() error {
		dir, name := disk.SplitPath(path)
		at, err := d.At(dir)
		if err != nil {
			return err
		}
		fd, err := unix.Openat(at, cmp.Or(name, "."), unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			return err
		}
		if st.Mode&unix.S_IFMT != kind {
			return workcopy.ErrChangedMeanwhile
		}
		return disk.ChmodAt(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(fd), mode) // a file need not be readable for that
	})
	if err != nil {
		return fmt.Errorf("change the mode of %s: %w", disk.QuotePath(cmp.Or(path, ".")), err)
	}
	return nil
}
