package gittest

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

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// ObjectRig is a repository into which tests write objects directly, malformed ones too.
type ObjectRig struct {
	T      testing.TB
	GitDir string
}

// NewObjectRig makes an empty repository; dir is its git directory.
func NewObjectRig(t testing.TB, gitDir string) *ObjectRig {
	t.Helper()
	for _, dir := range []string{"objects/pack", "objects/info", "refs/heads", "info"} {
		if err := os.MkdirAll(filepath.Join(gitDir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	r := &ObjectRig{t, gitDir}
	r.Write("HEAD", "ref: refs/heads/main\n")
	r.Write("config", "[core]\n\trepositoryformatversion = 0\n")
	return r
}

// Write writes a file of the git directory.
func (r *ObjectRig) Write(name, content string) {
	r.T.Helper()
	if err := os.WriteFile(filepath.Join(r.GitDir, name), []byte(content), 0o644); err != nil {
		r.T.Fatal(err)
	}
}

func (r *ObjectRig) ObjectPath(h plumbing.Hash) string {
	return filepath.Join(r.GitDir, "objects", h.String()[:2], h.String()[2:])
}

// Object writes a loose object.
func (r *ObjectRig) Object(t plumbing.ObjectType, data []byte) plumbing.Hash {
	r.T.Helper()
	h := plumbing.ComputeHash(t, data)
	path := r.ObjectPath(h)
	if _, err := os.Stat(path); err == nil {
		return h
	}
	r.LooseFile(path, fmt.Sprintf("%s %d\x00%s", t, len(data), data))
	return h
}

func (r *ObjectRig) LooseFile(path, content string) {
	r.T.Helper()
	var buf bytes.Buffer
	w, _ := zlib.NewWriterLevel(&buf, zlib.NoCompression)
	_, _ = w.Write([]byte(content))
	_ = w.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.T.Fatal(err)
	}
	if err := os.WriteFile(path, buf.Bytes(), 0o644); err != nil {
		r.T.Fatal(err)
	}
}

func (r *ObjectRig) Blob(data string) plumbing.Hash {
	r.T.Helper()
	return r.Object(plumbing.BlobObject, []byte(data))
}

// RawTree writes a tree with its entries just as they are given.
func (r *ObjectRig) RawTree(entries ...object.TreeEntry) plumbing.Hash {
	r.T.Helper()
	return r.Object(plumbing.TreeObject, TreeBytes(entries...))
}

// TreeBytes returns the contents of a tree object.
func TreeBytes(entries ...object.TreeEntry) []byte {
	var buf bytes.Buffer
	for _, e := range entries {
		fmt.Fprintf(&buf, "%o %s\x00%s", uint32(e.Mode), e.Name, e.Hash[:])
	}
	return buf.Bytes()
}

// FakeFile is one path of a tree.
type FakeFile struct {
	Mode filemode.FileMode
	Data string // contents, or a link's target; a submodule's commit is made of it
}

func File(data string) FakeFile       { return FakeFile{filemode.Regular, data} }
func Executable(data string) FakeFile { return FakeFile{filemode.Executable, data} }
func Link(target string) FakeFile     { return FakeFile{filemode.Symlink, target} }
func Submodule(name string) FakeFile  { return FakeFile{filemode.Submodule, name} }

// Describe says what listDir says of the file.
func (f FakeFile) Describe() string {
	switch f.Mode {
	case filemode.Submodule:
		return testbed.Describe(source.Directory, "")
	case filemode.Symlink:
		return testbed.Describe(source.Symlink, f.Data)
	case filemode.Executable:
		return testbed.Describe(source.Executable, f.Data)
	}
	return testbed.Describe(source.Regular, f.Data)
}

// Tree writes the trees of these paths.
func (r *ObjectRig) Tree(files map[string]FakeFile) plumbing.Hash {
	r.T.Helper()
	below := map[string]map[string]FakeFile{}
	var entries []object.TreeEntry
	for path, f := range files {
		name, rest, deeper := strings.Cut(path, "/")
		if deeper {
			if below[name] == nil {
				below[name] = map[string]FakeFile{}
			}
			below[name][rest] = f
			continue
		}
		e := object.TreeEntry{Name: name, Mode: f.Mode}
		if f.Mode == filemode.Submodule {
			e.Hash = plumbing.ComputeHash(plumbing.CommitObject, []byte(f.Data))
		} else {
			e.Hash = r.Blob(f.Data)
		}
		entries = append(entries, e)
	}
	for name, files := range below {
		entries = append(entries, object.TreeEntry{Name: name, Mode: filemode.Dir, Hash: r.Tree(files)})
	}
	sortName := func(e object.TreeEntry) string {
		if e.Mode == filemode.Dir {
			return e.Name + "/"
		}
		return e.Name
	}
	slices.SortFunc(entries, func(a, b object.TreeEntry) int { return cmp.Compare(sortName(a), sortName(b)) })
	return r.RawTree(entries...)
}

// Commit writes a commit of a tree and points the branch main to it.
func (r *ObjectRig) Commit(tree plumbing.Hash) plumbing.Hash {
	r.T.Helper()
	who := "A <a@example.com> 1700000000 +0000"
	h := r.Object(plumbing.CommitObject, fmt.Appendf(nil, "tree %s\nauthor %s\ncommitter %s\n\nmessage\n", tree,
		who, who))
	r.Write("refs/heads/main", h.String()+"\n")
	return h
}

func (r *ObjectRig) CommitFiles(files map[string]FakeFile) plumbing.Hash {
	r.T.Helper()
	return r.Commit(r.Tree(files))
}
