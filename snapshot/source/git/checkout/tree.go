package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/go-git/go-git/v5/plumbing"
)

// Tree is the tree of one commit as it is to be published, that is as `git archive` has it. It
// implements Tree.
type Tree struct {
	gitDir   string
	rev      source.Revision
	entries  []source.Entry
	warnings []string
}

// NewTree lists the commit rev.ID of the repository gitDir, without what has export-ignore.
func NewTree(ctx context.Context, gitDir string, rev source.Revision) (*Tree, error) {
	t := &Tree{gitDir: gitDir, rev: rev}
	if err := t.load(ctx); err != nil {
		return nil, fmt.Errorf("list revision %s: %w", rev.ID, err)
	}
	return t, nil
}

func (t *Tree) load(ctx context.Context) error {
	if !plumbing.IsHash(t.rev.ID) {
		return errors.New("this is not the full hash of a commit")
	}
	k, err := readLastSync(t.gitDir)
	if err != nil {
		return err
	}
	layout, err := repo.LocationOf(t.gitDir)
	if err != nil {
		return err
	}
	t.gitDir = layout.CommonDir
	o, err := object.Open(t.gitDir)
	if err != nil {
		return err
	}
	defer o.Close()
	eol, err := attr.ReadEOLConfig(t.gitDir)
	if err != nil {
		return err
	}
	open := func() (*object.Reader, error) { return o, nil }
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
	objects     *object.Reader
	attributes  *treeAttributes
	eol         attr.EOLConfig
	sizes       bool // the sizes of files to which no conversion applies are those of their blobs
	entries     []source.Entry
	bare        map[string]bool // directories of which some file is not published
	unsupported unsupportedAttributes
}

// add publishes f, unless export-ignore holds for it or for a directory above.
func (p *publication) add(f object.TreeFile) error {
	path := f.Path
	if f.Mode == source.Directory {
		path += "/"
	}
	values, ignored, err := p.attributes.of(path)
	if err != nil || ignored {
		return err
	}
	if values["export-ignore"].Kind == attr.Set {
		dir, _ := disk.SplitPath(f.Path)
		p.bare[dir] = true
		return nil
	}
	e, err := p.entry(f, p.eol.Conversion(values))
	if err != nil {
		return err
	}
	if f.IsFile() {
		p.unsupported.note(f.Path, values)
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
		disk.ParentDirs(held, e.Path)
	}
	for _, dir := range slices.Backward(slices.Sorted(maps.Keys(p.bare))) {
		if !held[dir] {
			p.entries = append(p.entries, source.Entry{Path: dir, Mode: source.Directory})
			disk.ParentDirs(held, dir)
		}
	}
	slices.SortFunc(p.entries, func(a, b source.Entry) int { return cmp.Compare(a.Path, b.Path) })
}

// entry describes f, to the contents of which c applies if it is a file.
func (p *publication) entry(f object.TreeFile, c attr.Conversion) (source.Entry, error) {
	e := source.Entry{Path: f.Path, Mode: f.Mode}
	if f.Mode == source.Directory {
		return e, nil
	}
	e.ID, e.Size = f.Hash.String(), int64(f.Size)
	if f.IsFile() {
		e.ID += idSuffix[c]
		e.Converted = c != attr.ConvertNone
	}
	if p.sizes && f.Size > 0 && !e.Converted {
		return e, nil
	}
	var err error
	if e.Size, err = p.objects.Size(f.Hash); err != nil {
		err = fmt.Errorf("read %s: %w", disk.QuotePath(f.Path), err)
	}
	return e, err
}

// idSuffix marks, in an entry's ID, the conversion that makes its contents differ from the blob's.
var idSuffix = [...]string{attr.ConvertNone: "", attr.ConvertCRLF: "+crlf", attr.ConvertAuto: "+auto"}

// Revision implements Tree.
func (t *Tree) Revision() source.Revision { return t.rev }

// Entries implements Tree.
func (t *Tree) Entries() []source.Entry { return t.entries }

// Warnings implements Tree.
func (t *Tree) Warnings() []string { return t.warnings }

// NewReader implements Tree.
func (t *Tree) NewReader() (source.Reader, error) {
	o, err := object.Open(t.gitDir)
	if err != nil {
		return nil, err
	}
	return &gitReader{o}, nil
}

// gitReader reads the contents of a gitTree's entries.
type gitReader struct{ objects *object.Reader }

// WriteTo implements Reader.
func (r *gitReader) WriteTo(w io.Writer, e source.Entry) error {
	id, suffix, _ := strings.Cut(e.ID, "+")
	c := attr.ConvertNone
	if suffix != "" {
		c = attr.Conversion(slices.Index(idSuffix[:], "+"+suffix))
	}
	if err := writeConverted(w, r.objects, plumbing.NewHash(id), c); err != nil {
		return fmt.Errorf("read %s: %w", disk.QuotePath(e.Path), err)
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

func (u *unsupportedAttributes) note(path string, values attr.Values) {
	for name, kind := range map[string]attr.Kind{
		"ident": attr.Set, "export-subst": attr.Set, "filter": attr.Value, "working-tree-encoding": attr.Value,
	} {
		switch {
		case values[name].Kind != kind:
		case values[name].Is("lfs"):
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
		uses = append(uses, fmt.Sprintf("%s (on %s)", name, disk.QuotePath(path)))
	}
	if slices.Sort(uses); len(uses) > 0 {
		warnings = append(warnings, "the tree uses git attributes that are not honoured: "+strings.Join(uses, ", "))
	}
	if u.lfs != "" {
		warnings = append(warnings, fmt.Sprintf(
			"the tree uses Git LFS (on %s), which is not supported: the pointers are published in place of the contents",
			disk.QuotePath(u.lfs)))
	}
	return warnings
}
