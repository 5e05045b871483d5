package checkout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/attr"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	gogit "github.com/go-git/go-git/v5/plumbing/object"
	"pgregory.net/rapid"
)

func mustTree(t testing.TB, gitDir string, commit plumbing.Hash) *Tree {
	t.Helper()
	tree, err := NewTree(context.Background(), gitDir, source.Revision{ID: commit.String()})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestGitTreeIsWhatGitArchiveHas(t *testing.T) {
	t.Parallel()
	r := gittest.NewCheckedRig(t)
	testbed.CheckSome(t, 50, func(t *rapid.T) {
		files := gittest.DrawTree(t, "tree", testbed.OddNames)
		gittest.AddAttributes(t, files, testbed.OddNames, []string{
			"export-ignore", "export-ignore", "-export-ignore", "!export-ignore", "export-ignore=x",
			"text", "-text", "text=auto", "eol=crlf", "eol=lf", "crlf", "binary",
		})
		r.Write("info/attributes", rapid.SampledFrom([]string{"", "*.b -export-ignore\n",
			"\xef\xbb\xbfa eol=crlf\n"}).Draw(t, "info"))
		publishedAsArchived(t, r.GitDir, r.CommitFiles(files))
	})
}

func TestGitTreeHonoursExportIgnoreAsGitArchiveDoes(t *testing.T) {
	t.Parallel()
	for _, attributes := range []string{
		"a export-ignore", "/a export-ignore", "a/ export-ignore", "a/** export-ignore", "**/b export-ignore",
		"d/e/ export-ignore", "d/e export-ignore", "sub/ export-ignore", "sub export-ignore", "sub/** export-ignore",
		"f/ export-ignore", "l/ export-ignore", "* export-ignore",
		"* export-ignore\n/d -export-ignore\n/d/e -export-ignore\nx -export-ignore",
		"[attr]hide export-ignore\na hide", "d/e/x export-ignore\nd/e/y export-ignore",
		".gitattributes export-ignore",
		"[attr]hide export-ignore\n[attr]hide -export-ignore\na hide", "binary export-ignore",
		"!a export-ignore", `\!a export-ignore`,
		"a " + strings.Repeat("x", attr.MaxAttributesLine) + " export-ignore",
		"a export-ignore" + strings.Repeat(" ", attr.MaxAttributesLine-16),
		"a export-ignore" + strings.Repeat(" ", attr.MaxAttributesLine-15), "a export-ignore -bad!name",
		"\xef\xbb\xbfa export-ignore",
		"x export-ignore\x00\nf export-ignore", "f export-ignore\r\nx export-ignore\r",
	} {
		t.Run(fmt.Sprintf("%.40q", attributes), func(t *testing.T) {
			r := gittest.NewCheckedRig(t)
			files := map[string]gittest.FakeFile{
				".gitattributes": gittest.File(attributes), "a/x": gittest.File("1"), "a/b/x": gittest.File("2"), "d/e/x": gittest.File("3"),
				"d/e/y": gittest.File("4"),
				"sub":   gittest.Submodule("s"), "f": gittest.File("5"), "l": gittest.Link("a"), "!a": gittest.File("6"), "d/a": gittest.File("7"),
				"d/e/sub": gittest.Submodule("s"), "only/.gitattributes": gittest.File("* export-ignore"), "binary": gittest.File("8"),
				"deep/er/.gitattributes": gittest.File("[attr]mine export-ignore\nz mine"), "deep/er/z": gittest.File("9"),
			}
			publishedAsArchived(t, r.GitDir, r.CommitFiles(files))
		})
	}
}

func TestGitTreeReadsAttributeFilesThatAreLinksOrDirectoriesAsGitDoes(t *testing.T) {
	t.Parallel()
	r := gittest.NewCheckedRig(t)
	publishedAsArchived(t, r.GitDir, r.CommitFiles(map[string]gittest.FakeFile{
		".gitattributes": gittest.Link("a export-ignore"), "a": gittest.File("1"), "b": gittest.File("2"),
		"d/.gitattributes/x": gittest.File("* export-ignore"), "e/.gitattributes": gittest.Submodule("s"), "e/f": gittest.File("3"),
	}))
}

// rawCommit commits a tree whose entries are written as they are.
func rawCommit(r *gittest.ObjectRig, entries ...gogit.TreeEntry) plumbing.Hash {
	return r.Commit(r.RawTree(entries...))
}

func TestGitTreeRefusesEntriesByName(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	blob := r.Blob("x")
	entry := func(name string, mode filemode.FileMode) gogit.TreeEntry {
		return gogit.TreeEntry{Name: name, Mode: mode, Hash: blob}
	}
	dir := gogit.TreeEntry{Name: "d", Mode: filemode.Dir, Hash: r.RawTree(entry("x", filemode.Regular))}
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		name    string
		entries []gogit.TreeEntry
		words   string
	}{
		{"empty", []gogit.TreeEntry{entry("", filemode.Regular)}, `""`},
		{"dot", []gogit.TreeEntry{entry(".", filemode.Regular)}, `"."`},
		{"dot dot", []gogit.TreeEntry{entry("..", filemode.Regular)}, `".."`},
		{"git", []gogit.TreeEntry{entry(".git", filemode.Regular)}, `".git"`},
		{"slash", []gogit.TreeEntry{entry("a/b", filemode.Regular)}, `"a/b"`},
		{"climbing", []gogit.TreeEntry{entry("../../etc/passwd", filemode.Regular)}, `"../../etc/passwd"`},
		{"long", []gogit.TreeEntry{entry(long, filemode.Regular)}, long[:100]},
		{"twice", []gogit.TreeEntry{entry("a", filemode.Regular), entry("a", filemode.Symlink)}, `"a"`},
		{"file and directory", []gogit.TreeEntry{entry("d", filemode.Regular), dir}, `"d"`},
		{"link and directory", []gogit.TreeEntry{dir, entry("d", filemode.Symlink)}, `"d"`},
		{"setuid", []gogit.TreeEntry{entry("a", 0o104755)}, "104755"},
		{"fifo", []gogit.TreeEntry{entry("a", 0o010644)}, "010644"},
		{"device", []gogit.TreeEntry{entry("a", 0o060644)}, "060644"},
		{"no type", []gogit.TreeEntry{entry("a", 0o644)}, "000644"},
		{"directory with permissions", []gogit.TreeEntry{entry("a", 0o040755)}, "040755"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, commit := range []plumbing.Hash{
				rawCommit(r, c.entries...),
				rawCommit(r, gogit.TreeEntry{Name: "below", Mode: filemode.Dir, Hash: r.RawTree(c.entries...)}),
			} {
				_, err := NewTree(context.Background(), r.GitDir, source.Revision{ID: commit.String()})
				if err == nil || !strings.Contains(err.Error(), "refused") {
					t.Fatalf("the error is %v, want a refusal", err)
				}
				if !strings.Contains(err.Error(), c.words) && !strings.Contains(err.Error(),
					"below/"+strings.Trim(c.words, `"`)) {
					t.Errorf("the error does not say %s: %v", c.words, err)
				}
			}
		})
	}
}

