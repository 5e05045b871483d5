package source

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

	"golang.org/x/sys/unix"
)

// svnWalker lists a working copy of Subversion, but for .svn and for what is mounted. What has a name that Subversion
// cannot have, and stops svn as soon as it lists the directory, is only named.
type svnWalker struct {
	ctx     context.Context
	found   workCopy
	strange []string // paths, sorted
}

// walkSVN lists the directory at root.
func walkSVN(ctx context.Context, root string) (*svnWalker, error) {
	w := &svnWalker{ctx: ctx}
	top, err := openDirAt(unix.AT_FDCWD, root)
	if err == nil {
		defer top.Close()
		var st unix.Stat_t
		err = unix.Fstat(int(top.Fd()), &st)
		w.found.dirs = append(w.found.dirs, workDir{"", st.Mode})
	}
	if err == nil {
		w.found.mounts = slices.DeleteFunc(findWorkMounts(int(top.Fd())), func(p mountPoint) bool { return inSVNDir(p.below) })
		err = w.list(top, "")
	}
	if err != nil {
		return nil, fmt.Errorf("looking at the working copy: %w", err)
	}
	slices.SortFunc(w.found.files, func(a, b workFile) int { return cmp.Compare(a.path, b.path) })
	slices.SortFunc(w.found.dirs, func(a, b workDir) int { return cmp.Compare(a.path, b.path) })
	slices.Sort(w.strange)
	return w, nil
}

// inSVNDir reports whether a path leads into what svn keeps of a working copy.
func inSVNDir(path string) bool { return slices.Contains(strings.Split(path, "/"), svnDir) }

// list lists a directory that was just opened.
func (w *svnWalker) list(dir *os.File, path string) error {
	prefix := path
	if path != "" {
		prefix += "/"
	}
	return eachName(dir, func(dir int, child string) error {
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case isSVNDir(child) || w.found.mounts.at(prefix+child):
			return nil
		case !svnName(child):
			w.strange = append(w.strange, prefix+child)
			return nil
		}
		return w.look(dir, child, prefix+child)
	})
}

func (w *svnWalker) look(dir int, name, path string) error {
	f := workFile{path: path}
	err := unix.Fstatat(dir, name, &f.stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) { // it went meanwhile
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", quotePath(path), err)
	}
	if f.stat.Mode&unix.S_IFMT != unix.S_IFDIR {
		w.found.files = append(w.found.files, f)
		return nil
	}
	w.found.dirs = append(w.found.dirs, workDir{path, f.stat.Mode})
	fd, err := openUnmounted(dir, name)
	if err == nil {
		inside := os.NewFile(uintptr(fd), path)
		defer inside.Close()
		err = w.list(inside, path)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("listing %s: %w", quotePath(path), err)
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
func (before *workCopy) fileChanges(after *workCopy) int {
	old := make(map[string]*workFile, len(before.files))
	for i := range before.files {
		old[before.files[i].path] = &before.files[i]
	}
	changed := 0
	for i := range after.files {
		f := &after.files[i]
		was := old[f.path]
		delete(old, f.path)
		if was == nil || was.stat.Ino != f.stat.Ino || was.stat.Mode != f.stat.Mode || was.stat.Size != f.stat.Size ||
			was.stat.Mtim != f.stat.Mtim {
			changed++
		}
	}
	return changed + len(old)
}

// setModes makes every file one that all may read and, if it is in executable, run, and every directory one that all
// may list. The umask has no say, nor has what was done to the modes locally, which svn does not notice.
func (r *svnRun) setModes(f *svnFound) error {
	top, err := openDirAt(unix.AT_FDCWD, r.root)
	if err != nil {
		return err
	}
	defer top.Close()
	d := dirs{root: int(top.Fd())}
	defer d.close()
	for i := range f.work.dirs {
		dir := &f.work.dirs[i]
		if want := dir.mode&0o7777 | dirMode; want != dir.mode&0o7777 {
			if err := r.setMode(&d, dir.path, want, unix.S_IFDIR); err != nil {
				return err
			}
		}
	}
	for i := range f.work.files {
		file := &f.work.files[i]
		if !file.isRegular() {
			continue
		}
		want := file.stat.Mode&0o666 | 0o444
		if file.stat.Mode&unix.S_IRUSR == 0 {
			want |= unix.S_IWUSR // svn makes files that may only be read, but none that its user may not read
		}
		if f.executable[file.path] {
			want |= 0o111
		}
		if want == file.stat.Mode&0o7777 {
			continue
		}
		if err := r.setMode(&d, file.path, want, unix.S_IFREG); err != nil {
			return err
		}
		file.stat.Mode = unix.S_IFREG | want
	}
	return nil
}

// setMode changes the mode of what is still of this kind.
func (r *svnRun) setMode(d *dirs, path string, mode, kind uint32) error {
	err := labelled(r.o.Step, "change mode", func() error {
		dir, name := splitPath(path)
		at, err := d.at(dir)
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
			return errChangedMeanwhile
		}
		return unix.Chmod("/proc/self/fd/"+strconv.Itoa(fd), mode) // a file need not be readable for that
	})
	if err != nil {
		return fmt.Errorf("changing the mode of %s: %w", quotePath(cmp.Or(path, ".")), err)
	}
	return nil
}
