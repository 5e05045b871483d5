package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagstate"
	"github.com/urfave/cli/v2"
)

const defaultBase = "/etc/etchserver"

// site is one etch server's base with its configuration, from which the parts are built.
type site struct {
	app    *app
	config *config
	layout tagging.Layout

	configFile string // which need not exist
}

// defaultBase finds the base that no flag names.
func (a *app) defaultBase() string {
	for _, variable := range []string{"ETCHTAG_BASE", "etchserverbase"} {
		if base := a.getenv(variable); base != "" {
			return base
		}
	}
	// A name without a directory was found in $PATH.
	if dir := filepath.Dir(a.link); strings.Contains(a.link, "/") && looksLikeBase(dir) {
		return dir
	}
	return defaultBase
}

// looksLikeBase keeps a link in /usr/local/bin from making that the base.
func looksLikeBase(dir string) bool {
	for _, name := range []string{"tags", "trunk", "etchtag.yml"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// site reads the configuration that the command line names.
func (a *app) site(c *cli.Context) (*site, error) {
	need := configOptional
	if c.String("config") != "" {
		need = configRequired
	}
	return a.openSite(orElse(c.String("base"), a.defaultBase()), c.String("config"), need)
}

// checkBase makes a base's path absolute, and proves that there is one: a mistyped base must not look like a
// new one.
func checkBase(base string) (string, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(base); err != nil {
		return "", usagef("there is no base to work on: %w; etchtag init makes one", err)
	} else if !info.IsDir() {
		return "", usagef("the base %s is no directory", base)
	}
	return base, nil
}

// Whether a configuration must be there.
const (
	configOptional = false
	configRequired = true
)

// openSite reads a base's configuration; path is empty for the base's own.
func (a *app) openSite(base, path string, required bool) (*site, error) {
	base, err := checkBase(base)
	if err != nil {
		return nil, err
	}
	if path == "" {
		path = filepath.Join(base, "etchtag.yml")
	}
	cfg, err := loadConfig(path, required)
	if err != nil {
		return nil, usageError{err}
	}
	return &site{app: a, config: cfg, configFile: path, layout: tagging.Layout{Base: base, WorkingCopy: cfg.WorkingCopy.Path}}, nil
}

// states reads the tagstate files and merges them.
func (s *site) states() (*tagstate.Set, error) {
	files := make([]*tagstate.File, len(s.config.Tagstate))
	for i, path := range s.config.Tagstate {
		f, err := tagstate.Load(filepath.Join(s.layout.Base, path), path, s.config.cadence().Valid)
		if err != nil {
			return nil, err
		}
		files[i] = f
	}
	return tagstate.Merge(files...), nil
}

// resolver reads everything that a decision depends on, as it is at now.
func (s *site) resolver(now time.Time) (*tagging.Resolver, error) {
	states, err := s.states()
	if err != nil {
		return nil, err
	}
	index, err := tagging.ReadIndex(s.layout)
	if err != nil {
		return nil, err
	}
	pins, err := tagging.LoadPins(s.layout.Pins())
	if err != nil {
		return nil, err
	}
	r := &tagging.Resolver{Layout: s.layout, Cadence: s.config.cadence(), Rings: s.config.Rings,
		States: states, Index: index, Pins: pins}
	for _, i := range s.config.Inventory {
		r.Inventories = append(r.Inventories, s.inventory(i, r, now))
	}
	return r, nil
}

// inventory builds one of the inventories of a resolver.
func (s *site) inventory(i inventoryConfig, r *tagging.Resolver, now time.Time) inventory.Inventory {
	switch {
	case i.Kind == "file":
		return inventory.NewFile(s.path(i.Path))
	case i.From == "trunk":
		return inventory.NewEtch(s.layout.WorkingTrees())
	}
	return inventory.NewEtch(r.SettledTrees(now))
}

// path resolves a path of the configuration.
func (s *site) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.layout.Base, p)
}

// checkKind refuses what this version cannot update.
func (s *site) checkKind() error {
	for dir, kind := range map[string]string{filepath.Join(s.layout.Trunk(), ".svn"): "Subversion",
		filepath.Join(s.layout.Base, ".svn"): "Subversion", filepath.Join(s.layout.Trunk(), "CVS"): "CVS"} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(s.layout.Trunk(), ".git")); err != nil {
			return usagef("%s says that this is a %s working copy: this version updates git working copies only",
				dir, kind)
		}
	}
	return nil
}

