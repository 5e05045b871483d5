package svn

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/workcopy"
	"golang.org/x/sys/unix"
)

// maxAsked is how many files upstream is asked for, one by one, to tell BeforeReplace what they will be.
const maxAsked = 16

// contentsFunc returns the contents of a file, by path in the working copy; nil if there is none or it is not known.
type contentsFunc func(path string) []byte

// clear sets aside what is local and makes svn restore what was checked out. upstream says what is to come.
func (r *run) clear(ctx context.Context, f *findings, local []localFile, upstream contentsFunc) error {
	r.nextDiscard()
	base, err := r.pristine(ctx, local)
	if err != nil {
		return err
	}
	if upstream == nil {
		upstream = base
	}
	if err := r.setAside(ctx, f, local, base, upstream); err != nil {
		return err
	}
	if len(f.strange) > 0 {
		return nil // what else is local is not known yet
	}
	for _, dir := range append([]string{"."}, f.externals...) {
		if !disk.Exists(filepath.Join(r.root, dir)) { // set aside by now
			continue
		}
		err := r.write(ctx, "svn revert", func() error {
			_, err := r.in(filepath.Join(r.root, dir)).local(ctx, "revert", "-q", "-R", "--", ".")
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// setAside sets aside what stands at the paths that are local.
func (r *run) setAside(ctx context.Context, f *findings, local []localFile, base, upstream contentsFunc) error {
	top, err := disk.OpenDirAt(unix.AT_FDCWD, r.root)
	if err != nil {
		return err
	}
	defer top.Close()
	d := disk.Dirs{Root: int(top.Fd())}
	defer d.Close()
	var gone []string // directories that were moved away
	for _, l := range local {
		if !l.aside || isBelow(l.path, gone) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if err := r.passOn(f.work, &d, l.path, base, upstream); err != nil {
			return err
		}
		if err := r.take(&d, l); err != nil {
			return err
		}
		if !l.edit {
			gone = append(gone, l.path)
		}
	}
	return nil
}

// take sets one thing aside. What svn is going to replace stands where it is until then.
func (r *run) take(d *disk.Dirs, l localFile) error {
	dir, name := disk.SplitPath(l.path)
	at, err := d.At(dir)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	file := workcopy.File{Path: l.path}
	err = unix.Fstatat(at, name, &file.Stat, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", disk.QuotePath(l.path), err)
	}
	return r.discard.SetAside(at, file.Path, l.edit && (file.IsRegular() || file.IsSymlink()))
}

// passOn tells BeforeReplace of the files at and below a path.
func (r *run) passOn(work *workcopy.Copy, d *disk.Dirs, path string, base, upstream contentsFunc) error {
	if r.o.BeforeReplace == nil {
		return nil
	}
	first, _ := slices.BinarySearchFunc(work.Files, path, func(f workcopy.File, path string) int {
		return strings.Compare(f.Path, path)
	})
	for i := first; i < len(work.Files) && strings.HasPrefix(work.Files[i].Path, path); i++ {
		f := &work.Files[i]
		if f.Path != path && !strings.HasPrefix(f.Path, path+"/") || !f.IsRegular() || f.Stat.Size > workcopy.MaxPassedOn {
			continue
		}
		dir, name := disk.SplitPath(f.Path)
		at, err := d.At(dir)
		if err != nil {
			return err
		}
		local, err := workcopy.ReadAt(at, name)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", disk.QuotePath(f.Path), err)
		}
		if err := r.o.BeforeReplace(f.Path, base(f.Path), local, upstream(f.Path)); err != nil {
			return err
		}
	}
	return nil
}

// pristine returns the contents that files had when they were checked out, as the repository has them, from svn's own
// copies.
func (r *run) pristine(ctx context.Context, local []localFile) (contentsFunc, error) {
	var targets strings.Builder
	for _, l := range local {
		if l.edit {
			targets.WriteString(peg(l.path, "") + "\n")
		}
	}
	if r.o.BeforeReplace == nil || targets.Len() == 0 {
		return func(string) []byte { return nil }, nil
	}
	out, err := r.client.localInput(ctx, targets.String(), "info", "--xml", "--targets", "-")
	if err != nil {
		return nil, err
	}
	entries, err := parseInfo(out)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for _, e := range entries {
		if len(e.Checksum) > 2 && e.Kind == "file" {
			files[filepath.Clean(e.Path)] = filepath.Join(e.WCRoot, svnDir, "pristine", e.Checksum[:2], e.Checksum+".svn-base")
		}
	}
	return func(path string) []byte { return readSmall(files[path]) }, nil
}

// readSmall reads a file of which the contents are not known if it cannot be read, or is very large.
func readSmall(file string) []byte {
	in, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer in.Close()
	data, err := io.ReadAll(io.LimitReader(in, workcopy.MaxPassedOn+1))
	if err != nil || len(data) > workcopy.MaxPassedOn {
		return nil
	}
	return data
}

// newest returns the contents that files have upstream, of a few files: each is a question of its own.
func (r *run) newest(ctx context.Context, up *upstream) contentsFunc {
	if up == nil || up.same {
		return nil // what was checked out
	}
	asked := 0
	return func(path string) []byte {
		if asked++; asked > maxAsked {
			return nil
		}
		rawURL := childURL(up.URL, path)
		out, err := r.client.remote(ctx, rawURL, "cat", "--", peg(rawURL, up.Revision))
		if err != nil { // it is not there; if anything else is wrong the update says so
			return nil
		}
		return out
	}
}
