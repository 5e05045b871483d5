package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/snapshot"
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

// env is what every run of package snapshot needs. show is told of progress; nil for nobody.
func (s *site) env(clock func() time.Time, show *term.Progress) snapshot.Env {
	return snapshot.Env{
		Base:  s.Base,
		Clock: clock,
		Warn:  func(message string) { show.End(); s.app.log.Warn(message) },
		Note:  func(message string) { show.End(); s.app.log.Info(message) },
		Step:  s.app.step,
	}
}

// keep is how much history stays.
func (s *site) keep() snapshot.Keep {
	return snapshot.Keep{Within: s.Config.Tags.Keep.Within, Last: s.Config.Tags.Keep.Last}
}

// stagingProgress tells show how many files are staged.
func stagingProgress(show *term.Progress) func(done, total int) {
	return func(done, total int) { show.Report("stage", int64(done), int64(total)) }
}

var _ snapshot.Site = (*site)(nil)

// Marked implements snapshot.Site.
func (s *site) Marked(name string) (how string, err error) {
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
func (s *site) Table(dir string) func(io.Writer) (warning string, err error) {
	if !slices.ContainsFunc(s.Config.Inventory, func(i config.Inventory) bool { return i.Kind == "etch" }) {
		return nil
	}
	return func(w io.Writer) (string, error) { return compileTable(w, dir) }
}

// Refresh implements snapshot.Site.
func (s *site) Refresh() error { return s.refreshTables(s.app.step) }
