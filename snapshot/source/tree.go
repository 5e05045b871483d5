package source

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // identifies attribute files, proves nothing
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	// maxPath and maxName are the longest path and component, in bytes, that Linux can name.
	maxPath = 4095
	maxName = 255
	// maxFiles bounds a tree whose directories repeat themselves until no memory is left.
	maxFiles = 4_000_000
)

// treeFile is one file, link or submodule of a commit's tree.
type treeFile struct {
	path string
	mode Mode // Directory stands for a submodule
	hash plumbing.Hash
}

// isFile reports whether f is a regular file, to which conversions may apply.
func (f treeFile) isFile() bool { return f.mode == Regular || f.mode == Executable }

// treeLister lists trees recursively. Every miss is an error, never an end.
type treeLister struct {
	ctx     context.Context
	objects *objects
	files   []treeFile
	seen    map[string]bool
}

// listTree lists the tree root, sorted by path, and checks that every path is safe to create.
func listTree(ctx context.Context, o *objects, root plumbing.Hash) ([]treeFile, error) {
	l := &treeLister{ctx: ctx, objects: o, seen: map[string]bool{}}
	if err := l.add("", root); err != nil {
		return nil, err
	}
	slices.SortFunc(l.files, func(a, b treeFile) int { return cmp.Compare(a.path, b.path) })
	return l.files, nil
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

func (l *treeLister) addEntry(prefix string, e object.TreeEntry) error {
	path := prefix + e.Name
	if e.Mode == filemode.Dir {
		return l.add(path+"/", e.Hash)
	}
	mode, err := publishedMode(e.Mode)
	if err != nil {
		return refused(path, err)
	}
	if len(l.files) >= maxFiles {
		return fmt.Errorf("the tree has more than %d files", maxFiles)
	}
	l.files = append(l.files, treeFile{path, mode, e.Hash})
	return nil
}

// entries reads the tree h and checks the names in it.
func (l *treeLister) entries(prefix string, h plumbing.Hash) ([]object.TreeEntry, error) {
	if err := l.ctx.Err(); err != nil {
		return nil, err
	}
	entries, err := l.objects.tree(h)
	if err != nil {
		return nil, fmt.Errorf("listing directory %s: %w", quotePath(prefix), err)
	}
	clear(l.seen)
	for _, e := range entries {
		if err := checkName(prefix, e.Name); err != nil {
			return nil, refused(prefix+e.Name, err)
		}
		if l.seen[e.Name] {
			return nil, refused(prefix+e.Name, errors.New("it is there twice"))
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
	case len(name) > maxName:
		return fmt.Errorf("its name is longer than %d bytes", maxName)
	case len(prefix)+len(name) > maxPath:
		return fmt.Errorf("its path is longer than %d bytes", maxPath)
	}
	return nil
}

// publishedMode maps git's modes, legacy permissions such as 0100664 among them.
func publishedMode(m filemode.FileMode) (Mode, error) {
	const kind, permissions, ownerExecutes = 0o170000, 0o777, 0o100
	switch {
	case m == filemode.Symlink:
		return Symlink, nil
	case m == filemode.Submodule:
		return Directory, nil
	case m&kind != 0o100000 || m&^(kind|permissions) != 0:
		return 0, fmt.Errorf("its mode is %06o", uint32(m))
	case m&ownerExecutes != 0:
		return Executable, nil
	}
	return Regular, nil
}

func refused(path string, err error) error {
	return fmt.Errorf("the tree's entry %s is refused: %w", quotePath(path), err)
}

// quotePath quotes a path for a message, and shortens one that is very long.
func quotePath(path string) string {
	if len(path) > 300 {
		return fmt.Sprintf("%q...%q", path[:100], path[len(path)-100:])
	}
	return fmt.Sprintf("%q", path)
}

// treeAttributes gives the attributes of the paths of one tree.
type treeAttributes struct {
	objects func() (*objects, error)
	files   map[string]plumbing.Hash // the attribute files, by directory
	info    []byte
	dirs    map[string]attrDir
}

// attrDir is what the attribute files say of one directory.
type attrDir struct {
	attributes *attributes
	ignored    bool // export-ignore holds for it or for a directory above
}

// newTreeAttributes returns the attributes of the tree that files lists. Objects are not read before
// they are needed.
func newTreeAttributes(o func() (*objects, error), gitDir string, files []treeFile) (*treeAttributes, error) {
	info, err := os.ReadFile(filepath.Join(gitDir, "info", "attributes"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the repository's attributes: %w", err)
	}
	t := &treeAttributes{objects: o, info: info, files: map[string]plumbing.Hash{}, dirs: map[string]attrDir{}}
	for _, f := range files {
		// Git takes the target of a link of that name for the contents of an attribute file.
		if dir, name := splitPath(f.path); name == attributesFile && f.mode != Directory {
			t.files[dir] = f.hash
		}
	}
	return t, nil
}

// digest identifies all that decides on attributes and conversions.
func (t *treeAttributes) digest(eol eolConfig) [sha1.Size]byte {
	d := sha1.New() //nolint:gosec // proves nothing
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
func (t *treeAttributes) of(path string) (values attrValues, ignored bool, err error) {
	if t.none() {
		return nil, false, nil
	}
	dir, _ := splitPath(strings.TrimSuffix(path, "/"))
	d, err := t.dir(dir)
	if err != nil {
		return nil, false, err
	}
	return d.attributes.of(path), d.ignored, nil
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
		d.attributes = newAttributes(file, t.info)
	} else {
		parentPath, _ := splitPath(path)
		parent, err := t.dir(parentPath)
		if err != nil {
			return attrDir{}, err
		}
		d.attributes = parent.attributes.enter(path, file)
		d.ignored = parent.ignored || parent.attributes.of(path + "/")["export-ignore"].kind == attrSet
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
	var size int64
	var data []byte
	if size, err = o.size(h); err == nil && size < maxAttributesFile {
		data, err = o.blob(h, maxAttributesFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the attributes of directory %s: %w", quotePath(dir), err)
	}
	return data, nil
}

func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// gitTree is the tree of one commit as it is to be published, that is as `git archive` has it. It
// implements Tree.
type gitTree struct {
	gitDir   string
	rev      Revision
	entries  []Entry
	warnings []string
}

// newGitTree lists the commit rev.ID of the repository gitDir, without what has export-ignore.
func newGitTree(ctx context.Context, gitDir string, rev Revision) (*gitTree, error) {
	t := &gitTree{gitDir: gitDir, rev: rev}
	if err := t.load(ctx); err != nil {
		return nil, fmt.Errorf("listing revision %s: %w", rev.ID, err)
	}
	return t, nil
}

func (t *gitTree) load(ctx context.Context) error {
	if !plumbing.IsHash(t.rev.ID) {
		return errors.New("this is not the full hash of a commit")
	}
	o, err := openObjects(t.gitDir)
	if err != nil {
		return err
	}
	defer o.Close()
	eol, err := readEOLConfig(t.gitDir)
	if err != nil {
		return err
	}
	commit, err := o.commit(plumbing.NewHash(t.rev.ID))
	if err != nil {
		return err
	}
	files, err := listTree(ctx, o, commit.TreeHash)
	if err != nil {
		return err
	}
	attributes, err := newTreeAttributes(func() (*objects, error) { return o, nil }, t.gitDir, files)
	if err != nil {
		return err
	}
	published := publication{objects: o, attributes: attributes, eol: eol, bare: map[string]bool{}}
	for _, f := range files {
		if err := published.add(f); err != nil {
			return err
		}
	}
	published.addBareDirectories()
	t.entries, t.warnings = published.entries, published.unsupported.warnings()
	return nil
}

// publication collects what is to be published of a tree.
type publication struct {
	objects     *objects
	attributes  *treeAttributes
	eol         eolConfig
	entries     []Entry
	bare        map[string]bool // directories of which some file is not published
	unsupported unsupportedAttributes
}

// add publishes f, unless export-ignore holds for it or for a directory above.
func (p *publication) add(f treeFile) error {
	path := f.path
	if f.mode == Directory {
		path += "/"
	}
	values, ignored, err := p.attributes.of(path)
	if err != nil || ignored {
		return err
	}
	if values["export-ignore"].kind == attrSet {
		dir, _ := splitPath(f.path)
		p.bare[dir] = true
		return nil
	}
	e, err := newEntry(p.objects, f, p.eol.conversion(values))
	if err != nil {
		return err
	}
	if f.isFile() {
		p.unsupported.note(f.path, values)
	}
	p.entries = append(p.entries, e)
	return nil
}

// addBareDirectories lists the directories in which nothing stands because each of their files is left
// out: `git archive` has them, unlike those that hold nothing but directories that are left out.
func (p *publication) addBareDirectories() {
	held := map[string]bool{"": true}
	for _, e := range p.entries {
		parentDirs(held, e.Path)
	}
	for _, dir := range slices.Backward(slices.Sorted(maps.Keys(p.bare))) {
		if !held[dir] {
			p.entries = append(p.entries, Entry{Path: dir, Mode: Directory})
			parentDirs(held, dir)
		}
	}
	slices.SortFunc(p.entries, func(a, b Entry) int { return cmp.Compare(a.Path, b.Path) })
}

// newEntry describes f, to the contents of which c applies if it is a file.
func newEntry(o *objects, f treeFile, c conversion) (Entry, error) {
	if f.mode == Directory {
		return Entry{Path: f.path, Mode: f.mode}, nil
	}
	size, err := o.size(f.hash)
	if err != nil {
		return Entry{}, fmt.Errorf("reading %s: %w", quotePath(f.path), err)
	}
	e := Entry{Path: f.path, Mode: f.mode, Size: size, ID: f.hash.String()}
	if f.isFile() {
		e.ID += idSuffix[c]
	}
	return e, nil
}

// idSuffix marks, in an entry's ID, the conversion that makes its contents differ from the blob's.
var idSuffix = [...]string{convertNone: "", convertCRLF: "+crlf", convertAuto: "+auto"}

// Revision implements Tree.
func (t *gitTree) Revision() Revision { return t.rev }

// Entries implements Tree.
func (t *gitTree) Entries() []Entry { return t.entries }

// Warnings implements Tree.
func (t *gitTree) Warnings() []string { return t.warnings }

// NewReader implements Tree.
func (t *gitTree) NewReader() (Reader, error) {
	o, err := openObjects(t.gitDir)
	if err != nil {
		return nil, err
	}
	return &gitReader{o}, nil
}

// gitReader reads the contents of a gitTree's entries.
type gitReader struct{ objects *objects }

// WriteTo implements Reader.
func (r *gitReader) WriteTo(w io.Writer, e Entry) error {
	id, suffix, _ := strings.Cut(e.ID, "+")
	c := convertNone
	if suffix != "" {
		c = conversion(slices.Index(idSuffix[:], "+"+suffix))
	}
	if err := writeConverted(w, r.objects, plumbing.NewHash(id), c); err != nil {
		return fmt.Errorf("reading %s: %w", quotePath(e.Path), err)
	}
	return nil
}

// Close implements Reader.
func (r *gitReader) Close() error { return r.objects.Close() }

// unsupportedAttributes remembers one path for each attribute that would change what is published and
// that is not honoured.
type unsupportedAttributes struct {
	example map[string]string
	lfs     string
}

func (u *unsupportedAttributes) note(path string, values attrValues) {
	for name, kind := range map[string]attrKind{
		"ident": attrSet, "export-subst": attrSet, "filter": attrValue, "working-tree-encoding": attrValue,
	} {
		switch {
		case values[name].kind != kind:
		case values[name].is("lfs"):
			u.lfs = cmp.Or(u.lfs, path)
		case u.example[name] == "":
			if u.example == nil {
				u.example = map[string]string{}
			}
			u.example[name] = path
		}
	}
}

func (u *unsupportedAttributes) warnings() []string {
	var warnings []string
	var uses []string
	for name, path := range u.example {
		uses = append(uses, fmt.Sprintf("%s (on %s)", name, quotePath(path)))
	}
	if slices.Sort(uses); len(uses) > 0 {
		warnings = append(warnings, "the tree uses git attributes that are not honoured: "+strings.Join(uses, ", "))
	}
	if u.lfs != "" {
		warnings = append(warnings, fmt.Sprintf(
			"the tree uses Git LFS (on %s), which is not supported: the pointers are published in place of the contents",
			quotePath(u.lfs)))
	}
	return warnings
}
