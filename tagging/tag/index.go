package tag

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

	read     func() (*Header, bool, error) // nil for a tag on disk
	dir      string                        // of the manifests; empty for a tag that is not on disk
	once     sync.Once
	header   *Header
	recorded bool // there is a manifest
	err      error
}

// New returns a tag whose manifest's header is what read returns: false if the tag has no manifest. A
// nil read means none. Tags on disk come from ReadIndex.
func New(name string, link bool, read func() (*Header, bool, error)) (*Tag, error) {
	t, err := ParseName(name)
	if err != nil {
		return nil, err
	}
	return &Tag{Name: name, Time: t, Link: link, read: read}, nil
}

// Header returns what the tag's manifest begins with, and false if the tag has none because repo_update
// made it. The file is read by the first call; what it returns must not be changed. An error is a manifest that exists
// and cannot be used.
func (t *Tag) Header() (*Header, bool, error) {
	t.once.Do(func() {
		switch {
		case t.dir != "":
			t.header, t.recorded, t.err = header(t.dir, t.Name)
		case t.read != nil:
			t.header, t.recorded, t.err = t.read()
		}
	})
	return t.header, t.recorded, t.err
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
// tag's name. Publishing is atomic, so every tag that exists is complete. Without a directory of tags the
// index is empty; one that cannot be read is an error.
func ReadIndex(b Base) (*Index, error) {
	entries, err := os.ReadDir(b.Tags())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
		if _, lerr := os.Lstat(b.Tags()); lerr == nil {
			err = fmt.Errorf("%s is a symbolic link that leads nowhere", b.Tags())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read the tags: %w", err)
	}
	x := &Index{Tags: make([]*Tag, 0, len(entries))}
	tags, manifests := make([]Tag, len(entries)), b.manifests()
	for i, e := range entries { // sorted by name, and so by time
		switch tag := &tags[i]; {
		case b.isTag(e, tag):
			tag.dir = manifests
			x.Tags = append(x.Tags, tag)
		case e.Name() != workDir:
			x.Foreign = append(x.Foreign, e.Name())
		}
	}
	return x, nil
}

// isTag reports whether e is a tag, and fills that in if it is.
func (b Base) isTag(e fs.DirEntry, tag *Tag) bool {
	link := e.Type() == fs.ModeSymlink
	if !e.IsDir() && !link {
		return false
	}
	t, err := ParseName(e.Name())
	if err != nil {
		return false
	}
	if link {
		if info, err := os.Stat(b.Dir(e.Name())); err != nil || !info.IsDir() {
			return false
		}
	}
	tag.Name, tag.Time, tag.Link = e.Name(), t, link
	return true
}

// header reads the header of a tag's manifest, if there is one in the directory of manifests.
func header(manifests, name string) (*Header, bool, error) {
	path := manifests + "/" + name
	h, err := ReadHeader(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err == nil && h.Name != name {
		err = fmt.Errorf("manifest %s is that of another tag, %q", path, h.Name)
	}
	if err != nil {
		return nil, false, err
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
