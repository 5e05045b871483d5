// Package build makes, from a base and its configuration, what the runs of package snapshot take: the working copy's
// source, the tables of inventories, who needs which tags, the small files that people and runs edit.
//
// It comes after packages config and decide, and before the commands, which call the runs with it. It prints nothing: what
// is to be said goes to the log, or to who shows progress.
package build

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagstate"
)

// Site is an etch server's base with its configuration, from which is built what the runs of package snapshot take.
type Site struct {
	*decide.Site
	Step func(label string) error // asked before each operation that changes something; nil but in tests
	Log  *slog.Logger
}

// asideHint ends warnings that something was set aside.
const asideHint = "etchtag discarded shows it"

// Env is what every run of package snapshot needs. show is told of progress; nil for nobody.
func (s *Site) Env(clock func() time.Time, show *term.Progress) snapshot.Env {
	return snapshot.Env{
		Base:      s.Base,
		Clock:     clock,
		Warn:      func(message string) { show.End(); s.Log.Warn(message) },
		Note:      func(message string) { show.End(); s.Log.Info(message) },
		Step:      s.Step,
		AsideHint: asideHint,
	}
}

// Keep is how much history stays.
func (s *Site) Keep() snapshot.Keep {
	return snapshot.Keep{Within: s.Config.Tags.Keep.Within, Last: s.Config.Tags.Keep.Last}
}

// StagingProgress tells show how many files are staged.
func StagingProgress(show *term.Progress) func(done, total int) {
	return func(done, total int) { show.Report("stage", int64(done), int64(total)) }
}

var _ snapshot.Site = (*Site)(nil)

// Marked implements snapshot.Site.
func (s *Site) Marked(name string) (how string, err error) {
	states, err := s.States()
	if err != nil {
		return "", err
	}
	e := states.Get(name)
	if e.State != tagstate.Bad && e.State != tagstate.BadFwd {
		return "", nil
	}
	how = "marked " + string(e.State)
	if e.Comment != "" {
		how += " (" + e.Comment + ")"
	}
	return fmt.Sprintf("%s by %s", how, e.Position), nil
}

// Table implements snapshot.Site.
func (s *Site) Table(dir string) func(io.Writer) (warning string, err error) {
	if !slices.ContainsFunc(s.Config.Inventory, func(i config.Inventory) bool { return i.Kind == "etch" }) {
		return nil
	}
	return func(w io.Writer) (string, error) { return CompileTable(w, dir) }
}

// Refresh implements snapshot.Site.
func (s *Site) Refresh() error { return s.RefreshTables(s.Step) }
