package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
)

// Permissions of a file's group and of everybody.
const (
	groupWrites = 0o020
	allWrite    = 0o002
	othersOpen  = 0o066
)

// accessFindings reports files that decide what clients get, and that others than their owners can write. What a group
// may do is a choice that somebody has made; what everybody may do, none that somebody should have made.
func (s *site) accessFindings() []finding {
	const what = "access"
	base := s.Base.Path
	all, group, open := &writable{base: base}, &writable{base: base}, &writable{base: base}
	var out []finding
	for _, path := range s.decisiveFiles() {
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil && len(out) == 0: // of many, one says it
			out = append(out, cannotTell(what, err))
		case err != nil:
		case !info.Mode().IsRegular() && !info.IsDir(): // nothing stands in it
		case info.Mode()&allWrite != 0:
			all.add(path)
		case info.Mode()&groupWrites != 0:
			group.add(path)
		}
	}
	for _, path := range []string{s.Base.SnapshotLock(), s.Base.TagstateLock()} {
		if info, err := os.Stat(path); err == nil && info.Mode()&othersOpen != 0 {
			open.add(path)
		}
	}
	for _, path := range snapshot.FindReplaced(s.Base) {
		out = append(out, finding{levelProblem, what, path + " is no directory of ours, so that no tag is made, and none removed",
			"see who has put it there and where it leads; then: rm " + path})
	}
	if all.any() {
		out = append(out, finding{levelProblem, what,
			fmt.Sprintf("everybody on this machine can write %s, and so change what clients get", all),
			"chmod o-w " + all.paths()})
	}
	if open.any() {
		out = append(out, finding{levelWarning, what,
			fmt.Sprintf("others than the owner can open %s, and who can open a lock can hold it for ever", open),
			"chmod 600 " + open.paths()})
	}
	if group.any() {
		out = append(out, finding{levelNote, what,
			fmt.Sprintf("the group of %s can write it, and so change what clients get", group),
			"if that is not meant: chmod g-w " + group.paths()})
	}
	return out
}

// decisiveFiles are the files and directories, each once, whose writers decide what clients get: the base and all that
// stands directly in it, what the configuration names elsewhere, the tags and our own records. A path's end may be a
// link: what counts is who can write what it leads to.
func (s *site) decisiveFiles() []string {
	b := s.Base
	files := []string{b.Path, s.configFile, filepath.Join(b.Path, "nodetagger"), b.Pins(), b.Kept(), b.Killswitch(),
		b.Tags(), b.Work(), b.Trunk()}
	for _, path := range s.Config.Tagstate {
		files = append(files, s.Path(path))
	}
	files = append(files, s.configuredFiles()...)
	for _, name := range []string{".git", ".svn", "CVS"} {
		files = append(files, filepath.Join(b.Trunk(), name))
	}
	for _, dir := range []string{b.Path, b.Tags(), b.Work(), filepath.Dir(b.Manifest("x")), filepath.Dir(b.Table("x"))} {
		files = append(files, pathsIn(dir)...)
	}
	seen := map[string]bool{
		filepath.Join(b.Path, "orig"): true, // the etch server's user writes there, and nobody reads
		b.SnapshotLock():              true, // those are another matter
		b.TagstateLock():              true,
	}
	return slices.DeleteFunc(files, func(path string) bool {
		again := seen[path]
		seen[path] = true
		return again
	})
}

// configuredFiles are the files and programs that the configuration names by a path.
func (s *site) configuredFiles() (files []string) {
	if check := s.Config.Tags.Check; len(check) > 0 && filepath.IsAbs(check[0]) { // others stand in the tree
		files = append(files, check[0])
	}
	for _, i := range s.Config.Inventory {
		if kind := s.Kinds[i.Kind]; kind.Files != nil {
			files = append(files, kind.Files(s.Site.Site, i)...)
		}
	}
	return files
}

// pathsIn are the paths of what stands directly in a directory: none if it cannot be read, which others report.
func pathsIn(dir string) (paths []string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		paths = append(paths, filepath.Join(dir, e.Name()))
	}
	return paths
}

// writable gathers paths.
type writable struct {
	base  string
	found []string
}

func (w *writable) add(path string) { w.found = append(w.found, path) }

func (w *writable) any() bool { return len(w.found) > 0 }

// String names the paths as seen from the base.
func (w *writable) String() string {
	var names []string
	for _, path := range w.found {
		if rel, err := filepath.Rel(w.base, path); err == nil && filepath.IsLocal(rel) && rel != "." {
			path = rel
		}
		names = append(names, path)
	}
	return term.Some(names)
}

// paths are the paths in full.
func (w *writable) paths() string { return strings.Join(w.found, " ") }
