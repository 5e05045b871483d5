// Package testbed has what tests of several packages below snapshot want: trees as text, edits to trees, and servers on
// loopback, with a valve before them that can be shut. It imports the contract of sources alone, so that the tests of all
// others can import it.
package testbed

import (
	"crypto/sha256"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"pgregory.net/rapid"
)

// Failer is what *testing.T and *rapid.T have in common.
type Failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// Listing describes what stands below a directory: one line for each path.
type Listing map[string]string

// Same fails the test unless both listings are equal.
func (l Listing) Same(t Failer, what string, want Listing) {
	t.Helper()
	var lines []string
	for path, has := range l {
		if want[path] != has {
			lines = append(lines, fmt.Sprintf("%q is %s, want %q", path, has, want[path]))
		}
	}
	for path, has := range want {
		if _, ok := l[path]; !ok {
			lines = append(lines, fmt.Sprintf("%q is missing, want %s", path, has))
		}
	}
	slices.Sort(lines)
	if len(lines) > 0 {
		t.Fatalf("%s:\n%s", what, strings.Join(lines, "\n"))
	}
}

func Describe(m source.Mode, contents string) string { return fmt.Sprintf("%c %q", m, contents) }

// ListDir describes the directory dir. The .git in it is left out.
func ListDir(t Failer, dir string) Listing {
	t.Helper()
	list := Listing{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel := strings.TrimPrefix(path, dir+"/")
		if rel == ".git" && d.IsDir() {
			return filepath.SkipDir
		}
		if rel == ".git" {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			list[rel] = Describe(source.Directory, "")
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			list[rel] = Describe(source.Symlink, target)
			return err
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			mode := source.Regular
			if info.Mode()&0o100 != 0 {
				mode = source.Executable
			}
			list[rel] = Describe(mode, string(data))
			return err
		default:
			list[rel] = info.Mode().String()
		}
		return nil
	})
	if err != nil {
		t.Fatalf("listing %s: %v", dir, err)
	}
	return list
}

// CheckSome is rapid.Check with fewer rounds, for properties that run other programs.
func CheckSome(t *testing.T, rounds int, prop func(*rapid.T)) {
	t.Helper()
	if f := flag.Lookup("rapid.checks"); f.Value.String() != f.DefValue {
		rapid.Check(t, prop)
		return
	}
	failed := false
	rapid.Check(t, func(t *rapid.T) {
		rounds--
		if rounds < 0 && !failed { // what failed is tried again, to make it small
			return
		}
		defer func() { failed = failed || t.Failed() }()
		prop(t)
	})
}

// TheTime is when all syncs of the tests happen.
var TheTime = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// Files is the listing without directories.
func (l Listing) Files() Listing {
	files := Listing{}
	for path, has := range l {
		if has != Describe(source.Directory, "") {
			files[path] = has
		}
	}
	return files
}

var OddNames = []string{
	"a", "b", "c", "a.b", "a-b", "A", "with blank", "new\nline", "\xff\xfe", "é", "-dash", "aux.txt", "com1.conf",
	"CON", ".hidden", "*", "q?[x]", `back\slash`, "trailing.", "etchtag-tmp", ".gitignore", "~",
	strings.Repeat("n", 255),
}

func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// IsListed fails the test unless the entries of an export are sorted, and are what the listing has.
func IsListed(t Failer, entries []source.ExportedEntry, list Listing) {
	t.Helper()
	dirs := map[string]bool{}
	hashes := Listing{}
	previous := ""
	for _, e := range entries {
		if e.Path <= previous {
			t.Fatalf("%q comes after %q", e.Path, previous)
		}
		previous = e.Path
		AddParents(dirs, e.Path)
		hashes[e.Path] = fmt.Sprintf("%c %x", e.Mode, e.Hash)
	}
	want := Listing{}
	for path, has := range list {
		contents, err := strconv.Unquote(has[2:])
		if err != nil {
			t.Fatalf("%q is %s", path, has)
		}
		switch {
		case source.Mode(has[0]) != source.Directory:
			want[path] = fmt.Sprintf("%c %x", has[0], sha256.Sum256([]byte(contents)))
		case !dirs[path]:
			want[path] = fmt.Sprintf("%c %x", source.Directory, [sha256.Size]byte{})
		}
	}
	hashes.Same(t, "the list of what was exported", want)
}

// AddParents adds all directories above path to a set.
func AddParents(set map[string]bool, path string) {
	for dir := filepath.Dir(path); dir != "."; dir = filepath.Dir(dir) {
		set[dir] = true
	}
}
