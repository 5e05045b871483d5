package object

import (
	"context"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// treeDiff compares two trees and descends only where their hashes differ.
type treeDiff struct {
	lister  *treeLister
	removed map[string]bool // paths of the old tree that have changed or gone
}

// UpdateList turns files, the sorted list of the tree from, into that of the tree to. It shares no
// memory with files.
func UpdateList(ctx context.Context, o *Reader, files []TreeFile, from, to plumbing.Hash) ([]TreeFile, error) {
	d := &treeDiff{
		lister:  &treeLister{ctx: ctx, objects: o, seen: map[string]bool{}},
		removed: map[string]bool{},
	}
	if err := d.compare("", from, to); err != nil {
		return nil, err
	}
	list := make([]TreeFile, 0, len(files)+len(d.lister.files))
	for _, f := range files {
		if !d.removed[f.Path] {
			list = append(list, f)
		}
	}
	sortFiles(d.lister.files)
	return mergeFiles(list, d.lister.files), nil
}

// mergeFiles merges two sorted lists into the first.
func mergeFiles(list, more []TreeFile) []TreeFile {
	i := len(list) - 1
	list = append(list, more...)
	for to := len(list) - 1; len(more) > 0; to-- {
		if last := len(more) - 1; i < 0 || list[i].Path < more[last].Path {
			list[to], more = more[last], more[:last]
		} else {
			list[to] = list[i]
			i--
		}
	}
	return list
}

// compare finds what differs between two trees that stand at prefix.
func (d *treeDiff) compare(prefix string, from, to plumbing.Hash) error {
	if from == to {
		return nil
	}
	old, err := d.lister.entries(prefix, from)
	if err != nil {
		return err
	}
	now, err := d.lister.entries(prefix, to)
	if err != nil {
		return err
	}
	before := make(map[string]treeEntry, len(old))
	for _, e := range old {
		before[e.Name] = e
	}
	for _, e := range now {
		was, ok := before[e.Name]
		delete(before, e.Name)
		switch {
		case was == e:
		case ok && was.Mode == filemode.Dir && e.Mode == filemode.Dir:
			err = d.compare(prefix+e.Name+"/", was.Hash, e.Hash)
		default:
			if ok {
				err = d.remove(prefix, was)
			}
			if err == nil {
				err = d.lister.addEntry(prefix, e)
			}
		}
		if err != nil {
			return err
		}
	}
	for _, e := range before {
		if err := d.remove(prefix, e); err != nil {
			return err
		}
	}
	return nil
}

// remove notes that an entry of the old tree is gone.
func (d *treeDiff) remove(prefix string, e treeEntry) error {
	path := prefix + e.Name
	if e.Mode != filemode.Dir {
		d.removed[path] = true
		return nil
	}
	entries, err := d.lister.entries(path+"/", e.Hash)
	if err != nil {
		return err
	}
	for _, below := range entries {
		if err := d.remove(path+"/", below); err != nil {
			return err
		}
	}
	return nil
}

// FindInTree returns the entry at path in the tree root; ok is false if there is none, or if it is a
// directory or a submodule.
func FindInTree(o *Reader, root plumbing.Hash, path string) (f TreeFile, ok bool, err error) {
	f.Path = path
	for rest := path; ; {
		entries, err := o.Tree(root)
		if err != nil {
			return f, false, err
		}
		name, below, deeper := strings.Cut(rest, "/")
		i := slices.IndexFunc(entries, func(e treeEntry) bool { return e.Name == name })
		if i < 0 || deeper != (entries[i].Mode == filemode.Dir) {
			return f, false, nil
		}
		if !deeper {
			mode, err := publishedMode(entries[i].Mode)
			f.Hash, f.Mode = entries[i].Hash, mode
			return f, err == nil && mode != source.Directory, nil
		}
		root, rest = entries[i].Hash, below
	}
}
