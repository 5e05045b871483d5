package source

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// failer is what *testing.T and *rapid.T have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// listing describes what stands below a directory: one line for each path.
type listing map[string]string

func describe(m Mode, contents string) string { return fmt.Sprintf("%c %q", m, contents) }

// listDir describes the directory dir. The .git in it is left out.
func listDir(t failer, dir string) listing {
	t.Helper()
	list := listing{}
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
			list[rel] = describe(Directory, "")
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			list[rel] = describe(Symlink, target)
			return err
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			mode := Regular
			if info.Mode()&0o100 != 0 {
				mode = Executable
			}
			list[rel] = describe(mode, string(data))
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

// same fails the test unless both listings are equal.
func (l listing) same(t failer, what string, want listing) {
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

// published lists what stands in a tree as listDir would list it once it is staged.
func published(t failer, tree Tree) listing {
	t.Helper()
	r, err := tree.NewReader()
	if err != nil {
		t.Fatalf("opening a reader: %v", err)
	}
	defer r.Close()
	list := listing{}
	dirs := map[string]bool{}
	previous := ""
	for _, e := range tree.Entries() {
		if e.Path <= previous {
			t.Fatalf("%q comes after %q", e.Path, previous)
		}
		previous = e.Path
		parentDirs(dirs, e.Path)
		if e.Mode == Directory {
			dirs[e.Path] = true
			continue
		}
		var contents strings.Builder
		if err := r.WriteTo(&contents, e); err != nil {
			t.Fatalf("reading %q: %v", e.Path, err)
		}
		list[e.Path] = describe(e.Mode, contents.String())
	}
	for dir := range dirs {
		list[dir] = describe(Directory, "")
	}
	return list
}

// archived lists what `git archive` has of a commit.
func archived(t failer, gitDir string, commit plumbing.Hash) listing {
	t.Helper()
	cmd := exec.Command("git", "-c", "safe.directory=*", "archive", commit.String())
	cmd.Dir = gitDir
	cmd.Env = gitEnv("GIT_ATTR_NOSYSTEM=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git archive: %v", err)
	}
	list := listing{}
	for r := tar.NewReader(bytes.NewReader(out)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("reading what git archive wrote: %v", err)
		}
		contents, err := io.ReadAll(r)
		if err != nil {
			t.Fatalf("reading what git archive wrote: %v", err)
		}
		switch {
		case h.Typeflag == tar.TypeDir:
			list[strings.TrimSuffix(h.Name, "/")] = describe(Directory, "")
		case h.Typeflag == tar.TypeSymlink:
			list[h.Name] = describe(Symlink, h.Linkname)
		case h.Typeflag == tar.TypeReg && h.Mode&0o100 != 0:
			list[h.Name] = describe(Executable, string(contents))
		case h.Typeflag == tar.TypeReg:
			list[h.Name] = describe(Regular, string(contents))
		}
	}
}

// publishedAsArchived fails the test unless a commit comes out exactly as `git archive` has it.
func publishedAsArchived(t failer, gitDir string, commit plumbing.Hash) {
	t.Helper()
	tree, err := newGitTree(context.Background(), gitDir, Revision{ID: commit.String()})
	if err != nil {
		t.Fatalf("listing: %v", err)
	}
	published(t, tree).same(t, "what is published", archived(t, gitDir, commit))
}

