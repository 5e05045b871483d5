package aside

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"golang.org/x/sys/unix"
)

// Restored says what was copied out of what was set aside.
type Restored struct {
	Files int      // directories not counted
	Left  []string // paths of sockets, fifos and devices, which cannot be copied
}

// Restore copies what stands at the paths given, or everything if there are none, to the same paths below the
// directory to, which is made if it is not there. Symbolic links are copied as links, permissions are kept without
// setuid, setgid and sticky bit, and the files belong to whoever calls it. What was set aside stays.
//
// Nothing is overwritten: if one of the paths is taken below to, or is not in the tree, nothing is copied at all. No
// symbolic link below to is followed. After another error a part may have been copied, each file of it whole.
func (t *Tree) Restore(to string, paths []string, step disk.Step) (Restored, error) {
	r := restorer{tree: t, copier: disk.TreeCopier{Step: step}, step: step}
	err := r.restore(to, paths)
	if err != nil {
		err = fmt.Errorf("restore what was set aside as %q to %q: %w", t.name, to, err)
	}
	return Restored{r.copier.Files, r.copier.Left}, err
}

type restorer struct {
	tree   *Tree
	copier disk.TreeCopier
	step   disk.Step
}

func (r *restorer) restore(to string, paths []string) error {
	paths, err := r.choose(paths)
	if err != nil {
		return err
	}
	if err := r.refuseTaken(to, paths); err != nil {
		return err
	}
	if _, err := os.Stat(to); errors.Is(err, fs.ErrNotExist) {
		// For us alone, as it was set aside.
		if err := r.step.Do("make restore directory", to, func() error { return disk.MakeAll(to, 0o700) }); err != nil {
			return err
		}
	}
	root, err := os.Open(to)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, p := range paths {
		if err := r.copy(p, int(root.Fd())); err != nil {
			return err
		}
	}
	return nil
}

// choose cleans the paths, and leaves out those that stand below others. All of them must be there.
func (r *restorer) choose(paths []string) ([]string, error) {
	if len(paths) == 0 {
		return r.top()
	}
	var chosen []string
	for _, p := range paths {
		p, err := r.tree.clean(p)
		if err != nil {
			return nil, err
		}
		if p == "." {
			return r.top()
		}
		if err := r.tree.inParent(p, func(dir int, name string) error {
			_, err := describeAt(dir, name, p)
			return err
		}); err != nil {
			return nil, err
		}
		chosen = append(chosen, p)
	}
	covered := func(p string) bool { // by a directory that was chosen as well
		for up := path.Dir(p); up != "."; up = path.Dir(up) {
			if slices.Contains(chosen, up) {
				return true
			}
		}
		return false
	}
	slices.Sort(chosen)
	return slices.DeleteFunc(slices.Compact(slices.Clone(chosen)), covered), nil
}

// top lists what stands directly in the tree.
func (r *restorer) top() ([]string, error) {
	dir, err := disk.OpenAt(int(r.tree.root.Fd()), ".")
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dir), r.tree.name)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// refuseTaken makes sure, before anything is copied, that nothing is in the way.
func (r *restorer) refuseTaken(to string, paths []string) error {
	root, err := os.OpenRoot(to)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	for _, p := range paths {
		if _, err := root.Lstat(p); err == nil {
			return fmt.Errorf("%q: %w there, and nothing is overwritten", p, fs.ErrExist)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// copy copies what stands at p to the same path below the directory to.
func (r *restorer) copy(p string, to int) error {
	up, _ := path.Split(p)
	dir, err := r.makeParents(to, strings.TrimSuffix(up, "/"))
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	return r.tree.inParent(p, func(from int, name string) error { return r.copier.Copy(from, name, dir) })
}

// makeParents makes the directories of the path p below the directory root that are not there, and opens the last.
func (r *restorer) makeParents(root int, p string) (int, error) {
	dir, err := disk.OpenAt(root, p)
	if !errors.Is(err, unix.ENOENT) {
		return dir, wrapPath("open", p, err)
	}
	up, name := path.Split(p)
	parent, err := r.makeParents(root, strings.TrimSuffix(up, "/"))
	if err != nil {
		return -1, err
	}
	defer unix.Close(parent)
	err = r.step.Do("make restore directory", p, func() error { return disk.MakeDirAt(parent, name, 0o700) })
	if err != nil {
		return -1, err
	}
	dir, err = disk.OpenAt(parent, name)
	return dir, wrapPath("open", p, err)
}

// wrapPath names the path at which a system call failed, if it did.
func wrapPath(op, p string, err error) error {
	if err == nil {
		return nil
	}
	return &os.PathError{Op: op, Path: p, Err: err}
}
