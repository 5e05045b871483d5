package source

import (
	"bytes"
	"cmp"
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// objectRig is a repository into which tests write objects directly, malformed ones too.
type objectRig struct {
	t      testing.TB
	gitDir string
}

// newObjectRig makes an empty repository; dir is its git directory.
func newObjectRig(t testing.TB, gitDir string) *objectRig {
	t.Helper()
	for _, dir := range []string{"objects/pack", "objects/info", "refs/heads", "info"} {
		if err := os.MkdirAll(filepath.Join(gitDir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &objectRig{t, gitDir}
	r.write("HEAD", "ref: refs/heads/main\n")
	r.write("config", "[core]\n\trepositoryformatversion = 0\n")
	return r
}

// write writes a file of the git directory.
func (r *objectRig) write(name, content string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.gitDir, name), []byte(content), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *objectRig) objectPath(h plumbing.Hash) string {
	return filepath.Join(r.gitDir, "objects", h.String()[:2], h.String()[2:])
}

// object writes a loose object.
func (r *objectRig) object(t plumbing.ObjectType, data []byte) plumbing.Hash {
	r.t.Helper()
	h := plumbing.ComputeHash(t, data)
	path := r.objectPath(h)
	if _, err := os.Stat(path); err == nil {
		return h
	}
	r.looseFile(path, fmt.Sprintf("%s %d\x00%s", t, len(data), data))
	return h
}

func (r *objectRig) looseFile(path, content string) {
	r.t.Helper()
	var buf bytes.Buffer
	w, _ := zlib.NewWriterLevel(&buf, zlib.NoCompression)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *objectRig) blob(data string) plumbing.Hash {
	r.t.Helper()
	return r.object(plumbing.BlobObject, []byte(data))
}

// rawTree writes a tree with its entries just as they are given.
func (r *objectRig) rawTree(entries ...object.TreeEntry) plumbing.Hash {
	r.t.Helper()
	return r.object(plumbing.TreeObject, treeBytes(entries...))
}

// treeBytes returns the contents of a tree object.
func treeBytes(entries ...object.TreeEntry) []byte {
	var buf bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&buf, "%o %s\x00%s", uint32(e.Mode), e.Name, e.Hash[:])
	}
	return buf.Bytes()
}

// fakeFile is one path of a tree.
type fakeFile struct {
	mode filemode.FileMode
	data string // contents, or a link's target; a submodule's commit is made of it
}

func file(data string) fakeFile       { return fakeFile{filemode.Regular, data} }
func executable(data string) fakeFile { return fakeFile{filemode.Executable, data} }
func link(target string) fakeFile     { return fakeFile{filemode.Symlink, target} }
func submodule(name string) fakeFile  { return fakeFile{filemode.Submodule, name} }

// describe says what listDir says of the file.
func (f fakeFile) describe() string {
	if f.mode == filemode.Submodule {
		return describe(Directory, "")
	}
	mode, _ := publishedMode(f.mode)
	return describe(mode, f.data)
}

// tree writes the trees of these paths.
func (r *objectRig) tree(files map[string]fakeFile) plumbing.Hash {
	r.t.Helper()
	below := map[string]map[string]fakeFile{}
	var entries []object.TreeEntry
	for path, f := range files {
		name, rest, deeper := strings.Cut(path, "/")
		if deeper {
			if below[name] == nil {
				below[name] = map[string]fakeFile{}
			}
			below[name][rest] = f
			continue
		}
		e := object.TreeEntry{Name: name, Mode: f.mode}
		if f.mode == filemode.Submodule {
			e.Hash = plumbing.ComputeHash(plumbing.CommitObject, []byte(f.data))
		} else {
			e.Hash = r.blob(f.data)
		}
		entries = append(entries, e)
	}
	for name, files := range below {
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: r.tree(files)})
	}
	sortName := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(entries, func(a, b object.TreeEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	return r.rawTree(entries...)
}

// commit writes a commit of a tree and points the branch main to it.
func (r *objectRig) commit(tree plumbing.Hash) plumbing.Hash {
	r.t.Helper()
	who := "A <a@example.com> 1700000000 +0000"
	h := r.object(plumbing.CommitObject, fmt.Appendf(nil, "tree %s\nauthor %s\ncommitter %s\n\nmessage\n", tree,
		who, who))
	r.write("refs/heads/main", h.String()+"\n")
	return h
}

func (r *objectRig) commitFiles(files map[string]fakeFile) plumbing.Hash {
	r.t.Helper()
	return r.commit(r.tree(files))
}
