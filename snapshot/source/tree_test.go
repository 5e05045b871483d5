package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"pgregory.net/rapid"
)

func mustTree(t testing.TB, gitDir string, commit plumbing.Hash) *gitTree {
	t.Helper()
	tree, err := newGitTree(context.Background(), gitDir, Revision{ID: commit.String()})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func TestGitTreeIsWhatGitArchiveHas(t *testing.T) {
	t.Parallel()
	r := newCheckedRig(t)
	checkSome(t, 50, func(t *rapid.T) {
		files := drawTree(t, "tree", oddNames)
		addAttributes(t, files, oddNames, []string{
			"export-ignore", "export-ignore", "-export-ignore", "!export-ignore", "export-ignore=x",
			"text", "-text", "text=auto", "eol=crlf", "eol=lf", "crlf", "binary",
		})
		r.write("info/attributes", rapid.SampledFrom([]string{"", "*.b -export-ignore\n",
			"\xef\xbb\xbfa eol=crlf\n"}).Draw(t, "info"))
		publishedAsArchived(t, r.gitDir, r.commitFiles(files))
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
		"a " + strings.Repeat("x", maxAttributesLine) + " export-ignore",
		"a export-ignore" + strings.Repeat(" ", maxAttributesLine-16),
		"a export-ignore" + strings.Repeat(" ", maxAttributesLine-15), "a export-ignore -bad!name",
		"\xef\xbb\xbfa export-ignore",
		"x export-ignore\x00\nf export-ignore", "f export-ignore\r\nx export-ignore\r",
	} {
		t.Run(fmt.Sprintf("%.40q", attributes), func(t *testing.T) {
			r := newCheckedRig(t)
			files := map[string]fakeFile{
				".gitattributes": file(attributes), "a/x": file("1"), "a/b/x": file("2"), "d/e/x": file("3"),
				"d/e/y": file("4"),
				"sub":   submodule("s"), "f": file("5"), "l": link("a"), "!a": file("6"), "d/a": file("7"),
				"d/e/sub": submodule("s"), "only/.gitattributes": file("* export-ignore"), "binary": file("8"),
				"deep/er/.gitattributes": file("[attr]mine export-ignore\nz mine"), "deep/er/z": file("9"),
			}
			publishedAsArchived(t, r.gitDir, r.commitFiles(files))
		})
	}
}

func TestGitTreeReadsAttributeFilesThatAreLinksOrDirectoriesAsGitDoes(t *testing.T) {
	t.Parallel()
	r := newCheckedRig(t)
	publishedAsArchived(t, r.gitDir, r.commitFiles(map[string]fakeFile{
		".gitattributes": link("a export-ignore"), "a": file("1"), "b": file("2"),
		"d/.gitattributes/x": file("* export-ignore"), "e/.gitattributes": submodule("s"), "e/f": file("3"),
	}))
}

// rawCommit commits a tree whose entries are written as they are.
func rawCommit(r *objectRig, entries ...object.TreeEntry) plumbing.Hash {
	return r.commit(r.rawTree(entries...))
}

func TestGitTreeRefusesEntriesByName(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	blob := r.blob("x")
	entry := func(name string, mode filemode.FileMode) object.TreeEntry {
		return object.TreeEntry{Name: name, Mode: mode, Hash: blob}
	}
	dir := object.TreeEntry{Name: "d", Mode: filemode.Dir, Hash: r.rawTree(entry("x", filemode.Regular))}
	long := strings.Repeat("n", 256)
	for _, c := range []struct {
		name    string
		entries []object.TreeEntry
		words   string
	}{
		{"empty", []object.TreeEntry{entry("", filemode.Regular)}, `""`},
		{"dot", []object.TreeEntry{entry(".", filemode.Regular)}, `"."`},
		{"dot dot", []object.TreeEntry{entry("..", filemode.Regular)}, `".."`},
		{"git", []object.TreeEntry{entry(".git", filemode.Regular)}, `".git"`},
		{"slash", []object.TreeEntry{entry("a/b", filemode.Regular)}, `"a/b"`},
		{"climbing", []object.TreeEntry{entry("../../etc/passwd", filemode.Regular)}, `"../../etc/passwd"`},
		{"long", []object.TreeEntry{entry(long, filemode.Regular)}, long[:100]},
		{"twice", []object.TreeEntry{entry("a", filemode.Regular), entry("a", filemode.Symlink)}, `"a"`},
		{"file and directory", []object.TreeEntry{entry("d", filemode.Regular), dir}, `"d"`},
		{"link and directory", []object.TreeEntry{dir, entry("d", filemode.Symlink)}, `"d"`},
		{"setuid", []object.TreeEntry{entry("a", 0o104755)}, "104755"},
		{"fifo", []object.TreeEntry{entry("a", 0o010644)}, "010644"},
		{"device", []object.TreeEntry{entry("a", 0o060644)}, "060644"},
		{"no type", []object.TreeEntry{entry("a", 0o644)}, "000644"},
		{"directory with permissions", []object.TreeEntry{entry("a", 0o040755)}, "040755"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, commit := range []plumbing.Hash{
				rawCommit(r, c.entries...),
				rawCommit(r, object.TreeEntry{Name: "below", Mode: filemode.Dir, Hash: r.rawTree(c.entries...)}),
			} {
				_, err := newGitTree(context.Background(), r.gitDir, Revision{ID: commit.String()})
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
	r := newObjectRig(t, t.TempDir())
	files := map[string]fakeFile{}
	for _, name := range []string{".GIT", ".Git", "git~1", ".git ", ".git.", ".gitx", "...", "aux", "a:b",
		`a\b`, "a\x01b", strings.Repeat("n", 255)} {
		files[name] = file(name)
		files["d/"+name] = file(name)
	}
	tree := mustTree(t, r.gitDir, r.commitFiles(files))
	published(t, tree).same(t, "what is published", expected(files))
}

func TestGitTreeMapsLegacyModes(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	blob := r.blob("x")
	commit := rawCommit(r,
		object.TreeEntry{Name: "a", Mode: 0o100664, Hash: blob}, object.TreeEntry{Name: "b", Mode: 0o100775,
			Hash: blob},
		object.TreeEntry{Name: "c", Mode: 0o100600, Hash: blob}, object.TreeEntry{Name: "d", Mode: 0o100700,
			Hash: blob})
	var modes strings.Builder
	for _, e := range mustTree(t, r.gitDir, commit).Entries() {
		modes.WriteByte(byte(e.Mode))
	}
	if modes.String() != "fxfx" {
		t.Errorf("modes %s, want fxfx", modes.String())
	}
}

func TestGitTreeRefusesTenThousandLevels(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	const levels, reached = 10_000, 300 // the deeper ones need not be there
	name := strings.Repeat("d", 20)
	h := plumbing.ComputeHash(plumbing.TreeObject, nil)
	for level := levels; level > 0; level-- {
		e := object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: h}
		if level < reached {
			h = r.rawTree(e)
		} else {
			h = plumbing.ComputeHash(plumbing.TreeObject, treeBytes(e))
		}
	}
	_, err := newGitTree(context.Background(), r.gitDir, Revision{ID: r.commit(h).String()})
	if err == nil || !strings.Contains(err.Error(), "longer than 4095 bytes") {
		t.Fatalf("the error is %v", err)
	}
	if len(err.Error()) > 1000 {
		t.Errorf("the error has %d bytes", len(err.Error()))
	}
}

func TestGitTreeTakesTheLongestPaths(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	path := strings.Repeat(strings.Repeat("d", 255)+"/", 15) + strings.Repeat("f", 255)
	tree := mustTree(t, r.gitDir, r.commitFiles(map[string]fakeFile{path: file("x")}))
	if len(tree.Entries()) != 1 || tree.Entries()[0].Path != path || len(path) != maxPath {
		t.Errorf("%d entries", len(tree.Entries()))
	}
}

func TestGitTreeRefusesATreeThatExplodes(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	entries := func(h plumbing.Hash, mode filemode.FileMode) (list []object.TreeEntry) {
		for i := range 100 {
			list = append(list, object.TreeEntry{Name: fmt.Sprintf("%02d", i), Mode: mode, Hash: h})
		}
		return list
	}
	h := r.rawTree(entries(r.blob("x"), filemode.Regular)...)
	for range 8 {
		h = r.rawTree(entries(h, filemode.Dir)...)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	o := mustOpenObjects(t, r.gitDir)
	l := &treeLister{ctx: ctx, objects: o, seen: map[string]bool{}, files: make([]treeFile, maxFiles-150)}
	if err := l.add("", h); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("the error is %v", err)
	}
}

func TestGitTreeNeverEndsAtAMissingObject(t *testing.T) {
	t.Parallel()
	files := map[string]fakeFile{
		"a/1": file("a1"), "a/2": file("a2"), "b/c/3": file("b3"), "b/.gitattributes": file("x export-ignore"),
		"z": file("z"), "l": link("z"),
	}
	r := newObjectRig(t, t.TempDir())
	commit := r.commitFiles(files)
	all, _ := filepath.Glob(filepath.Join(r.gitDir, "objects/??/*"))
	for _, path := range all {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for name, spoil := range map[string]func([]byte) []byte{"missing": nil, "empty": none, "half": half} {
			if spoil == nil {
				_ = os.Remove(path)
			} else {
				damage(t, path, func([]byte) []byte { return spoil(append([]byte(nil), data...)) })
			}
			tree, err := newGitTree(context.Background(), r.gitDir, Revision{ID: commit.String()})
			if err == nil {
				err = readAll(tree)
			}
			var damaged *ObjectError
			if !errors.As(err, &damaged) {
				t.Errorf("%s %s: the error is %v", path, name, err)
			}
			if err := os.WriteFile(path, data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if tree := mustTree(t, r.gitDir, commit); len(tree.Entries()) != len(files) || readAll(tree) != nil {
		t.Error("the sound repository does not read")
	}
}

// readAll reads all contents of a tree.
func readAll(tree Tree) error {
	r, err := tree.NewReader()
	if err != nil {
		return err
	}
	defer r.Close()
	for _, e := range tree.Entries() {
		if e.Mode == Directory {
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
	r := newObjectRig(t, t.TempDir())
	tree := mustTree(t, r.gitDir, r.commitFiles(map[string]fakeFile{
		".gitattributes": file("c* eol=crlf\nauto* text=auto eol=crlf\n"),
		"a":              file("x\n"), "b": executable("x\n"), "c1": file("x\n"), "c2": file("x\n"),
		"auto": file("x\n"), "l": link("x\n"), "s": submodule("s"),
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
		r := newObjectRig(t, t.TempDir())
		tree := mustTree(t, r.gitDir, r.commitFiles(map[string]fakeFile{
			".gitattributes": file(attributes), "a": file("1"), "b": file("2"), "d/x": file("3"),
			"s": submodule("s"), "l": link("a"),
		}))
		got := strings.Join(tree.Warnings(), "\n")
		if want == "" && got != "" || !strings.Contains(got, want) || len(tree.Warnings()) > 1 {
			t.Errorf("%q: the warnings are %q, want %q", attributes, got, want)
		}
	}
}

func TestGitTreeRefusesNamesOfRevisions(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	r.commitFiles(nil)
	for _, id := range []string{"", "main", "HEAD", "1234"} {
		if _, err := newGitTree(context.Background(), r.gitDir, Revision{ID: id}); err == nil {
			t.Errorf("%q was taken for a commit", id)
		}
	}
}

func TestGitTreeStopsWhenToldTo(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	commit := r.commitFiles(map[string]fakeFile{"a": file("x")})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := newGitTree(ctx, r.gitDir, Revision{ID: commit.String()}); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}

func TestGitTreeOfAnEmptyCommitIsEmpty(t *testing.T) {
	t.Parallel()
	r := newObjectRig(t, t.TempDir())
	if tree := mustTree(t, r.gitDir, r.commitFiles(nil)); len(tree.Entries()) != 0 {
		t.Errorf("%d entries", len(tree.Entries()))
	}
}
