package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/urfave/cli/v2"
)

// run is the whole program: line is the command line with the name that the program was called by. It
// returns the exit code.
func (a *app) run(line []string) int {
	ctx := &term.Interruption{}
	defer ctx.End()
	if f, ok := a.stderr.(*os.File); ok { // what else there is, in tests, always has room
		messages := term.NewOutlet(f, term.MaxUnread)
		a.stderr = messages
		defer messages.EndSoon()
	}
	_ = a.openLog("text", slog.LevelInfo)
	switch filepath.Base(line[0]) {
	case "nodetagger":
		return a.runNodetagger(ctx, line)
	case "repo_update":
		a.link = line[0]
		line = repoUpdateLine(line)
	}
	c := a.cli()
	if a.getenv(completionVariable) != "" && len(line) > 1 {
		a.complete(c, line[1:])
		return exitDone
	}
	line, err := flagsFirst(c, line)
	if err == nil {
		err = c.RunContext(ctx, line)
	}
	return a.end(ctx, err)
}

func (a *app) cli() *cli.App {
	c := &cli.App{
		Name:  "etchtag",
		Usage: "publish hourly snapshots of an etch configuration, and decide who gets which",
		Description: "Every hour `etchtag snapshot` makes a tag of the configuration, and `nodetagger HOST` tells\n" +
			"the etch server which tag a host gets. To see it all at work: etchtag demo",
		Version:        version(),
		Writer:         a.stdout,
		ErrWriter:      a.stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // exitCode does it, in one place
		OnUsageError:   onUsageError,
		Suggest:        true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "base", Usage: "the etch server's configuration `DIRECTORY` (default: $ETCHTAG_BASE, $etchserverbase, /etc/etchserver)"},
			&cli.StringFlag{Name: "config", Usage: "the configuration `FILE` (default: etchtag.yml in the base)"},
			&cli.BoolFlag{Name: "verbose", Usage: "say more about what is done"},
			&cli.BoolFlag{Name: "quiet", Usage: "say nothing on success, for cron"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of messages: text or json"},
		},
		Before: a.configureLog,
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return decide.Usagef("there is no command %q; etchtag --help lists them", name)
			}
			return cli.ShowAppHelp(c)
		},
		Commands: []*cli.Command{
			a.initCommand(), a.updateCommand(), a.snapshotCommand(), a.nodetaggerCommand(), a.explainCommand(),
			a.listCommand(), a.showCommand(), a.hostsCommand(), a.pruneCommand(), a.markCommand(), a.keepCommand(),
			a.verifyCommand(), a.discardedCommand(), a.killswitchCommand(), a.statusCommand(), a.runCommand(), a.demoCommand(),
			a.completionCommand(), a.manualCommand(),
		},
	}
	for _, command := range c.Commands {
		a.prepare(command, command.Name)
	}
	return c
}

// prepare makes a command, whose full name is given, treat words such as help as arguments, report wrong usage as we do,
// and begin as its kind does.
func (a *app) prepare(c *cli.Command, name string) {
	c.HideHelpCommand = true
	c.OnUsageError = onUsageError
	c.Before = a.beginActing
	if slices.Contains(readers, name) || len(c.Subcommands) > 0 {
		c.Before = a.beginReading
	}
	for _, sub := range c.Subcommands {
		a.prepare(sub, name+" "+sub.Name)
	}
}

func onUsageError(c *cli.Context, err error, _ bool) error {
	return decide.Usagef("%w; see %s --help", err, c.Command.HelpName)
}