func TestGitTreeTakesWhatLinuxTakes(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	files := map[string]gittest.FakeFile{}
	for _, name := range []string{".GIT", ".Git", "git~1", ".git ", ".git.", ".gitx", "...", "aux", "a:b",
		`a\b`, "a\x01b", strings.Repeat("n", 255)} {
		files[name] = gittest.File(name)
		files["d/"+name] = gittest.File(name)
	}
	tree := mustTree(t, r.GitDir, r.CommitFiles(files))
	sourcetest.Published(t, tree).Same(t, "what is published", gittest.Expected(files))
}

func TestGitTreeMapsLegacyModes(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	blob := r.Blob("x")
	commit := rawCommit(r,
		gogit.TreeEntry{Name: "a", Mode: 0o100664, Hash: blob}, gogit.TreeEntry{Name: "b", Mode: 0o100775,
			Hash: blob},
		gogit.TreeEntry{Name: "c", Mode: 0o100600, Hash: blob}, gogit.TreeEntry{Name: "d", Mode: 0o100700,
			Hash: blob})
	var modes strings.Builder
	for _, e := range mustTree(t, r.GitDir, commit).Entries() {
		modes.WriteByte(byte(e.Mode))
	}
	if modes.String() != "fxfx" {
		t.Errorf("modes %s, want fxfx", modes.String())
	}
}

