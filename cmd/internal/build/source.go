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

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/cvs"
	"github.com/etch/etchtag/snapshot/source/dir"
	"github.com/etch/etchtag/snapshot/source/git"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/svn"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// making is what a working copy's source is made from, of whatever kind it is.
type making struct {
	*Site
	from     config.WorkingCopy
	auth     remote.Auth
	clock    func() time.Time
	progress func(phase string, done, total int64)
}

// edits are what becomes of local edits in the working copy.
func (m making) edits() aside.Edits {
	return aside.Edits{Discard: m.Base.Discarded(), Hint: asideHint, Now: m.clock, BeforeReplace: m.rescueMarks, Step: m.Step}
}

// sources are the kinds of sources by the names that they have in a configuration.
var sources = map[string]func(making) source.Source{
	"git": func(m making) source.Source {
		return git.New(git.Options{Dir: m.Base.Trunk(), URL: m.from.URL, Branch: m.from.Branch, Timeout: m.from.Timeout, Auth: m.auth,
			Progress: m.progress, Edits: m.edits()})
	},
	"svn": func(m making) source.Source {
		return svn.New(svn.Options{Dir: m.Base.Trunk(), Base: m.Base.Path, URL: m.from.URL, Timeout: m.from.Timeout, Auth: m.auth,
			IsTagstate: func(path string) bool { return slices.Contains(m.Config.Tagstate, path) },
			Progress:   m.progress, Edits: m.edits()})
	},
	"cvs": func(m making) source.Source {
		return cvs.New(cvs.Options{Dir: m.Base.Trunk(), URL: m.from.URL, Module: m.from.Module, Branch: m.from.Branch, Timeout: m.from.Timeout, Auth: m.auth,
			Progress: m.progress, Edits: m.edits()})
	},
	"dir": func(m making) source.Source { return dir.New(dir.Options{Dir: m.Base.Trunk(), TreeHash: treeHash}) },
}

// Source makes the working copy's source. show is told of progress; nil for nobody.
func (s *Site) Source(clock func() time.Time, show *term.Progress) source.Source {
	auth := s.Config.WorkingCopy.Auth
	return sources[s.sourceKind()](making{Site: s, from: s.Config.WorkingCopy,
		auth: remote.Auth{SSHKey: s.Path(auth.SSHKey), KnownHosts: s.Path(auth.KnownHosts), Username: auth.Username,
			PasswordFile: s.Path(auth.PasswordFile), TokenFile: s.Path(auth.TokenFile), CAFile: s.Path(auth.CAFile)},
		clock: clock, progress: show.Report})
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
