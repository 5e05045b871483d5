package health

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/cmd/internal/term"
)

// Permissions of a file's group and of everybody.
const (
	groupWrites = 0o020
	allWrite    = 0o002
	othersOpen  = 0o066
)

// accessFindings reports files that decide what clients get, and that others than their owners can write. What a group
// may do is a choice that somebody has made; what everybody may do, none that somebody should have made.
func (x *Facts) accessFindings() []Finding {
	const what = "access"
	base := x.Base.Path
	all, group, open := &writable{base: base}, &writable{base: base}, &writable{base: base}
	var out []Finding
	for _, file := range x.Files {
		switch {
		case file.Err != nil && len(out) == 0: // of many, one says it
			out = append(out, cannotTell(what, file.Err))
		case file.Err != nil:
		case !file.Mode.IsRegular() && !file.Mode.IsDir(): // nothing stands in it
		case file.Mode&allWrite != 0:
			all.add(file.Path)
		case file.Mode&groupWrites != 0:
			group.add(file.Path)
		}
	}
	for _, lock := range x.Locks {
		if lock.File.Err == nil && lock.File.Mode&othersOpen != 0 {
			open.add(lock.File.Path)
		}
	}
	for _, path := range x.Replaced {
		out = append(out, Finding{Problem, what, path + " is no directory of ours, so that no tag is made, and none removed",
			"see who has put it there and where it leads; then: rm " + path})
	}
	if all.any() {
		out = append(out, Finding{Problem, what,
			fmt.Sprintf("everybody on this machine can write %s, and so change what clients get", all),
			"chmod o-w " + all.paths()})
	}
	if open.any() {
		out = append(out, Finding{Warning, what,
			fmt.Sprintf("others than the owner can open %s, and who can open a lock can hold it for ever", open),
			"chmod 600 " + open.paths()})
	}
	if group.any() {
		out = append(out, Finding{Note, what,
			fmt.Sprintf("the group of %s can write it, and so change what clients get", group),
			"if that is not meant: chmod g-w " + group.paths()})
	}
	return out
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
