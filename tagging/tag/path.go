package tag

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// CheckPath returns an error that says why the etch server must not be sent to path, a pin's or the working
// copy's: it must be a directory, relative to the base, and lie below the base when all symbolic links are
// followed. The directory of the tags and the working copy may themselves be links to somewhere else: then
// it may lie below what they point to. Our own directory among the tags is out of bounds.
func (b Base) CheckPath(path string) error {
	switch {
	case path == "":
		return errors.New("it has no path")
	case strings.TrimSpace(path) != path, strings.ContainsFunc(path, unicode.IsControl):
		return errors.New("the etch server reads one line as it stands: there can be no control characters in it, " +
			"nor blanks at its ends")
	case filepath.IsAbs(path):
		return errors.New("it is an absolute path; it must be relative to the base")
	case !filepath.IsLocal(path):
		return errors.New("it climbs out of the base")
	}
	full := b.Path + "/" + path // Join would resolve ".." without regard to links
	info, err := os.Stat(full)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no such directory below %s", b.Path)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return errors.New("it is not a directory")
	}
	return b.checkReal(full)
}

// checkReal says whether a directory that exists lies where it may.
func (b Base) checkReal(dir string) error {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	if work, err := filepath.EvalSymlinks(b.Work()); err == nil && below(dir, work) {
		return fmt.Errorf("it leads into %s, where unfinished tags are", b.Work())
	}
	for _, root := range []string{b.Path, b.Tags(), b.Trunk()} {
		if root, err := filepath.EvalSymlinks(root); err == nil && below(dir, root) {
			return nil
		}
	}
	return fmt.Errorf("a symbolic link on it leads out of the base, to %q", dir)
}

// below reports whether dir is root or lies below it, both being real.
func below(dir, root string) bool {
	rel, err := filepath.Rel(root, dir)
	return err == nil && filepath.IsLocal(rel)
}

// TagOf returns the name of the tag in which path lies, once symbolic links are followed, or "" if it is
// none. A path that is not absolute, such as a pin, is taken from the base. Where it leads to nothing that exists, the
// words from there on decide: a link to a tag that is out of sight leads to that tag all the same.
func (b Base) TagOf(path string) string {
	if !filepath.IsAbs(path) {
		path = b.Path + "/" + path // Join would resolve ".." without regard to links
	}
	rel, err := filepath.Rel(follow(b.Tags()), follow(path))
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(rel, "/")
	if _, err := ParseName(name); err != nil {
		return ""
	}
	return name
}

// follow is the absolute path to which path leads through symbolic links, as far as it exists, and its words from there
// on.
func follow(path string) string {
	const mostLinks = 40 // as many as Linux follows
	if len(path) > unix.PathMax {
		return filepath.Clean(path) // nothing has so long a path
	}
	rest := ""
	for links := 0; ; {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return filepath.Join(real, rest)
		}
		path = strings.TrimRight(path, "/") // else the link itself would not be read
		dir, name := filepath.Split(path)
		target, err := os.Readlink(path)
		switch {
		case err != nil || links == mostLinks:
			path, rest = dir, name+"/"+rest
		case filepath.IsAbs(target):
			path, links = target, links+1
		default:
			path, links = dir+target, links+1
		}
	}
}
