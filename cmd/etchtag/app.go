package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
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
