package object

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// maxFiles bounds a tree whose directories repeat themselves until no memory is left.
const maxFiles = 4_000_000

// TreeFile is one file, link or submodule of a commit's tree.
type TreeFile struct {
	Path string
	Mode source.Mode // Directory stands for a submodule
	Hash plumbing.Hash
	Size uint32 // in the working copy, as the index has it: cut to 32 bits, of what a conversion made; 0 if not known
}

// IsFile reports whether f is a regular file, to which conversions may apply.
func (f TreeFile) IsFile() bool { return f.Mode == source.Regular || f.Mode == source.Executable }

// treeLister lists trees recursively. Every miss is an error, never an end.
type treeLister struct {
	ctx     context.Context
	objects *Reader
	files   []TreeFile
	seen    map[string]bool
}

// ListTree lists the tree root, sorted by path, and checks that every path is safe to create.
func ListTree(ctx context.Context, o *Reader, root plumbing.Hash) ([]TreeFile, error) {
	l := &treeLister{ctx: ctx, objects: o, seen: map[string]bool{}}
	if err := l.add("", root); err != nil {
		return nil, err
	}
	sortFiles(l.files)
	return l.files, nil
}

// sortFiles sorts by path. Trees that git made come sorted: a directory stands in them where its path with a slash does.
func sortFiles(files []TreeFile) {
	byPath := func(a, b TreeFile) int { return strings.Compare(a.Path, b.Path) }
	if !slices.IsSortedFunc(files, byPath) {
		slices.SortFunc(files, byPath)
	}
}

// add lists the tree h, which stands at prefix: empty or with a slash behind it.
func (l *treeLister) add(prefix string, h plumbing.Hash) error {
	entries, err := l.entries(prefix, h)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.addEntry(prefix, e); err != nil {
			return err
		}
	}
	return nil
}

func (l *treeLister) addEntry(prefix string, e treeEntry) error {
	path := prefix + e.Name
	if e.Mode == filemode.Dir {
		return l.add(path+"/", e.Hash)
	}
	mode, err := publishedMode(e.Mode)
	if err != nil {
		return disk.Refused(path, err)
	}
	if len(l.files) >= maxFiles {
		return fmt.Errorf("the tree has more than %d files", maxFiles)
	}
	l.files = append(l.files, TreeFile{Path: path, Mode: mode, Hash: e.Hash})
	return nil
}

// entries reads the tree h and checks the names in it.
func (l *treeLister) entries(prefix string, h plumbing.Hash) ([]treeEntry, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := l.objects.Tree(h)
	if err != nil {
		return nil, fmt.Errorf("list directory %s: %w", disk.QuotePath(prefix), err)
	}
	clear(l.seen)
	for _, e := range entries {
		if err := checkName(prefix, e.Name); err != nil {
			return nil, disk.Refused(prefix+e.Name, err)
		}
		if l.seen[e.Name] {
			return nil, disk.Refused(prefix+e.Name, errors.New("it is there twice"))
		}
		l.seen[e.Name] = true
	}
	return entries, nil
}

// checkName says why an entry cannot be created below prefix, if it cannot.
func checkName(prefix, name string) error {
	switch {
	case name == "":
		return errors.New("its name is empty")
	case name == "." || name == ".." || name == ".git":
		return errors.New("its name is reserved")
	case strings.Contains(name, "/"):
		return errors.New("its name has a slash in it")
	case len(name) > disk.MaxName:
		return fmt.Errorf("its name is longer than %d bytes", disk.MaxName)
	case len(prefix)+len(name) > disk.MaxPath:
		return fmt.Errorf("its path is longer than %d bytes", disk.MaxPath)
	}
	return nil
}

// publishedMode maps git's modes, legacy permissions such as 0100664 among them.
func publishedMode(m filemode.FileMode) (source.Mode, error) {
	const kind, permissions, ownerExecutes = 0o170000, 0o777, 0o100
	switch {
	case m == filemode.Symlink:
		return source.Symlink, nil
	case m == filemode.Submodule:
		return source.Directory, nil
	case m&kind != 0o100000 || m&^(kind|permissions) != 0:
		return 0, fmt.Errorf("its mode is %06o", uint32(m))
	case m&ownerExecutes != 0:
		return source.Executable, nil
	}
	return source.Regular, nil
}

// IsHex reports whether a text has hexadecimal digits only, in lower case.
func IsHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
