package main

import (
	"cmp"

	"github.com/etch/etchtag/cmd/internal/build"
	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/schedule"
	"github.com/urfave/cli/v2"
)

// site is one etch server's base with its configuration, and the program that works on it.
type site struct {
	*build.Site
	app        *app
	configFile string // which need not exist
}

// site reads the configuration that the command line names.
func (a *app) site(c *cli.Context) (*site, error) {
	need := configOptional
	if c.String("config") != "" {
		need = configRequired
	}
	return a.openSite(cmp.Or(c.String("base"), decide.FindBase(a.getenv, a.link)), c.String("config"), need)
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
func configPath(base, named string) string { return cmp.Or(named, decide.ConfigFile(base)) }

func (a *app) newSite(base, configFile string, c *config.Config) *site {
	d := decide.NewSite(base, c, build.Kinds(a.getenv), a.now)
	d.Alone = a.alone
	return &site{Site: &build.Site{Site: d, Step: a.step, Log: a.log}, app: a, configFile: configFile}
}
