package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/schedule"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/google/renameio/v2"
	"github.com/urfave/cli/v2"
)

func (a *app) initCommand() *cli.Command {
	return &cli.Command{
		Name:  "init",
		Usage: "prepare a base: configuration, working copy, nodetagger link",
		Description: "Leaves alone what is there already, so it can be run again. It refuses while tags of the script\n" +
			"repo_update are named in local time, because rings would get them at the wrong hour;\n" +
			"--legacy-tz renames them to UTC.\n\n" +
			"Examples:\n   etchtag init --url git://git.example.com/etch.git --branch main\n" +
			"   etchtag init --url svn+ssh://svn.example.com/srv/svn/etch/trunk\n" +
			"   etchtag init --url :pserver:anonymous@cvs.example.com:/srv/cvs --module etch\n" +
			"   etchtag --base /srv/etch init\n   etchtag init --legacy-tz America/Los_Angeles",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "url", Usage: "clone the working copy from this `URL` or path"},
			&cli.StringFlag{Name: "kind", Usage: "its version control: git, svn, cvs or dir (default: found out)"},
			&cli.StringFlag{Name: "branch", Usage: "follow this `BRANCH` (default: upstream's own)"},
			&cli.StringFlag{Name: "module", Usage: "check out this `MODULE` (cvs)"},
			&cli.StringFlag{Name: "legacy-tz", Usage: "rename tags that were named in this time `ZONE`"},
		},
		Action: a.init,
	}
}

func (a *app) init(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	base := cmp.Or(c.String("base"), decide.FindBase(a.getenv, a.link))
	if err := makePublicDir(base); err != nil {
		return err
	}
	s, err := a.openSite(base, c.String("config"), configOptional)
	if err != nil {
		return err
	}
	fresh, err := s.freshConfig(c)
	if err != nil {
		return err
	}
	if err := s.renameLegacyTags(c); err != nil {
		return err
	}
	ready, err := s.makeWorkingCopy(c)
	if err != nil {
		return err
	}
	// Only now: what could not be cloned is not what the configuration should say.
	if err := s.writeConfig(c, fresh); err != nil {
		return err
	}
	if err := s.linkPrograms(c); err != nil {
		return err
	}
	if err := s.makeOrig(c); err != nil {
		return err
	}
	if err := s.makeCache(c); err != nil {
		return err
	}
	if ready {
		a.say(c, "%s is ready; next: etchtag%s snapshot", s.Base.Path, baseFlagText(c))
		return nil
	}
	how := "set working_copy.url in " + s.configFile + ", or put a checkout into " + s.Base.Trunk()
	if s.Config.WorkingCopy.Kind == "dir" {
		how = "have the tool that maintains the tree put it into " + s.Base.Trunk()
	}
	a.say(c, "there is no working copy yet; next: %s; then: etchtag%s update", how, baseFlagText(c))
	return nil
}

// makePublicDir makes a directory that the etch server's user can read whatever the umask, unless it is there.
func makePublicDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := disk.MakeAll(dir, 0o755); err != nil {
		return err
	}
	return disk.Chmod(dir, 0o755)
}

// baseFlagText repeats --base for commands that are suggested.
func baseFlagText(c *cli.Context) string {
	if base := c.String("base"); base != "" {
		return " --base " + base
	}
	return ""
}

// freshConfig returns the configuration to be written, or nil if there is one already, which must agree with the
// flags. The site uses it from now on.
func (s *site) freshConfig(c *cli.Context) ([]byte, error) {
	url, err := absoluteURL(c.String("url"))
	if err != nil {
		return nil, err
	}
	flags := config.WorkingCopy{Kind: c.String("kind"), URL: url, Branch: c.String("branch"), Module: c.String("module")}
	if _, err := os.Lstat(s.configFile); err == nil {
		w := s.Config.WorkingCopy
		for _, value := range []struct{ key, flag, file string }{{"kind", flags.Kind, w.Kind}, {"url", flags.URL, w.URL},
			{"branch", flags.Branch, w.Branch}, {"module", flags.Module, w.Module}} {
			if value.flag != "" && value.flag != value.file {
				return nil, decide.Usagef("%s is there already and has another working_copy.%s: change it there, or leave out --%s",
					s.configFile, value.key, value.key)
			}
		}
		return nil, nil
	}
	flags.Kind = cmp.Or(flags.Kind, "auto")
	if err := config.CheckKind(flags.Kind); err != nil {
		return nil, decide.Usagef("--kind: %w", err)
	}
	data := config.Render(flags)
	cfg := config.Default()
	if err := cfg.Parse("--url, --kind, --branch, --module", data, schedule.ParseSpec); err != nil {
		return nil, decide.Usage(err)
	}
	s.Config = &cfg
	return data, nil
}

