package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagstate"
	"github.com/urfave/cli/v2"
)

// site is one etch server's base with its configuration, from which the parts are built.
type site struct {
	*decide.Site
	app        *app
	configFile string // which need not exist
}

// site reads the configuration that the command line names.
func (a *app) site(c *cli.Context) (*site, error) {
	need := configOptional
	if c.String("config") != "" {
		need = configRequired
	}
	return a.openSite(orElse(c.String("base"), decide.FindBase(a.getenv, a.link)), c.String("config"), need)
}

// Whether a configuration must be there.
const (
	configOptional = false
	configRequired = true
)

// openSite reads a base's configuration; path is empty for the base's own.
func (a *app) openSite(base, path string, required bool) (*site, error) {
	base, err := decide.CheckBase(base)
	if err != nil {
		return nil, err
	}
	path = configPath(base, path)
	cfg, err := config.Load(path, required, schedule.ParseSpec)
	if err != nil {
		return nil, decide.Usage(err)
	}
	return a.newSite(base, path, cfg), nil
}

// configPath is the configuration that the command line names, or the base's own.
func configPath(base, named string) string { return orElse(named, decide.ConfigFile(base)) }

func (a *app) newSite(base, configFile string, c *config.Config) *site {
	s := &site{Site: decide.NewSite(base, c, a.kinds(), a.now), app: a, configFile: configFile}
	s.Alone = a.alone
	return s
}

// marked says how a tag is marked, if that is bad or badfwd.
func (s *site) marked(name string) (how string, err error) {
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

// bareManager is for what needs neither upstream nor the tags.
func (s *site) bareManager() *snapshot.Manager {
	return &snapshot.Manager{Base: s.Base, Step: s.app.step}
}

// manager builds what updates the working copy and makes and removes tags. show is told of progress.
func (s *site) manager(clock func() time.Time, show *term.Progress) *snapshot.Manager {
	m := &snapshot.Manager{
		Base:     s.Base,
		Cadence:  s.Config.Cadence(),
		Source:   s.source(clock, show),
		Layout:   staged.Layout(s.Config.Tags.Files),
		Check:    s.Config.Tags.Check,
		Keep:     snapshot.Keep{Within: s.Config.Tags.Keep.Within, Last: s.Config.Tags.Keep.Last},
		Clock:    clock,
		Needs:    s.needs,
		Marked:   s.marked,
		Refresh:  func() error { return s.refreshTables(s.app.step) },
		Replaced: s.rescueMarksOf,
		Warn:     func(message string) { show.End(); s.app.log.Warn(message) },
		Note:     func(message string) { show.End(); s.app.log.Info(message) },
		Progress: func(done, total int) { show.Report("stage", int64(done), int64(total)) },
		Step:     s.app.step,
	}
	if slices.ContainsFunc(s.Config.Inventory, func(i config.Inventory) bool { return i.Kind == "etch" }) {
		m.Table = compileTable
	}
	return m
}