// checkSome is rapid.Check with fewer rounds, for properties that run other programs.
func checkSome(t *testing.T, rounds int, prop func(*rapid.T)) {
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

// Names and contents that have made trouble somewhere.
var (
	oddNames = []string{
		"a", "b", "c", "a.b", "a-b", "A", "with blank", "new\nline", "\xff\xfe", "é", "-dash", "aux.txt", "com1.conf",
		"CON", ".hidden", "*", "q?[x]", `back\slash`, "trailing.", "etchtag-tmp", ".gitignore", "~",
		strings.Repeat("n", 255),
	}
	oddContents = []string{
		"", "text\n", "a\nb\nc\n", "no end", "a\r\nb\r\n", "mixed\r\nends\n", "lone\rreturn\n", "nul\x00\n",
		"\n", "\r", "\r\n",
		"end of file\n\x1a", "\x1a", "bell\a\n", strings.Repeat("long line ", 20) + "\x01\n",
		strings.Repeat("x\n", 1000),
	}
	oddTargets = []string{"a", "../a", "/etc/passwd", "/nonexistent", "dangling", ".", "with blank\nline", "\xff"}
)

// drawTree draws the files of a tree, no file above another.
func drawTree(t *rapid.T, label string, names []string) map[string]fakeFile {
	files := map[string]fakeFile{}
	dirs := map[string]bool{}
	name := rapid.SampledFrom(names)
	for range rapid.IntRange(0, 12).Draw(t, label+" size") {
		path := strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, label+" path"), "/")
		if dirs[path] || underFile(files, path) {
			continue
		}
		parentDirs(dirs, path)
		files[path] = drawFile(t, label)
	}
	return files
}

func underFile(files map[string]fakeFile, path string) bool {
	for dir := path; dir != ""; dir, _ = splitPath(dir) {
		if _, ok := files[dir]; ok {
			return true
		}
	}
	return false
}

func drawFile(t *rapid.T, label string) fakeFile {
	switch rapid.IntRange(0, 9).Draw(t, label+" kind") {
	case 0:
		return link(rapid.SampledFrom(oddTargets).Draw(t, label+" target"))
	case 1:
		return submodule("s")
	case 2:
		return executable(rapid.SampledFrom(oddContents).Draw(t, label+" contents"))
	}
	return file(rapid.SampledFrom(oddContents).Draw(t, label+" contents"))
}

// drawAttributes draws an attribute file about the names given.
func drawAttributes(t *rapid.T, label string, names, attributes []string) string {
	piece := rapid.OneOf(
		rapid.SampledFrom(names),
		rapid.SampledFrom([]string{"*", "**", "?", "[a-c]", "[!a]", "[[:alpha:]]*", "*.txt", "*b", `\a`, "a*"}),
	)
	line := rapid.Custom(func(t *rapid.T) string {
		pattern := rapid.SampledFrom([]string{"", "", "", "/", "**/"}).Draw(t, "start") +
			strings.Join(rapid.SliceOfN(piece, 1, 3).Draw(t, "pieces"), rapid.SampledFrom([]string{"/", "/",
				""}).Draw(t, "between")) +
			rapid.SampledFrom([]string{"", "", "", "/", "/**"}).Draw(t, "end")
		if strings.ContainsAny(pattern, " \n") || !utf8.ValidString(pattern) || rapid.IntRange(0, 9).Draw(t,
			"quote") == 0 {
			pattern = quoteC(pattern)
		}
		words := rapid.SliceOfN(rapid.SampledFrom(attributes), 1, 3).Draw(t, "attributes")
		return pattern + " " + strings.Join(words, " ")
	})
	return strings.Join(rapid.SliceOfN(line, 0, 4).Draw(t, label), "\n") + "\n"
}

// quoteC quotes a pattern as git does.
func quoteC(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '"' || c == '\\':
			out.WriteString(`\` + string(rune(c)))
		case c == '\n':
			out.WriteString(`\n`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&out, `\%03o`, c)
		default:
			out.WriteByte(c)
		}
	}
	return `"` + out.String() + `"`
}

// addAttributes puts attribute files into the root and some directories of a tree.
func addAttributes(t *rapid.T, files map[string]fakeFile, names, attributes []string) {
	dirs := map[string]bool{"": true}
	for path := range files {
		parentDirs(dirs, path)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if rapid.IntRange(0, 2).Draw(t, "has attributes") > 0 {
			continue
		}
		path := strings.TrimPrefix(dir+"/"+attributesFile, "/")
		files[path] = file(drawAttributes(t, "attributes", names, attributes))
	}
}

// newCheckedRig is a rig for tests that ask git, too.
func newCheckedRig(t *testing.T) *objectRig {
	t.Helper()
	needProgram(t, "git")
	return newObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
}
