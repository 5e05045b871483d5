// Package source says what a source is: something that brings a working copy to upstream's newest revision, and gives
// the tree of any revision that was fetched whole. The packages below it are the kinds; each passes the conformance suite
// in sourcetest. Package snapshot makes tags of what a source gives.
package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// ErrNoRevision is returned when nothing has ever been fetched whole.
var ErrNoRevision = errors.New("no revision has been fetched yet")

// MixedError says that a working copy is of no single revision, because an update failed or was interrupted on the way,
// because something else was at work in it, or because something is mounted on a part of it. The next update that reaches
// upstream puts that right, once it is unmounted.
type MixedError struct {
	Dir string // the working copy
	Err error  // what is wrong with it
}

func (e *MixedError) Error() string {
	return fmt.Sprintf("the working copy %q is of no single revision (%v); the next update that reaches upstream puts it right",
		e.Dir, e.Err)
}

func (e *MixedError) Unwrap() error { return e.Err }

// Revision names one state of upstream.
type Revision struct {
	ID   string    // git: the commit's full hash; svn: the number; see the others for theirs
	Time time.Time // when it was committed
}

// Outcome says what an update did.
type Outcome struct {
	Revision  Revision
	Previous  string   // the ID before the update, empty if there was none
	Changed   int      // files written, removed or given another mode in the working copy
	Rewritten bool     // Previous is not an ancestor of Revision: upstream's history was rewritten
	Discarded string   // the directory that local edits and untracked files were set aside in, or empty
	Warnings  []string // what an administrator should know, one sentence each
}

// Mode is the kind of an entry of a tree.
type Mode byte

const (
	Regular    Mode = 'f'
	Executable Mode = 'x'
	Symlink    Mode = 'l'
	Directory  Mode = 'd' // only directories in which nothing else stands are listed: submodules
)

// Entry is one entry of a tree as it is to be published.
type Entry struct {
	Path string // relative, slash-separated, in upstream's own bytes
	Mode Mode
	Size int64  // bytes, before any conversion of line ends; -1 if that is not known cheaply
	ID   string // equal IDs of one listing mean equal contents; empty for a Directory
	// Converted says that the contents are not those that upstream keeps, but made of them as the working copy's
	// settings want it, which may change.
	Converted bool
}

// Tree is the content of one revision as it is to be published.
type Tree interface {
	// Revision is the one that the tree is of.
	Revision() Revision
	// Entries lists the tree sorted by Path (byte order), without what is not to be published. Every
	// path is safe to create below a directory: relative, no component empty, ".", ".." or ".git",
	// no entry below one that is not a directory, none twice.
	Entries() []Entry
	// Warnings says what of the tree cannot be published as upstream means it, one sentence each.
	Warnings() []string
	// NewReader returns a reader of the entries' contents. Readers work side by side, each in one goroutine.
	NewReader() (Reader, error)
}

// Reader reads the contents of a tree's entries.
type Reader interface {
	// WriteTo writes the contents of e, or a symbolic link's target, to w and proves them against
	// the hash that the source has of them. An error may come after some bytes were written.
	WriteTo(w io.Writer, e Entry) error
	Close() error
}

// Source is one working copy and its upstream. Every Source is a Store or an Exporter, too.
type Source interface {
	// Kind is the source's name in the configuration, such as "git".
	Kind() string
	// At returns the same source with its working copy at another place, an absolute path.
	At(dir string) Source
	// Foreign says why what stands at the working copy's place is not a working copy of this source: of another
	// kind or, where one is configured, of another upstream. It is empty if it is one, or if nothing stands there.
	Foreign() (reason string, err error)
	// Clone makes the working copy, where there is none or an empty directory, with upstream's newest
	// revision. Half a working copy is never to be seen.
	Clone(ctx context.Context) (Outcome, error)
	// Update brings the working copy to upstream's newest revision, exactly. On an error the
	// revision that Current returns is still whole, externals and all.
	Update(ctx context.Context) (Outcome, error)
	// Current returns the last revision that was fetched whole. It fails with ErrNoRevision if there has never been one,
	// and with a MixedError if it is not to be had any more because a later one has come here in part.
	Current(ctx context.Context) (Revision, error)
	// Resolve finds a revision by a name that users would give it: a hash, its beginning, a branch.
	Resolve(ctx context.Context, name string) (Revision, error)
}

// Store is a Source that keeps its revisions apart from the working copy, from where single files can be read.
type Store interface {
	Source
	// Heal rebuilds from upstream what is damaged, and brings the working copy to upstream's newest revision. It
	// is for damage that Update does not meet: cause is the error of a Tree or a Reader that Damaged accepts.
	Heal(ctx context.Context, cause error) (Outcome, error)
	// Damaged reports whether an error means that what was fetched is damaged here, so that Heal may help.
	Damaged(err error) bool
	// Tree lists a revision that Current, Resolve or Update returned. Several may be listed at the same time.
	Tree(ctx context.Context, r Revision) (Tree, error)
}

// Exporter is a Source that keeps no revision but the working copy's own, which has to be copied as a whole.
type Exporter interface {
	Source
	// Export writes the tree of a revision that Current, Resolve or Update returned into dir, an empty directory
	// that nobody else can enter. Regular files and directories have any mode that lets their owner read
	// and write them, and the times that they have in the working copy. It fails with a MixedError as Current does.
	Export(ctx context.Context, r Revision, dir string, o ExportOptions) (Export, error)
}

// ExportOptions are what the one who exports wants to know on the way. Each may be nil.
type ExportOptions struct {
	// Room is told what is to be written, before anything is. Its error ends the export.
	Room func(entries []Entry) error
	// Progress is told how many entries of the total are written.
	Progress func(done, total int)
}

// Export says what was exported.
type Export struct {
	Revision Revision
	Entries  []ExportedEntry // as Tree.Entries would list them
	Warnings []string        // what of the tree cannot be published as upstream means it, one sentence each
}

// ExportedEntry is an entry with the hash that was taken as it was written.
type ExportedEntry struct {
	Entry
	Hash [sha256.Size]byte // SHA-256 of the contents, or of a symbolic link's target; zero for a Directory
}

// ProgressFunc is told that done of total units of a phase are finished. Phases are "fetch" (bytes),
// "copy" (bytes) and "checkout" (files). total is -1 while it is not known.
type ProgressFunc func(phase string, done, total int64)

// Report tells p, if anybody wants to know.
func (p ProgressFunc) Report(phase string, done, total int64) {
	if p != nil {
		p(phase, done, total)
	}
}
