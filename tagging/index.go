package tagging

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tag is a tag that exists.
type Tag struct {
	Name string
	Time time.Time // what the name says, in UTC
	Link bool      // the name is a symbolic link to a directory

	read   func() (Header, bool, error)
	once   sync.Once
	header Header
	known  bool
	err    error
}

// NewTag returns a tag whose manifest's header is what read returns: false if the tag has no manifest. A
// nil read means none. Tags on disk come from ReadIndex.
func NewTag(name string, link bool, read func() (Header, bool, error)) (*Tag, error) {
	t, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	return &Tag{Name: name, Time: t, Link: link, read: read}, nil
}

// Header returns what the tag's manifest begins with, and false if the tag has none because repo_update
// made it. The file is read by the first call. An error is a manifest that exists and cannot be used.
func (t *Tag) Header() (Header, bool, error) {
	t.once.Do(func() {
		if t.read != nil {
			t.header, t.known, t.err = t.read()
		}
	})
	return t.header, t.known, t.err
}

// Index is what stands in the directory of the tags.
type Index struct {
	Tags    []*Tag   // oldest first
	Foreign []string // names that are no tags, sorted
}

// NewIndex returns the index of the tags given, in any order.
func NewIndex(tags ...*Tag) *Index {
	x := &Index{Tags: slices.Clone(tags)}
	slices.SortFunc(x.Tags, func(a, b *Tag) int { return strings.Compare(a.Name, b.Name) })
	return x
}

// ReadIndex reads the directory of the tags. A tag is a directory, or a symbolic link to one, that has a
// tag's name; since publishing is atomic, every tag that exists is complete. Without a directory of tags the
// index is empty; one that cannot be read is an error.
func ReadIndex(l Layout) (*Index, error) {
	entries, err := os.ReadDir(l.Tags())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
		if _, lerr := os.Lstat(l.Tags()); lerr == nil {
			err = fmt.Errorf("%s is a symbolic link that leads nowhere", l.Tags())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the tags: %w", err)
	}
	x := &Index{Tags: make([]*Tag, 0, len(entries))}
	manifests := l.manifests()
	for _, e := range entries { // sorted by name, and so by time
		switch tag := l.tag(e, manifests); {
		case tag != nil:
			x.Tags = append(x.Tags, tag)
		case e.Name() != workDir:
			x.Foreign = append(x.Foreign, e.Name())
		}
	}
	return x, nil
}

// tag returns the tag that e is, or nil. Its manifest, if it has one, is in the directory of that name.
func (l Layout) tag(e fs.DirEntry, manifests string) *Tag {
	link := e.Type() == fs.ModeSymlink
	if !e.IsDir() && !link {
		return nil
	}
	tag, err := NewTag(e.Name(), link, func() (Header, bool, error) { return header(manifests, e.Name()) })
	if err != nil {
		return nil
	}
	if link {
		if info, err := os.Stat(l.Dir(e.Name())); err != nil || !info.IsDir() {
			return nil
		}
	}
	return tag
}

// header reads the header of a tag's manifest, if there is one in the directory of manifests.
func header(manifests, name string) (Header, bool, error) {
	path := manifests + "/" + name
	h, err := ReadHeader(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Header{}, false, nil
	}
	if err == nil && h.Name != name {
		err = fmt.Errorf("manifest %s is that of another tag, %q", path, h.Name)
	}
	if err != nil {
		return Header{}, false, err
	}
	return h, true, nil
}

// Find returns the tag of that name, or nil.
func (x *Index) Find(name string) *Tag {
	if i, ok := slices.BinarySearchFunc(x.Tags, name,
		func(t *Tag, name string) int { return strings.Compare(t.Name, name) }); ok {
		return x.Tags[i]
	}
	return nil
}
