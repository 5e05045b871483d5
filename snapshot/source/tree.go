package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
)

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
	k, err := readKnown(t.gitDir)
	if err != nil {
		return err
	}
	layout, err := layoutOf(t.gitDir)
	if err != nil {
		return err
	}
	t.gitDir = layout.commonDir
	o, err := openObjects(t.gitDir)
	if err != nil {
		return err
	}
	defer o.Close()
	eol, err := readEOLConfig(t.gitDir)
	if err != nil {
		return err
	}
	open := func() (*objects, error) { return o, nil }
	files, err := k.list(ctx, open, plumbing.NewHash(t.rev.ID))
	if err != nil {
		return err
	}
	attributes, err := newTreeAttributes(open, t.gitDir, files)
	if err != nil {
		return err
	}
	published := publication{objects: o, attributes: attributes, eol: eol, bare: map[string]bool{}}
	// The working copy's files have the sizes of their blobs unless a conversion holds, or held when they were written.
	published.sizes = k.state.attributes == attributes.digest(eol)
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
	sizes       bool // the sizes of files to which no conversion applies are those of their blobs
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
	e, err := p.entry(f, p.eol.conversion(values))
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
	if len(p.bare) == 0 {
		return
	}
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

// entry describes f, to the contents of which c applies if it is a file.
func (p *publication) entry(f treeFile, c conversion) (Entry, error) {
	e := Entry{Path: f.path, Mode: f.mode}
	if f.mode == Directory {
		return e, nil
	}
	e.ID, e.Size = f.hash.String(), int64(f.size)
	if f.isFile() {
		e.ID += idSuffix[c]
		e.Converted = c != convertNone
	}
	if p.sizes && f.size > 0 && !e.Converted {
		return e, nil
	}
	var err error
	if e.Size, err = p.objects.size(f.hash); err != nil {
		err = fmt.Errorf("reading %s: %w", quotePath(f.path), err)
	}
	return e, err
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
