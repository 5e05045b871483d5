package testbed

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
)

// Edit is one change of a tree.
type Edit struct {
	Op      editOp
	Path    string
	To      string      // of a rename
	Mode    source.Mode // of a write: Regular, Executable or Symlink
	Content string      // or a link's target
}

// Apply makes an edit of a file at path.
func (e Edit) Apply(path, to string) error {
	above := path
	if e.Op == OpRename {
		above = to
	}
	if err := os.MkdirAll(filepath.Dir(above), 0o755); err != nil {
		return err
	}
	switch e.Op {
	case OpRemove:
		return os.RemoveAll(path)
	case OpRename:
		return os.Rename(path, to)
	case OpMkdir:
		return os.Mkdir(path, 0o755)
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	switch e.Mode {
	case source.Symlink:
		return os.Symlink(e.Content, path)
	case source.Executable:
		return os.WriteFile(path, []byte(e.Content), 0o755)
	}
	return os.WriteFile(path, []byte(e.Content), 0o644)
}

type editOp int

func Write(path, content string) Edit {
	return Edit{Op: OpWrite, Path: path, Mode: source.Regular, Content: content}
}

func Script(path, content string) Edit {
	return Edit{Op: OpWrite, Path: path, Mode: source.Executable, Content: content}
}

func Symlink(path, target string) Edit {
	return Edit{Op: OpWrite, Path: path, Mode: source.Symlink, Content: target}
}

func Remove(path string) Edit { return Edit{Op: OpRemove, Path: path} }

func Rename(path, to string) Edit { return Edit{Op: OpRename, Path: path, To: to} }

func EmptyDirectory(path string) Edit { return Edit{Op: OpMkdir, Path: path} }

// EditTree makes edits in a plain directory, for rigs whose system finds out by itself what was done.
func EditTree(t *testing.T, dir string, edits []Edit) {
	t.Helper()
	for _, e := range edits {
		if err := e.Apply(filepath.Join(dir, e.Path), filepath.Join(dir, e.To)); err != nil {
			t.Fatalf("editing %q: %v", e.Path, err)
		}
	}
}

const (
	OpWrite  editOp = iota // makes or replaces a file or a link, and makes the directories above it
	OpRemove               // removes a file, a link or a whole directory
	OpRename               // moves a file or a directory, as the system's own command does it if it has one
	OpMkdir                // makes an empty directory; only where can().emptyDirs
)
