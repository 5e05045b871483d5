package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

func (a *app) killswitchCommand() *cli.Command {
	return &cli.Command{
		Name:  "killswitch",
		Usage: "stop the etch server from serving anybody, and let it go on",
		Description: "While the file BASE/killswitch exists the etch server refuses every client and tells it the\n" +
			"file's contents. Needs no configuration and no lock, and works on a full disk.\n\n" +
			"After on, flags come before the message: from its first word on, all is message. If it is on\n" +
			"already, the message is added to the one that is there.\n\n" +
			"Examples:\n   etchtag killswitch on a bad commit is out, see ticket 4711\n   etchtag killswitch off",
		Subcommands: []*cli.Command{
			{Name: "on", Usage: "refuse every client", ArgsUsage: messageArgs, Action: a.killswitchOn},
			{Name: "off", Usage: "serve clients again", Action: a.killswitchOff},
			{Name: "status", Usage: "say whether it is on", Flags: []cli.Flag{jsonFlag()}, Action: a.killswitchStatus},
		},
		Action: func(c *cli.Context) error {
			return decide.Usagef("killswitch takes on, off or status, not %q", c.Args().First())
		},
	}
}

func (a *app) killswitch(c *cli.Context) (tagging.Killswitch, error) {
	base, err := decide.CheckBase(cmp.Or(c.String("base"), decide.FindBase(a.getenv, a.link)))
	return tagging.Killswitch{Path: tag.Base{Path: base}.Killswitch(), Step: a.step}, err
}

func (a *app) killswitchOn(c *cli.Context) error {
	k, err := a.killswitch(c)
	if err != nil {
		return err
	}
	found, err := k.On(strings.Join(c.Args().Slice(), " "))
	if found.On {
		a.say(c, "the killswitch was on already, %s", describeKillswitch(found))
	}
	if errors.Is(err, tagging.ErrKillswitchMessage) {
		return incompleteError{err}
	}
	if err != nil {
		return err
	}
	a.say(c, "the killswitch is on: the etch server refuses every client until: etchtag killswitch off")
	return nil
}

func (a *app) killswitchOff(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	k, err := a.killswitch(c)
	if err != nil {
		return err
	}
	err = k.Off()
	if errors.Is(err, tagging.ErrKillswitchOff) {
		return incompleteError{err}
	}
	if err != nil {
		return err
	}
	a.say(c, "the killswitch is off: the etch server serves clients")
	return nil
}

func (a *app) killswitchStatus(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	file, err := a.killswitch(c)
	if err != nil {
		return err
	}
	k, err := file.Status()
	if err != nil && !k.On {
		return err
	}
	if c.Bool("json") {
		return a.printJSON(newKillswitchJSON(k))
	}
	if !k.On {
		return a.say(c, "off")
	}
	return a.say(c, "on %s", describeKillswitch(k))
}

// describeKillswitch says of one that is on since when, by whom and why.
func describeKillswitch(k tagging.KillswitchState) string {
	var messages []string
	for line := range strings.Lines(k.Message) {
		if line = strings.TrimSpace(line); line != "" {
			messages = append(messages, term.Printable(line))
		}
	}
	return fmt.Sprintf("since %s, by %s: %s", k.Since.UTC().Format("2006-01-02 15:04:05 UTC"), userName(k.Owner),
		cmp.Or(strings.Join(messages, "; "), "(no message)"))
}

type killswitchJSON struct {
	On      bool       `json:"on"`
	Since   *time.Time `json:"since"` // null while it is off
	Message string     `json:"message"`
	Who     string     `json:"who"` // the user who turned it on
}

func newKillswitchJSON(k tagging.KillswitchState) killswitchJSON {
	j := killswitchJSON{On: k.On, Message: k.Message}
	if k.On {
		since := k.Since.UTC()
		j.Since, j.Who = &since, userName(k.Owner)
	}
	return j
}
