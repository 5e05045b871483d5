package build

import (
	"bytes"
	"context"
	"path/filepath"

	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagstate/lines"
)

// TagNames renames tags in what people have written.
func (s *Site) TagNames() snapshot.Renamer { return tagNames{s, map[string]bool{}} }

type tagNames struct {
	*Site
	told map[string]bool // the files of the working copy of which somebody has been told
}

// Renaming implements snapshot.Renamer: it rewrites a name in this server's own files. What stands in the working copy can
// only be named: it is changed by a commit.
func (n tagNames) Renaming(ctx context.Context, from, to string) error {
	rewrite := func(old []byte) ([]byte, error) { return bytes.ReplaceAll(old, []byte(from), []byte(to)), nil }
	files := []string{n.Base.Kept(), n.Base.Pins()}
	for _, path := range n.Config.Tagstate {
		file := filepath.Join(n.Base.Path, path)
		if !n.InWorkingCopy(path) {
			files = append(files, file)
			continue
		}
		data, err := lines.Read(file)
		if err != nil {
			return err
		}
		if bytes.Contains(data, []byte(from)) && !n.told[path] {
			n.Log.Warn(path + " marks tags by their old names: commit it with the names in UTC")
			n.told[path] = true
		}
	}
	for _, file := range files {
		if err := n.Edit(ctx, file, rewrite); err != nil {
			return err
		}
	}
	return nil
}
