package source

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

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

// listDir describes the directory dir. The .git in it is left out.
func listDir(t failer, dir string) listing {
	t.Helper()
	list := listing{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel := strings.TrimPrefix(path, dir+"/")
		if rel == ".git" {
			return filepath.SkipDir
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case d.IsDir():
			list[rel] = "directory"
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			list[rel] = fmt.Sprintf("link to %q", target)
			return err
		case info.Mode().IsRegular():
			data, err := os.ReadFile(path)
			list[rel] = fmt.Sprintf("file executable=%v %q", info.Mode()&0o100 != 0, data)
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

// stage writes a tree below dir, as whoever publishes it will.
func stage(t failer, tree Tree, dir string) {
	t.Helper()
	r, err := tree.NewReader()
	if err != nil {
		t.Fatalf("opening a reader: %v", err)
	}
	defer r.Close()
	previous := ""
	for _, e := range tree.Entries() {
		if e.Path <= previous {
			t.Fatalf("%q comes after %q", e.Path, previous)
		}
		previous = e.Path
		path := dir + "/" + e.Path
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatalf("making directories: %v", err)
		}
		if err := stageEntry(r, e, path); err != nil {
			t.Fatalf("staging %q: %v", e.Path, err)
		}
	}
}

func stageEntry(r Reader, e Entry, path string) error {
	switch e.Mode {
	case Directory:
		return os.Mkdir(path, 0o755)
	case Symlink:
		var target strings.Builder
		if err := r.WriteTo(&target, e); err != nil {
			return err
		}
		return os.Symlink(target.String(), path)
	}
	mode := os.FileMode(0o644)
	if e.Mode == Executable {
		mode = 0o755
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.WriteTo(f, e)
}

// stagedAsArchived fails the test unless a commit comes out exactly as `git archive | tar -x` has it.
func stagedAsArchived(t failer, gitDir string, commit plumbing.Hash) *gitTree {
	t.Helper()
	tree, err := newGitTree(context.Background(), gitDir, Revision{ID: commit.String()})
	if err != nil {
		t.Fatalf("listing: %v", err)
	}
	dir, err := os.MkdirTemp("", "staged")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer os.RemoveAll(dir)
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	for _, d := range []string{ours, theirs} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatalf("%v", err)
		}
	}
	stage(t, tree, ours)
	cmd := exec.Command("sh", "-c", `git -c safe.directory='*' archive "$0" | tar -x -C "$1"`, commit.String(), theirs)
	cmd.Dir = gitDir
	cmd.Env = gitEnv("GIT_ATTR_NOSYSTEM=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git archive: %v\n%s", err, out)
	}
	listDir(t, ours).same(t, "what is published", listDir(t, theirs))
	return tree
}

// checkSome is rapid.Check with fewer rounds, for properties that run other programs.
func checkSome(t *testing.T, rounds int, prop func(*rapid.T)) {
	t.Helper()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = f.Value.Set(strconv.Itoa(rounds))
		defer func() { _ = f.Value.Set(f.DefValue) }()
	}
	rapid.Check(t, prop)
}

// Names and contents that have made trouble somewhere.
var (
	oddNames = []string{
		"a", "b", "c", "a.b", "a-b", "A", "with blank", "new\nline", "\xff\xfe", "é", "-dash", "aux.txt", "com1.conf",
		"CON", ".hidden", "*", "q?[x]", `back\slash`, "trailing.", "etchtag-tmp", ".gitignore", "~", strings.Repeat("n", 255),
	}
	oddContents = []string{
		"", "text\n", "a\nb\nc\n", "no end", "a\r\nb\r\n", "mixed\r\nends\n", "lone\rreturn\n", "nul\x00\n", "\n", "\r", "\r\n",
		"end of file\n\x1a", "\x1a", "bell\a\n", strings.Repeat("long line ", 20) + "\x01\n", strings.Repeat("\n", 70_000),
		strings.Repeat("x\n", 40_000),
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
			strings.Join(rapid.SliceOfN(piece, 1, 3).Draw(t, "pieces"), rapid.SampledFrom([]string{"/", "/", ""}).Draw(t, "between")) +
			rapid.SampledFrom([]string{"", "", "", "/", "/**"}).Draw(t, "end")
		if strings.ContainsAny(pattern, " \n\xff") || rapid.IntRange(0, 9).Draw(t, "quote") == 0 {
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
	needProgram(t, "tar")
	return newObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
}