// bareManager is for what needs neither upstream nor the tags.
func (s *site) bareManager() *snapshot.Manager {
	return &snapshot.Manager{Layout: s.layout}
}

// manager builds what updates the working copy and makes and removes tags. show is told of progress.
func (s *site) manager(clock func() time.Time, show *progress) *snapshot.Manager {
	m := &snapshot.Manager{
		Layout:   s.layout,
		Cadence:  s.config.cadence(),
		Source:   s.git(clock, show),
		Files:    snapshot.FileMode(s.config.Tags.Files),
		Check:    s.config.Tags.Check,
		Keep:     snapshot.Keep{Within: s.config.Tags.Keep.Within, Last: s.config.Tags.Keep.Last},
		Clock:    clock,
		Resolver: func() (*tagging.Resolver, error) { return s.resolver(clock()) },
		Kept:     s.kept,
		Warn:     func(message string) { s.app.log.Warn(message) },
		Note:     func(message string) { s.app.log.Info(message) },
		Progress: func(done, total int) { show.report("stage", int64(done), int64(total)) },
	}
	if slices.ContainsFunc(s.config.Inventory, func(i inventoryConfig) bool { return i.Kind == "etch" }) {
		m.Table = compileTable
	}
	return m
}

// compileTable prepares lookups in a tree. A mistake in the tree's files is part of the table, so that lookups
// pass the tree over without reading it again.
func compileTable(w io.Writer, dir string) (warning string, err error) {
	err = inventory.CompileTo(w, dir)
	if fault := new(inventory.Fault); errors.As(err, &fault) {
		return err.Error(), nil
	}
	return "", err
}

// git builds the working copy's source.
func (s *site) git(clock func() time.Time, show *progress) *source.Git {
	w := s.config.WorkingCopy
	return source.NewGit(source.GitOptions{
		Dir: s.layout.Trunk(), URL: w.URL, Branch: w.Branch, Timeout: w.Timeout,
		Auth: source.Auth{SSHKey: s.path(w.Auth.SSHKey), KnownHosts: s.path(w.Auth.KnownHosts),
			Username: w.Auth.Username, PasswordFile: s.path(w.Auth.PasswordFile),
			TokenFile: s.path(w.Auth.TokenFile), CAFile: s.path(w.Auth.CAFile)},
		Discard:       s.layout.Discarded(),
		Progress:      show.report,
		BeforeReplace: s.rescueMarks,
		Now:           clock,
	})
}

// rescueMarks saves the marks that somebody has written into a tagstate file of the working copy, which an
// update is about to replace, by adding them to this server's own: a mark must not vanish.
func (s *site) rescueMarks(path string, base, local, upstream []byte) error {
	file := filepath.Join(s.layout.WorkingCopy, path)
	if !slices.Contains(s.config.Tagstate, file) {
		return nil
	}
	valid := s.config.cadence().Valid
	before, now, after := tagstate.Parse(file, base, valid), tagstate.Parse(file, local, valid), tagstate.Parse(file, upstream, valid)
	var lost []tagstate.Change
	for tag, e := range now.Entries {
		if e.State == before.Entries[tag].State || e.State == after.Entries[tag].State {
			continue
		}
		if e.State == tagstate.Unrecognised {
			// It kept the tag from being served, and goes on doing so in words that count.
			e.State, e.Comment = tagstate.Bad, strings.TrimSpace("was "+strconv.Quote(e.Word)+" "+e.Comment)
		}
		lost = append(lost, tagstate.Change{Tag: tag, State: e.State, Comment: e.Comment})
	}
	if len(lost) == 0 {
		return nil
	}
	slices.SortFunc(lost, func(a, b tagstate.Change) int { return strings.Compare(a.Tag, b.Tag) })
	own, err := s.ownTagstate()
	if err != nil {
		return err
	}
	s.app.log.Warn(fmt.Sprintf("%s was edited in the working copy; its %s not in upstream's are added to %s, "+
		"and should be committed", file, count(len(lost), "mark"), own))
	return s.edit(context.Background(), own, func(old []byte) ([]byte, error) {
		return tagstate.Apply(old, lost, valid)
	})
}
