// Package demorepo is the git repository of "etchtag demo", which needs no git program.
package demorepo

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/format/objfile"
)

const branch = "refs/heads/main"

// Repository is a git repository whose commits are a directory as it stands. (go-git's own worktree
// would do that too, but brings storage, a reader of configurations and a client along, which etchtag has of its own.)
type Repository struct {
	dir   string
	head  plumbing.Hash
	index index.Index // of the last commit, so that people can go on with git
}

// New makes an empty repository in a directory.
func New(dir string) (*Repository, error) {
	r := &Repository{dir: dir}
	return r, errors.Join(
		r.put("config", []byte("[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n")),
		r.put("HEAD", []byte("ref: "+branch+"\n")))
}

// put writes a file of the repository.
func (r *Repository) put(name string, data []byte) error {
	name = filepath.Join(r.dir, ".git", name)
	if err := disk.MakeAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return disk.WriteFile(name, data, 0o644)
}

// Commit commits the directory.
func (r *Repository) Commit(message string, when time.Time) error {
	r.index = index.Index{Version: 2}
	tree, err := r.writeTree("")
	if err != nil {
		return err
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "tree %s\n", tree)
	if !r.head.IsZero() {
		fmt.Fprintf(&text, "parent %s\n", r.head)
	}
	who := fmt.Sprintf("An Administrator <admin@example.com> %d +0000", when.Unix())
	fmt.Fprintf(&text, "author %s\ncommitter %s\n\n%s\n", who, who, message)
	if r.head, err = r.write(plumbing.CommitObject, text.Bytes()); err != nil {
		return err
	}
	slices.SortFunc(r.index.Entries, func(a, b *index.Entry) int { return cmp.Compare(a.Name, b.Name) })
	var entries bytes.Buffer
	if err := index.NewEncoder(&entries).Encode(&r.index); err != nil {
		return err
	}
	return errors.Join(r.put("index", entries.Bytes()), r.put(branch, []byte(r.head.String()+"\n")))
}

// writeTree writes the tree of a directory, which has files and directories only.
func (r *Repository) writeTree(dir string) (plumbing.Hash, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, dir))
	if err != nil {
		return plumbing.ZeroHash, err
	}
	// Git sorts a directory as if its name ended in a slash.
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(treeName(a), treeName(b)) })
	var tree bytes.Buffer
	for _, e := range entries {
		if e.Name() == ".git" {
			continue
		}
		mode, hash, err := r.writeEntry(filepath.Join(dir, e.Name()), e)
		if err != nil {
			return plumbing.ZeroHash, err
		}
		fmt.Fprintf(&tree, "%o %s\x00%s", uint32(mode), e.Name(), hash[:])
	}
	return r.write(plumbing.TreeObject, tree.Bytes())
}

func treeName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}

func (r *Repository) writeEntry(path string, e fs.DirEntry) (filemode.FileMode, plumbing.Hash, error) {
	if e.IsDir() {
		hash, err := r.writeTree(path)
		return filemode.Dir, hash, err
	}
	data, err := os.ReadFile(filepath.Join(r.dir, path))
	if err != nil {
		return 0, plumbing.ZeroHash, err
	}
	info, err := e.Info()
	if err != nil {
		return 0, plumbing.ZeroHash, err
	}
	mode, err := filemode.NewFromOSFileMode(info.Mode())
	if err != nil {
		return 0, plumbing.ZeroHash, err
	}
	hash, err := r.write(plumbing.BlobObject, data)
	r.index.Entries = append(r.index.Entries, &index.Entry{Name: path, Mode: mode, Hash: hash, Size: uint32(len(data))})
	return mode, hash, err
}

func (r *Repository) write(kind plumbing.ObjectType, data []byte) (plumbing.Hash, error) {
	var object bytes.Buffer
	w := objfile.NewWriter(&object)
	if err := w.WriteHeader(kind, int64(len(data))); err != nil {
		return plumbing.ZeroHash, err
	}
	if _, err := w.Write(data); err != nil {
		return plumbing.ZeroHash, err
	}
	if err := w.Close(); err != nil {
		return plumbing.ZeroHash, err
	}
	name := w.Hash().String()
	return w.Hash(), r.put(filepath.Join("objects", name[:2], name[2:]), object.Bytes())
}
