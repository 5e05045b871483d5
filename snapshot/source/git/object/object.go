// Package object is a repository's store of objects: loose ones and packs are read, what is fetched is indexed and proved,
// and packs are joined. An object that is missing or damaged is an Error that names it, never the end of a list.
//
// Packs are our own because go-git's parser of packs takes 8 times as long, its storage 3.5 times, writes indexes without
// a sync, and turns a missing subtree into the clean end of a list. Loose objects and indexes of packs are written by
// go-git's objfile and idxfile.
package object

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
)

// Of commits and trees little is needed here, and go-git's package for them brings OpenPGP along, whose
// initialisation each run of the resolver would pay for.

// Commit is what is needed of a commit.
type Commit struct {
	Hash    plumbing.Hash
	Tree    plumbing.Hash
	Parents []plumbing.Hash
	Time    time.Time // when it was committed; the epoch if that cannot be read, as in some old commits
}

// parseCommit reads the headers of a commit object.
func parseCommit(data []byte) (*Commit, error) {
	c := &Commit{Time: time.Unix(0, 0).UTC()}
	header, _, _ := bytes.Cut(data, []byte("\n\n"))
	for i, line := range strings.Split(string(header), "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch {
		case key == "tree" && i == 0:
			if c.Tree = plumbing.NewHash(value); !plumbing.IsHash(value) {
				return nil, fmt.Errorf("%q is no tree", value)
			}
		case key == "parent":
			if !plumbing.IsHash(value) {
				return nil, fmt.Errorf("%q is no parent", value)
			}
			c.Parents = append(c.Parents, plumbing.NewHash(value))
		case key == "committer":
			c.Time = committerTime(value)
		}
	}
	if c.Tree.IsZero() {
		return nil, errors.New("it names no tree")
	}
	return c, nil
}

// committerTime reads the time in "NAME <MAIL> SECONDS ZONE".
func committerTime(signature string) time.Time {
	fields := strings.Fields(signature[strings.LastIndexByte(signature, '>')+1:])
	if len(fields) == 0 {
		return time.Unix(0, 0).UTC()
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		seconds = 0
	}
	return time.Unix(seconds, 0).UTC()
}

// treeEntry is one entry of a tree object.
type treeEntry struct {
	Name string
	Mode filemode.FileMode
	Hash plumbing.Hash
}

// parseTree splits the bytes of a tree object.
func parseTree(data []byte) ([]treeEntry, error) {
	var entries []treeEntry
	for len(data) > 0 {
		space := bytes.IndexByte(data, ' ')
		if space < 1 || space > 7 {
			return nil, fmt.Errorf("no mode in entry %d", len(entries)+1)
		}
		mode, err := strconv.ParseUint(string(data[:space]), 8, 32)
		if err != nil {
			return nil, fmt.Errorf("mode %q in entry %d", data[:space], len(entries)+1)
		}
		data = data[space+1:]
		end := bytes.IndexByte(data, 0)
		if end < 0 || len(data)-end-1 < len(plumbing.ZeroHash) {
			return nil, fmt.Errorf("entry %d is cut off", len(entries)+1)
		}
		e := treeEntry{Name: string(data[:end]), Mode: filemode.FileMode(mode)}
		data = data[end+1:]
		data = data[copy(e.Hash[:], data):]
		entries = append(entries, e)
	}
	return entries, nil
}
