package checkout

import (
	"crypto/sha1" // identifies attribute files, proves nothing
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/go-git/go-git/v5/plumbing"
)

// treeAttributes gives the attributes of the paths of one tree.
type treeAttributes struct {
	objects func() (*object.Reader, error)
	files   map[string]plumbing.Hash // the attribute files, by directory
	info    []byte
	dirs    map[string]attrDir
}

// attrDir is what the attribute files say of one directory.
type attrDir struct {
	attributes *attr.Attributes
	ignored    bool // export-ignore holds for it or for a directory above
}

// newTreeAttributes returns the attributes of the tree that files lists. Objects are not read before
// they are needed.
func newTreeAttributes(o func() (*object.Reader, error), gitDir string, files []object.TreeFile) (*treeAttributes, error) {
	info, err := os.ReadFile(filepath.Join(gitDir, "info", "attributes"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the repository's attributes: %w", err)
	}
	t := &treeAttributes{objects: o, info: info, files: map[string]plumbing.Hash{}, dirs: map[string]attrDir{}}
	for _, f := range files {
		// Git takes the target of a link of that name for the contents of an attribute file.
		if dir, name := disk.SplitPath(f.Path); name == attr.FileName && f.Mode != source.Directory {
			t.files[dir] = f.Hash
		}
	}
	return t, nil
}

// digest identifies all that decides on attributes and conversions.
func (t *treeAttributes) digest(eol attr.EOLConfig) [sha1.Size]byte {
	d := sha1.New()
	fmt.Fprintf(d, "%+v %d %s", eol, len(t.info), t.info)
	for _, dir := range slices.Sorted(maps.Keys(t.files)) {
		fmt.Fprintf(d, " %q %s", dir, t.files[dir])
	}
	return [sha1.Size]byte(d.Sum(nil))
}

// none reports that nothing is said of any path.
func (t *treeAttributes) none() bool { return len(t.files) == 0 && len(t.info) == 0 }

// of returns the attributes of a path, and whether a directory above it has export-ignore. A slash
// stands behind a directory's or submodule's path.
func (t *treeAttributes) of(path string) (values attr.Values, ignored bool, err error) {
	if t.none() {
		return nil, false, nil
	}
	dir, _ := disk.SplitPath(strings.TrimSuffix(path, "/"))
	d, err := t.dir(dir)
	if err != nil {
		return nil, false, err
	}
	return d.attributes.Of(path), d.ignored, nil
}

// dir returns what holds in a directory; the root is empty.
func (t *treeAttributes) dir(path string) (attrDir, error) {
	if d, ok := t.dirs[path]; ok {
		return d, nil
	}
	file, err := t.read(path)
	if err != nil {
		return attrDir{}, err
	}
	var d attrDir
	if path == "" {
		d.attributes = attr.New(file, t.info)
	} else {
		parentPath, _ := disk.SplitPath(path)
		parent, err := t.dir(parentPath)
		if err != nil {
			return attrDir{}, err
		}
		d.attributes = parent.attributes.Enter(path, file)
		d.ignored = parent.ignored || parent.attributes.Of(path + "/")["export-ignore"].Kind == attr.Set
	}
	t.dirs[path] = d
	return d, nil
}

// read returns the contents of the attribute file of a directory, nil if it has none.
func (t *treeAttributes) read(dir string) ([]byte, error) {
	h, ok := t.files[dir]
	if !ok {
		return nil, nil
	}
	o, err := t.objects()
	if err != nil {
		return nil, err
	}
	data, err := o.Blob(h, attr.MaxAttributesFile-1)
	if errors.Is(err, object.ErrTooLarge) { // git ignores it, too
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the attributes of directory %s: %w", disk.QuotePath(dir), err)
	}
	return data, nil
}
