// Package gittest makes repositories for tests: by git, and object by object.
package gittest

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"pgregory.net/rapid"
)

// TestRepo is a repository that tests change by means of the git binary.
type TestRepo struct {
	T     *testing.T
	Dir   string
	Ticks int // commits made: each is a minute after the one before
}

func (r *TestRepo) Git(args ...string) string {
	r.T.Helper()
	return RunGit(r.T, r.Dir, r.Ticks, args...)
}

func (r *TestRepo) Write(name, content string) {
	r.T.Helper()
	testbed.WriteTestFile(r.T, filepath.Join(r.Dir, name), content)
}

// Commit records all changes and returns the commit's hash.
func (r *TestRepo) Commit(message string) string {
	r.T.Helper()
	r.Ticks++
	r.Git("add", "-A")
	r.Git("commit", "-q", "--allow-empty", "-m", message)
	return r.Git("rev-parse", "HEAD")
}

// Grow makes n commits that change a few files each.
func (r *TestRepo) Grow(n int) {
	r.T.Helper()
	for range n {
		r.Write(fmt.Sprintf("source/etc/f%d", r.Ticks%7), fmt.Sprintf("%d\n", r.Ticks))
		r.Commit(fmt.Sprintf("commit %d", r.Ticks))
	}
}

// Daemon serves the directory above the repository by git:// and returns the repository's URL.
func (r *TestRepo) Daemon() string {
	r.T.Helper()
	return fmt.Sprintf("git://%s/%s", r.DaemonAddress(), filepath.Base(r.Dir))
}

func (r *TestRepo) DaemonAddress() string {
	r.T.Helper()
	testbed.NeedProgram(r.T, "git-daemon", "git")
	env := testbed.GitEnv("GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*")
	return testbed.Inetd(r.T, env, "git", "-c", "safe.directory=*", "daemon", "--inetd", "--export-all",
		"--base-path="+filepath.Dir(r.Dir))
}

// WebServer serves the directory above the repository by git's smart HTTP protocol; if a password
// is given, only to the user "etch" with that password. It returns the repository's URL.
func (r *TestRepo) WebServer(password string) string {
	r.T.Helper()
	server := httptest.NewServer(r.WebHandler(password))
	r.T.Cleanup(server.Close)
	return server.URL + "/" + filepath.Base(r.Dir)
}

func (r *TestRepo) WebHandler(password string) http.Handler {
	r.T.Helper()
	backend := &cgi.Handler{
		Path: testbed.NeedProgram(r.T, "git-http-backend", "/usr/lib/git-core/git-http-backend"),
		Env: testbed.GitEnv("GIT_PROJECT_ROOT="+filepath.Dir(r.Dir), "GIT_HTTP_EXPORT_ALL=1",
			"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=safe.directory", "GIT_CONFIG_VALUE_0=*"),
		Stderr: io.Discard,
		Logger: log.New(io.Discard, "", 0), // of clients that were cut off
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if user, given, _ := q.BasicAuth(); password != "" && (user != "etch" || given != password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, q)
	})
}

// NewTestRepo makes a repository with a working tree and one commit on the branch main.
func NewTestRepo(t *testing.T) *TestRepo {
	t.Helper()
	r := NewEmptyRepo(t)
	r.Write("defaults.yml", "a: 1\n")
	r.Write("source/etc/motd", "hello\n")
	r.Commit("first")
	return r
}

// NewEmptyRepo makes a repository with a working tree and no commit.
func NewEmptyRepo(t *testing.T) *TestRepo {
	t.Helper()
	testbed.NeedProgram(t, "git")
	r := &TestRepo{T: t, Dir: filepath.Join(t.TempDir(), "upstream")}
	if err := os.Mkdir(r.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r.Git("init", "-q", "-b", "main")
	return r
}

func RunGit(t *testing.T, dir string, ticks int, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", append([]string{"-C", dir, "-c", "safe.directory=*", "-c", "gc.auto=0"}, args...)...)
	date := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC).Add(time.Duration(ticks) * time.Minute).Format(time.RFC3339)
	cmd.Env = testbed.GitEnv("GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s%s", strings.Join(args, " "), err, out, stderr.String())
	}
	return strings.TrimRight(string(out), "\n")
}

// PackedUpstream returns a repository whose objects are in one pack.
func PackedUpstream(t *testing.T) *TestRepo {
	r := NewTestRepo(t)
	r.Grow(3)
	r.Git("repack", "-adq")
	return r
}

