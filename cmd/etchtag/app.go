package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/urfave/cli/v2"
)

// app is the program with everything that it takes from its surroundings.
type app struct {
	stdout, stderr io.Writer
	getenv         func(string) string
	now            func() time.Time
	step           func(label string) error // asked before each operation that changes something; nil but in tests
	drop           func() error             // gives up what a daemon does not need; nil in tests that share their process
	own            bool                     // the process is ours: nobody else in it starts anything

	alone bool         // nothing is started besides programs of inventories, one after the other
	link  string       // the link that the program was called through, if its name said what to do
	log   *slog.Logger // made from the command line, before any command runs
}

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

// end reports a command's error and returns the exit code, which is the same whether anybody reads messages or not.
func (a *app) end(ctx context.Context, err error) int {
	code := exitCode(err)
	if code != exitDone {
		term.OutliveReaders()
	}
	switch {
	case err == nil || errors.Is(err, errSilent):
	case code == exitIncomplete:
		a.log.Warn(err.Error())
	default:
		a.log.Error(err.Error())
	}
	if err := a.endResults(ctx); err != nil {
		a.log.Warn(err.Error())
		if code == exitDone {
			code = exitIncomplete
		}
	}
	return code
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

func (a *app) configureLog(c *cli.Context) error {
	level := slog.LevelInfo
	switch {
	case c.Bool("quiet"):
		level = slog.LevelWarn
	case c.Bool("verbose"):
		level = slog.LevelDebug
	}
	return a.openLog(c.String("log-format"), level)
}

// openLog begins a log on standard error.
func (a *app) openLog(format string, level slog.Level) error {
	log, err := term.NewLog(a.stderr, format, level, a.colours(a.stderr))
	if err != nil {
		return decide.Usage(err)
	}
	a.log = log
	return nil
}

func (a *app) colours(w io.Writer) bool { return term.WantsColours(w, a.getenv) }

// newProgress returns nil where nobody watches.
func (a *app) newProgress(c *cli.Context) *term.Progress {
	if c.Bool("quiet") || c.String("log-format") == "json" || !term.IsTerminal(a.stderr) {
		return nil
	}
	return term.NewProgress(a.stderr, time.Now)
}

// say prints a result for people, unless they asked for silence. What a command that acts says does not fail.
func (a *app) say(c *cli.Context, format string, args ...any) error {
	if c.Bool("quiet") {
		return nil
	}
	_, err := fmt.Fprintf(a.stdout, format+"\n", args...)
	return err
}

// printJSON prints a result for programs.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// timeFlag is a flag that takes a time in RFC 3339.
func timeFlag(name, usage string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: usage + " (RFC 3339, such as 2026-11-22T09:00:00Z)"}
}

// atFlag stands for the present in commands that only read.
func atFlag() cli.Flag { return timeFlag("at", "answer as of `TIME`, not now") }

// rehearseFlag stands for the present in commands that act.
func rehearseFlag() cli.Flag { return timeFlag("rehearse", "act as if it were `TIME`, for trials") }

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "answer in JSON"} }

// clock is the present, or the fixed time that a flag stands for.
func (a *app) clock(c *cli.Context, flag string) (func() time.Time, error) {
	t, given, err := parseTime(c, flag)
	if err != nil {
		return nil, err
	}
	if given {
		return func() time.Time { return t }, nil
	}
	return func() time.Time { return a.now().UTC() }, nil
}

func parseTime(c *cli.Context, flag string) (t time.Time, given bool, err error) {
	if !c.IsSet(flag) {
		return t, false, nil
	}
	text := c.String(flag)
	t, err = time.Parse(time.RFC3339, text)
	if err != nil {
		return t, false, decide.Usagef("--%s %q is not a time in RFC 3339, such as 2026-11-22T09:00:00Z", flag, text)
	}
	return t.UTC(), true, nil
}

// needArgs checks the number of arguments; most is -1 for any number.
func needArgs(c *cli.Context, least, most int) error {
	if n := c.NArg(); n < least || most >= 0 && n > most {
		return decide.Usagef("%s takes %s, not %q; see %s --help", c.Command.Name,
			argsText(c.Command.ArgsUsage), c.Args().Slice(), c.Command.HelpName)
	}
	return nil
}

func argsText(usage string) string {
	if usage == "" {
		return "no arguments"
	}
	return usage
}

// version is what the Go toolchain recorded of the build.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) string {
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			version += " " + s.Value
		}
	}
	return version
}
