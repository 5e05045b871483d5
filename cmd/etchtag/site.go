package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/urfave/cli/v2"
)

const defaultBase = "/etc/etchserver"

// site is one etch server's base with its configuration, from which the parts are built.
type site struct {
	app    *app
	Config *config.Config
	Base   tag.Base

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
	path = configPath(base, path)
	cfg, err := config.Load(path, required)
	if err != nil {
		return nil, usageError{err}
	}
	return a.newSite(base, path, cfg), nil
}

// configPath is the configuration that the command line names, or the base's own.
func configPath(base, named string) string { return orElse(named, filepath.Join(base, "etchtag.yml")) }

func (a *app) newSite(base, configFile string, cfg *config.Config) *site {
	return &site{app: a, Config: cfg, configFile: configFile,
		Base: tag.Base{Path: base, WorkingCopy: cfg.WorkingCopy.Path}}
}

// states reads the tagstate files and merges them.
func (s *site) states() (*tagstate.Set, error) { return s.statesWith("", nil) }

// statesWith is states if one of the files had other contents.
func (s *site) statesWith(file string, contents []byte) (*tagstate.Set, error) {
	files := make([]*tagstate.File, len(s.Config.Tagstate))
	for i, path := range s.Config.Tagstate {
		var err error
		if full := filepath.Join(s.Base.Path, path); full == file {
			files[i] = tagstate.Parse(path, contents, s.Config.Cadence().Valid)
		} else if files[i], err = tagstate.Load(full, path, s.Config.Cadence().Valid); err != nil {
			return nil, err
		}
	}
	return tagstate.Merge(files...), nil
}

// marked says how a tag is marked, if that is bad or badfwd.
func (s *site) marked(name string) (how string, err error) {
	states, err := s.states()
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

// resolver reads everything that a decision depends on, as it is at now.
func (s *site) resolver(now time.Time) (*tagging.Resolver, error) {
	states, err := s.states()
	if err != nil {
		return nil, err
	}
	index, err := tag.ReadIndex(s.Base)
	if err != nil {
		return nil, err
	}
	pins, err := tagging.LoadPins(s.Base.Pins())
	if err != nil {
		return nil, err
	}
	r := &tagging.Resolver{Base: s.Base, Cadence: s.Config.Cadence(), Rings: s.Config.Rings,
		States: states, Index: index, Pins: pins}
	for _, i := range s.Config.Inventory {
		r.Inventories = append(r.Inventories, s.inventory(i, r, now))
	}
	return r, nil
}

// path resolves a path of the configuration.
func (s *site) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(s.Base.Path, p)
}

// bareManager is for what needs neither upstream nor the tags.
func (s *site) bareManager() *snapshot.Manager {
	return &snapshot.Manager{Base: s.Base, Step: s.app.step}
}

// manager builds what updates the working copy and makes and removes tags. show is told of progress.
func (s *site) manager(clock func() time.Time, show *progress) *snapshot.Manager {
	m := &snapshot.Manager{
		Base:     s.Base,
		Cadence:  s.Config.Cadence(),
		Source:   s.source(clock, show),
		Files:    snapshot.FileMode(s.Config.Tags.Files),
		Check:    s.Config.Tags.Check,
		Keep:     snapshot.Keep{Within: s.Config.Tags.Keep.Within, Last: s.Config.Tags.Keep.Last},
		Clock:    clock,
		Needs:    s.needs,
		Marked:   s.marked,
		Refresh:  func() error { return s.refreshTables(s.app.step) },
		Replaced: s.rescueMarksOf,
		Warn:     func(message string) { show.end(); s.app.log.Warn(message) },
		Note:     func(message string) { show.end(); s.app.log.Info(message) },
		Progress: func(done, total int) { show.report("stage", int64(done), int64(total)) },
		Step:     s.app.step,
	}
	if slices.ContainsFunc(s.Config.Inventory, func(i config.Inventory) bool { return i.Kind == "etch" }) {
		m.Table = compileTable
	}
	return m
}