// Archived lists what `git archive` has of a commit.
func Archived(t testbed.Failer, gitDir string, commit plumbing.Hash) testbed.Listing {
	t.Helper()
	cmd := exec.Command("git", "-c", "safe.directory=*", "archive", commit.String())
	cmd.Dir = gitDir
	cmd.Env = testbed.GitEnv("GIT_ATTR_NOSYSTEM=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git archive: %v", err)
	}
	list := testbed.Listing{}
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
			list[strings.TrimSuffix(h.Name, "/")] = testbed.Describe(source.Directory, "")
		case h.Typeflag == tar.TypeSymlink:
			list[h.Name] = testbed.Describe(source.Symlink, h.Linkname)
		case h.Typeflag == tar.TypeReg && h.Mode&0o100 != 0:
			list[h.Name] = testbed.Describe(source.Executable, string(contents))
		case h.Typeflag == tar.TypeReg:
			list[h.Name] = testbed.Describe(source.Regular, string(contents))
		}
	}
}

// Damage spoils a file in place.
func Damage(t *testing.T, path string, spoil func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, spoil(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func Half(data []byte) []byte { return data[:len(data)/2] }

func None([]byte) []byte { return nil }

func FlipMiddle(data []byte) []byte {
	data[len(data)/2] ^= 0x55
	return data
}

// SomeBytes are bytes that do not compress, the same each time.
func SomeBytes(n int) string {
	var buf bytes.Buffer
	_, _ = io.CopyN(&buf, rand.NewChaCha8([32]byte{1}), int64(n))
	return buf.String()
}

// DrawTree draws the files of a tree, no file above another.
func DrawTree(t *rapid.T, label string, names []string) map[string]FakeFile {
	files := map[string]FakeFile{}
	dirs := map[string]bool{}
	name := rapid.SampledFrom(names)
	for range rapid.IntRange(0, 12).Draw(t, label+" size") {
		path := strings.Join(rapid.SliceOfN(name, 1, 3).Draw(t, label+" path"), "/")
		if dirs[path] || underFile(files, path) {
			continue
		}
		testbed.AddParents(dirs, path)
		files[path] = drawFile(t, label)
	}
	return files
}

func underFile(files map[string]FakeFile, path string) bool {
	for dir := path; dir != "."; dir = filepath.Dir(dir) {
		if _, ok := files[dir]; ok {
			return true
		}
	}
	return false
}

func drawFile(t *rapid.T, label string) FakeFile {
	switch rapid.IntRange(0, 9).Draw(t, label+" kind") {
	case 0:
		return Link(rapid.SampledFrom(oddTargets).Draw(t, label+" target"))
	case 1:
		return Submodule("s")
	case 2:
		return Executable(rapid.SampledFrom(OddContents).Draw(t, label+" contents"))
	}
	return File(rapid.SampledFrom(OddContents).Draw(t, label+" contents"))
}

// DrawAttributes draws an attribute file about the names given.
func DrawAttributes(t *rapid.T, label string, names, attributes []string) string {
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
			pattern = QuoteC(pattern)
		}
		words := rapid.SliceOfN(rapid.SampledFrom(attributes), 1, 3).Draw(t, "attributes")
		return pattern + " " + strings.Join(words, " ")
	})
	return strings.Join(rapid.SliceOfN(line, 0, 4).Draw(t, label), "\n") + "\n"
}

// QuoteC quotes a pattern as git does.
func QuoteC(s string) string {
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

// AddAttributes puts attribute files into the root and some directories of a tree.
func AddAttributes(t *rapid.T, files map[string]FakeFile, names, attributes []string) {
	dirs := map[string]bool{"": true}
	for path := range files {
		testbed.AddParents(dirs, path)
	}
	for _, dir := range slices.Sorted(maps.Keys(dirs)) {
		if rapid.IntRange(0, 2).Draw(t, "has attributes") > 0 {
			continue
		}
		path := strings.TrimPrefix(dir+"/"+".gitattributes", "/")
		files[path] = File(DrawAttributes(t, "attributes", names, attributes))
	}
}

// Expected lists what these files look like.
func Expected(files map[string]FakeFile) testbed.Listing {
	list := testbed.Listing{}
	dirs := map[string]bool{}
	for path, f := range files {
		testbed.AddParents(dirs, path)
		list[path] = f.Describe()
	}
	for dir := range dirs {
		list[dir] = testbed.Describe(source.Directory, "")
	}
	return list
}

// NewCheckedRig is a rig for tests that ask git, too.
func NewCheckedRig(t *testing.T) *ObjectRig {
	t.Helper()
	testbed.NeedProgram(t, "git")
	return NewObjectRig(t, filepath.Join(t.TempDir(), "repo.git"))
}

var OddContents = []string{
	"", "text\n", "a\nb\nc\n", "no end", "a\r\nb\r\n", "mixed\r\nends\n", "lone\rreturn\n", "nul\x00\n",
	"\n", "\r", "\r\n",
	"end of file\n\x1a", "\x1a", "bell\a\n", strings.Repeat("long line ", 20) + "\x01\n",
	strings.Repeat("x\n", 1000),
}

// Names and contents that have made trouble somewhere.
var (
	oddTargets = []string{"a", "../a", "/etc/passwd", "/nonexistent", "dangling", ".", "with blank\nline", "\xff"}
)

const HashA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

const (
	HashB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)