func TestGitTreeRefusesTenThousandLevels(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	const levels, reached = 10_000, 300 // the deeper ones need not be there
	name := strings.Repeat("d", 20)
	h := plumbing.ComputeHash(plumbing.TreeObject, nil)
	for level := levels; level > 0; level-- {
		e := gogit.TreeEntry{Name: name, Mode: filemode.Dir, Hash: h}
		if level < reached {
			h = r.RawTree(e)
		} else {
			h = plumbing.ComputeHash(plumbing.TreeObject, gittest.TreeBytes(e))
		}
	}
	_, err := NewTree(context.Background(), r.GitDir, source.Revision{ID: r.Commit(h).String()})
	if err == nil || !strings.Contains(err.Error(), "longer than 4095 bytes") {
		t.Fatalf("the error is %v", err)
	}
	if len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestGitTreeTakesTheLongestPaths(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	path := strings.Repeat(strings.Repeat("d", 255)+"/", 15) + strings.Repeat("f", 255)
	tree := mustTree(t, r.GitDir, r.CommitFiles(map[string]gittest.FakeFile{path: gittest.File("x")}))
	if len(tree.Entries()) != 1 || tree.Entries()[0].Path != path || len(path) != disk.MaxPath {
		t.Errorf("%d entries", len(tree.Entries()))
	}
}

func TestGitTreeNeverEndsAtAMissingObject(t *testing.T) {
	t.Parallel()
	files := map[string]gittest.FakeFile{
		"a/1": gittest.File("a1"), "a/2": gittest.File("a2"), "b/c/3": gittest.File("b3"), "b/.gitattributes": gittest.File("x export-ignore"),
		"z": gittest.File("z"), "l": gittest.Link("z"),
	}
	r := gittest.NewObjectRig(t, t.TempDir())
	commit := r.CommitFiles(files)
	all, _ := filepath.Glob(filepath.Join(r.GitDir, "objects/??/*"))
	for _, path := range all {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func([]byte) []byte{"missing": nil, "empty": gittest.None, "half": gittest.Half} {
			if spoil == nil {
				_ = os.Remove(path)
			} else {
				gittest.Damage(t, path, func([]byte) []byte { return spoil(append([]byte(nil), data...)) })
			}
			tree, err := NewTree(context.Background(), r.GitDir, source.Revision{ID: commit.String()})
			if err == nil {
				err = readAll(tree)
			}
			var damaged *object.Error
			if !errors.As(err, &damaged) {
				t.Errorf("%s %s: the error is %v", path, name, err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tree := mustTree(t, r.GitDir, commit); len(tree.Entries()) != len(files) || readAll(tree) != nil {
		t.Error("the sound repository does not read")
	}
}

// readAll reads all contents of a tree.
func readAll(tree source.Tree) error {
	r, err := tree.NewReader()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, e := range tree.Entries() {
		if e.Mode == source.Directory {
			continue
		}
		if err := r.WriteTo(io.Discard, e); err != nil {
			return err
		}
	}
	return nil
}

func TestGitTreeGivesEqualIDsToEqualBytesOnly(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	tree := mustTree(t, r.GitDir, r.CommitFiles(map[string]gittest.FakeFile{
		".gitattributes": gittest.File("c* eol=crlf\nauto* text=auto eol=crlf\n"),
		"a":              gittest.File("x\n"), "b": gittest.Executable("x\n"), "c1": gittest.File("x\n"), "c2": gittest.File("x\n"),
		"auto": gittest.File("x\n"), "l": gittest.Link("x\n"), "s": gittest.Submodule("s"),
	}))
	ids, sizes := map[string]string{}, map[string]int64{}
	for _, e := range tree.Entries() {
		ids[e.Path], sizes[e.Path] = e.ID, e.Size
	}
	if ids["a"] != ids["b"] || ids["a"] != ids["l"] || ids["c1"] != ids["c2"] || ids["a"] == ids["c1"] ||
		ids["a"] == ids["auto"] || ids["s"] != "" {
		t.Errorf("IDs: %v", ids)
	}
	if sizes["a"] != 2 || sizes["c1"] != 2 || sizes["s"] != 0 {
		t.Errorf("sizes: %v", sizes)
	}
}

func TestGitTreeWarnsOfAttributesThatItDoesNotHonour(t *testing.T) {
	t.Parallel()
	for attributes, want := range map[string]string{
		"a ident":                            `ident (on "a")`,
		"a export-subst\nb ident":            `export-subst (on "a"), ident (on "b")`,
		"* working-tree-encoding=UTF-16":     `working-tree-encoding (on ".gitattributes")`,
		"a filter=indent":                    `filter (on "a")`,
		"a filter=lfs":                       `Git LFS (on "a")`,
		"a -ident -filter":                   "",
		"a ident export-ignore":              "",
		"d/ ident\ns filter=x\nl ident":      "",
		"a text eol=crlf diff=x merge=union": "",
	} {
		r := gittest.NewObjectRig(t, t.TempDir())
		tree := mustTree(t, r.GitDir, r.CommitFiles(map[string]gittest.FakeFile{
			".gitattributes": gittest.File(attributes), "a": gittest.File("1"), "b": gittest.File("2"), "d/x": gittest.File("3"),
			"s": gittest.Submodule("s"), "l": gittest.Link("a"),
		}))
		got := strings.Join(tree.Warnings(), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) || len(tree.Warnings()) > 1 {
			t.Errorf("%q: the warnings are %q, want %q", attributes, got, want)
		}
	}
}

func TestGitTreeRefusesNamesOfRevisions(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	r.CommitFiles(nil)
	for _, id := range []string{"", "main", "HEAD", "1234"} {
		if _, err := NewTree(context.Background(), r.GitDir, source.Revision{ID: id}); err == nil {
			t.Errorf("%q was taken for a commit", id)
		}
	}
}

func TestGitTreeStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	commit := r.CommitFiles(map[string]gittest.FakeFile{"a": gittest.File("x")})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := NewTree(ctx, r.GitDir, source.Revision{ID: commit.String()}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestGitTreeOfAnEmptyCommitIsEmpty(t *testing.T) {
	t.Parallel()
	r := gittest.NewObjectRig(t, t.TempDir())
	if tree := mustTree(t, r.GitDir, r.CommitFiles(nil)); len(tree.Entries()) != 0 {
		t.Errorf("%d entries", len(tree.Entries()))
	}
}
