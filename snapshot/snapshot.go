// Package snapshot makes tags of the configuration's working copy, and removes old ones.
//
// It guarantees that a tag is complete or absent. A tree is written and proved in a directory that
// nobody else can enter, made durable together with its manifest, and then published by one rename
// that replaces nothing. Whatever dies on the way leaves only what the next run sweeps. A tag goes by one
// rename too, and comes back by one if somebody turns out to need it. Whoever makes, publishes or removes
// tags holds one lock; readers need none.
//
// Each run is a function in a file of its own: Take, Update, Prune, Verify, Repair, Record, RenameLegacy. It is told all
// that it needs, an Env first, and asks a Site what people have written about tags. Package staged comes before this one on
// the way: it makes the trees that are published here. Package tagging comes after: it decides who gets which tag.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/tagging/tag"
)

// Env is what every run needs: the base in which it makes or removes tags, the time, and whom it warns.
type Env struct {
	tag.Base
	// Clock gives the present. A run asks it again after what may have taken long.
	Clock func() time.Time
	// Warn is told at once of everything that somebody should look at; Note of what holds for every
	// run until the configuration is changed.
	Warn, Note func(message string)
	Step       disk.Step // nil for nobody
	// AsideHint is how people get at what was set aside, for warnings.
	AsideHint string
}

// Site is what runs ask on their way, and tell: what people have written about tags, and how lookups work in them, is not
// for this package to know.
type Site interface {
	// Needs asks, as of now, everybody who may need tags, which may take minutes.
	Needs(ctx context.Context, now time.Time) Needs
	// Marked says how a tag is marked bad or badfwd that is about to be published, or nothing if it is not. Even its
	// failure is only a warning.
	Marked(name string) (how string, err error)
	// Table returns what writes what lookups in the tree at dir will need, or nil if there is nothing. That warns if
	// lookups will have to make do with an older tag. Even its failure is only a warning.
	Table(dir string) func(w io.Writer) (warning string, err error)
	// Refresh prepares lookups in what belongs to no tag. Even its failure is only a warning.
	Refresh() error
	// Replaced is told when the working copy in the directory old is about to be replaced by one of another upstream
	// in the directory fresh, so that it can save what must not be lost.
	Replaced(old, fresh string) error
}

// Needs knows who needs which tags: rings, people, tags that inherit a mark. Whom to ask takes minutes was asked when it
// was made; what people write can be read again at any time.
type Needs interface {
	// Read reads what people have written, and says who needs which of the tags at now: the reasons by tag. While
	// unknown is not empty, any tag may be needed besides. It fails if what is written cannot be read.
	Read(tags *tag.Index, now time.Time) (by map[string][]string, unknown []string, err error)
	// Changed reports whether people may have written something since Read began.
	Changed() bool
}

// Prepare makes the directories that everything else stands in.
func (e Env) Prepare() error {
	if _, err := os.Stat(e.Base.Path); err != nil {
		return fmt.Errorf("the base: %w", err)
	}
	l := e.Base
	if _, err := os.Stat(l.Tags()); errors.Is(err, os.ErrNotExist) {
		// One that is there keeps its owner and mode: they are the administrator's choice.
		if err := e.files().PublicDir("make directory", l.Tags()); err != nil {
			return err
		}
	}
	public, private := ownDirs(l)
	for _, dir := range public {
		if err := e.files().PublicDir("make directory", dir); err != nil {
			return err
		}
	}
	for _, dir := range private {
		if err := e.files().PrivateDir("make directory", dir); err != nil {
			return err
		}
	}
	return nil
}

// ownDirs are our own directories among the tags, each after the one that it stands in: those that everybody may read,
// and those that nobody else may enter.
func ownDirs(l tag.Base) (public, private []string) {
	return []string{l.Work(), filepath.Dir(l.Manifest("x")), filepath.Dir(l.Table("x"))},
		[]string{l.Stage(), l.Trash(), l.Discarded()}
}

// files performs the operations that change what stands in the tags' directory.
func (e Env) files() disk.Files { return disk.Files{Step: e.Step, Dir: e.Base.Tags()} }
