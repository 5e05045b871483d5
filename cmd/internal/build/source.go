package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/cvs"
	"github.com/etch/etchtag/snapshot/source/dir"
	"github.com/etch/etchtag/snapshot/source/git"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/svn"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// Source builds the working copy's source.
func (s *Site) Source(clock func() time.Time, show *term.Progress) source.Source {
	w := s.Config.WorkingCopy
	auth := remote.Auth{SSHKey: s.Path(w.Auth.SSHKey), KnownHosts: s.Path(w.Auth.KnownHosts),
		Username: w.Auth.Username, PasswordFile: s.Path(w.Auth.PasswordFile),
		TokenFile: s.Path(w.Auth.TokenFile), CAFile: s.Path(w.Auth.CAFile)}
	switch s.sourceKind() {
	case "svn":
		return svn.New(svn.Options{
			Dir: s.Base.Trunk(), Base: s.Base.Path, URL: w.URL, Timeout: w.Timeout, Auth: auth,
			IsTagstate: func(path string) bool { return slices.Contains(s.Config.Tagstate, path) },
			Discard:    s.Base.Discarded(), Progress: show.Report, BeforeReplace: s.rescueMarks, Now: clock, Step: s.Step,
		})
	case "cvs":
		return cvs.New(cvs.Options{
			Dir: s.Base.Trunk(), URL: w.URL, Module: w.Module, Branch: w.Branch, Timeout: w.Timeout, Auth: auth,
			Discard: s.Base.Discarded(), Progress: show.Report, BeforeReplace: s.rescueMarks, Now: clock, Step: s.Step,
		})
	case "dir":
		return dir.New(dir.Options{Dir: s.Base.Trunk(), TreeHash: treeHash})
	}
	return git.New(git.Options{
		Dir: s.Base.Trunk(), URL: w.URL, Branch: w.Branch, Timeout: w.Timeout, Auth: auth,
		Discard: s.Base.Discarded(), Progress: show.Report, BeforeReplace: s.rescueMarks, Now: clock, Step: s.Step,
	})
}

// sourceKind finds out what the working copy is under: what the configuration says, or its URL, or else what stands
// there. With Subversion that may be the base itself.
func (s *Site) sourceKind() string {
	if kind := s.Config.WorkingCopy.SourceKind(); kind != "" {
		return kind
	}
	trunk := s.Base.Trunk()
	for _, sign := range []struct{ path, kind string }{
		{filepath.Join(trunk, ".git"), "git"},
		{filepath.Join(trunk, ".svn"), "svn"},
		{filepath.Join(trunk, "CVS", "Root"), "cvs"},
		{filepath.Join(s.Base.Path, ".svn"), "svn"},
	} {
		if _, err := os.Lstat(sign.path); err == nil {
			return sign.kind
		}
	}
	if entries, err := os.ReadDir(trunk); err == nil && len(entries) > 0 && s.Config.WorkingCopy.URL == "" {
		return "dir"
	}
	return "git"
}

// BaseIsWorkingCopy reports whether the base itself is the working copy, as it may be with Subversion.
func (s *Site) BaseIsWorkingCopy() bool {
	_, own := os.Lstat(filepath.Join(s.Base.Trunk(), ".svn"))
	_, base := os.Lstat(filepath.Join(s.Base.Path, ".svn"))
	return s.sourceKind() == "svn" && own != nil && base == nil
}

// treeHash names a plain tree by the hash that its manifest will have. One that can have no manifest, because a path
// is impossible, has no name either; to write the manifest will say why.
func treeHash(exported []source.ExportedEntry) string {
	entries := make([]tag.Entry, len(exported))
	for i, e := range exported {
		entries[i] = tag.Entry{Path: e.Path, Mode: byte(e.Mode), Size: e.Size, Hash: e.Hash}
	}
	tree, err := tag.TreeHash(entries)
	if err != nil {
		return ""
	}
	return tree
}

// rescueMarks saves the marks that somebody has written into a tagstate file of the working copy, which an
// update is about to replace, by adding them to this server's own: a mark must not vanish.
func (s *Site) rescueMarks(path string, base, local, upstream []byte) error {
	file := filepath.Join(s.Base.WorkingCopy, path)
	if !slices.Contains(s.Config.Tagstate, file) {
		return nil
	}
	return s.saveMarks(file, "was edited in the working copy", base, local, upstream)
}

// Replaced implements snapshot.Site: it saves the marks of a working copy that is about to be replaced by one of another upstream.
func (s *Site) Replaced(old, fresh string) error {
	for _, file := range s.Config.Tagstate {
		if !s.InWorkingCopy(file) {
			continue
		}
		path, err := filepath.Rel(s.Base.WorkingCopy, file)
		if err != nil {
			return err
		}
		before, err := os.ReadFile(filepath.Join(old, path))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		} else if err != nil {
			return err
		}
		after, err := os.ReadFile(filepath.Join(fresh, path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.saveMarks(file, "belongs to the working copy that is replaced", nil, before, after); err != nil {
			return err
		}
	}
	return nil
}

// saveMarks adds the marks of a file that would be lost to this server's own marks.
func (s *Site) saveMarks(file, why string, base, local, upstream []byte) error {
	valid := s.Config.Cadence().Valid
	lost := tagstate.Lost(tagstate.Parse(file, base, valid), tagstate.Parse(file, local, valid), tagstate.Parse(file, upstream, valid))
	if len(lost) == 0 {
		return nil
	}
	own, err := s.OwnTagstate()
	if err != nil {
		return err
	}
	s.Log.Warn(fmt.Sprintf("%s %s; its %s not in upstream's are added to %s, and should be committed",
		file, why, term.Count(len(lost), "mark"), own))
	return s.Edit(context.Background(), own, func(old []byte) ([]byte, error) {
		return tagstate.Apply(old, lost, valid)
	})
}