// absoluteURL makes the path of a local repository absolute, because the configuration is read from elsewhere.
func absoluteURL(url string) (string, error) {
	if _, err := os.Stat(url); err != nil {
		return url, nil // a URL, or a path that leads nowhere, which the clone will say
	}
	return filepath.Abs(url)
}

// writeConfig writes the commented configuration, if there was none.
func (s *site) writeConfig(c *cli.Context, data []byte) error {
	if data == nil {
		s.app.say(c, "%s is there already and stays as it is", s.configFile)
		return nil
	}
	// The etch server's user must be able to read it, so it is no place for passwords.
	if err := renameio.WriteFile(s.configFile, data, 0o644, renameio.WithStaticPermissions(0o644)); err != nil {
		return err
	}
	s.app.say(c, "wrote %s", s.configFile)
	return nil
}

// makeWorkingCopy clones the working copy if there is none and it is known from where. It reports whether there
// is one.
func (s *site) makeWorkingCopy(c *cli.Context) (bool, error) {
	show := s.app.newProgress(c)
	defer show.End()
	env := s.Env(s.app.now, show)
	switch missing, err := env.NoWorkingCopy(); {
	case err != nil:
		return false, err
	case !missing:
		s.app.say(c, "the working copy %s is there already", s.Base.Trunk())
		return true, env.Prepare()
	case s.Config.WorkingCopy.URL == "":
		return false, env.Prepare()
	}
	outcome, err := s.updateWorkingCopy(c.Context, s.app.now, show, 0)
	if err != nil {
		return false, err
	}
	show.End()
	s.app.say(c, "cloned the working copy %s at %s", s.Base.Trunk(), term.ShortID(outcome.Revision.ID))
	return true, nil
}

// makeOrig makes the directory into which the etch server's user writes clients' original files.
func (s *site) makeOrig(c *cli.Context) error {
	return s.makeServersDir(c, filepath.Join(s.Base.Path, "orig"), 0o755)
}

// makeCache makes the directory in which the etch server's user keeps the answers of inventories, if any are kept.
func (s *site) makeCache(c *cli.Context) error {
	if !slices.ContainsFunc(s.Config.Inventory, func(i config.Inventory) bool { return i.Stale > 0 }) {
		return nil
	}
	if err := makePublicDir(s.Config.CacheDir); err != nil {
		return err
	}
	u, err := user.Lookup(s.Config.ServerUser)
	if err != nil {
		return decide.Usagef("server_user: %w", err)
	}
	return s.makeServersDir(c, inventory.CacheDir(s.Config.CacheDir, u.Uid), 0o700)
}

// makeServersDir makes a directory for the etch server's user, unless it is there.
func (s *site) makeServersDir(c *cli.Context, dir string, mode os.FileMode) error {
	if err := disk.MakeDir(dir, mode); errors.Is(err, fs.ErrExist) {
		return nil
	} else if err != nil {
		return err
	}
	made, err := disk.OpenBeneath(filepath.Dir(dir), filepath.Base(dir)) // never what a link of that name leads to
	if err != nil {
		return err
	}
	defer made.Close()
	if err := made.Chmod(".", mode); err != nil { // the umask has no say
		return err
	}
	u, err := user.Lookup(s.Config.ServerUser)
	if err == nil {
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		err = made.Chown(".", uid, gid)
	}
	if err != nil {
		s.app.log.Warn(fmt.Sprintf("%s must belong to the etch server's user %q, but could not be given to it: %v",
			dir, s.Config.ServerUser, err))
		return nil
	}
	s.app.say(c, "made %s for %s", dir, s.Config.ServerUser)
	return nil
}

// renameLegacyTags renames tags from local time to UTC, or refuses while there are any.
func (s *site) renameLegacyTags(c *cli.Context) error {
	zone := c.String("legacy-tz")
	loc, err := time.LoadLocation(zone)
	if err != nil {
		return decide.Usagef("--legacy-tz: %w", err)
	}
	legacy, err := snapshot.FindLegacy(s.Base)
	if err != nil || len(legacy) == 0 {
		return err
	}
	if zone == "" {
		return fmt.Errorf("%s without a manifest, such as %s, have names that are %s the UTC time at which they were made: "+
			"rings would get them at the wrong hour. If they were named in local time, etchtag init --legacy-tz ZONE "+
			"(such as America/Los_Angeles) renames them; otherwise move them away",
			term.Count(len(legacy), "tag"), legacy[0].Name, describeShift(legacy[0].Shift))
	}
	renamed, err := snapshot.RenameLegacy(c.Context, s.Env(s.app.now, nil), s.TagNames(),
		snapshot.LegacyOptions{Zone: loc, Every: s.Config.Tags.Every})
	for _, r := range renamed {
		s.app.say(c, "renamed %s to %s", r.From, r.To)
	}
	return err
}

func describeShift(d time.Duration) string {
	if d < 0 {
		return tag.FormatDuration(-d) + " behind"
	}
	return tag.FormatDuration(d) + " ahead of"
}
