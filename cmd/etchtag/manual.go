package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/etch/etchtag/cmd/etchtag/manual"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/urfave/cli/v2"
)

func (a *app) manualCommand() *cli.Command {
	return &cli.Command{
		Name:      "manual",
		Usage:     "show a page of the manual, or say which there are",
		ArgsUsage: "[PAGE]",
		Description: "On a terminal a page is shown by the program in $PAGER, or else by less; elsewhere it is printed.\n\n" +
			"Examples:\n   etchtag manual runbook\n   etchtag manual configuration | grep -A 3 stale",
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 0, 1); err != nil {
				return err
			}
			if c.NArg() == 0 {
				return a.listPages()
			}
			text, err := a.manualPage(c.App, c.Args().First())
			if err != nil {
				return decide.Usage(err)
			}
			return a.page(c.Context, text)
		},
	}
}

func (a *app) listPages() error {
	for _, name := range manual.Names {
		text, err := manual.Page(name)
		if err == nil {
			_, err = fmt.Fprintf(a.stdout, "%-16s%s\n", name, manual.Title(text))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// manualPage returns a page as it is shown. The commands are described by their own definitions.
func (a *app) manualPage(app *cli.App, name string) (string, error) {
	text, err := manual.Page(name)
	if err == nil && name == "commands" {
		text += "\n" + describeCommands(app)
	}
	return text, err
}

// page shows a text by the user's pager on a terminal, and prints it elsewhere.
func (a *app) page(ctx context.Context, text string) error {
	pager := cmp.Or(a.getenv("PAGER"), "less")
	if words := strings.Fields(pager); term.IsTerminal(a.stdout) && len(words) > 0 {
		if _, err := exec.LookPath(words[0]); err == nil {
			ctx.Done() // from now on signals are caught, because Ctrl-C is for the pager
			cmd := exec.Command(words[0], words[1:]...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(text), os.Stdout, os.Stderr
			return cmd.Run()
		}
	}
	_, err := io.WriteString(a.stdout, text)
	return err
}

// describeCommands writes the commands' sections, in Markdown.
func describeCommands(app *cli.App) string {
	var b strings.Builder
	b.WriteString("## Flags of every command\n\n")
	describeFlags(&b, app.Flags)
	for _, c := range app.Commands {
		describeCommand(&b, app.Name+" "+c.Name, c)
	}
	return b.String()
}

func describeCommand(b *strings.Builder, name string, c *cli.Command) {
	fmt.Fprintf(b, "## %s\n\n`%s`: %s.\n\n", name, strings.TrimSpace(name+" "+c.ArgsUsage), c.Usage)
	if c.Description != "" {
		fmt.Fprintf(b, "```\n%s\n```\n\n", c.Description)
	}
	describeFlags(b, c.Flags)
	for _, sub := range c.Subcommands {
		describeCommand(b, name+" "+sub.Name, sub)
	}
}

func describeFlags(b *strings.Builder, flags []cli.Flag) {
	if len(flags) == 0 {
		return
	}
	b.WriteString("| flag | meaning |\n| --- | --- |\n")
	for _, f := range flags {
		d := f.(cli.DocGenerationFlag)
		fmt.Fprintf(b, "| `--%s` | %s |\n", strings.Join(f.Names(), "`, `-"), strings.ReplaceAll(d.GetUsage(), "|", `\|`))
	}
	b.WriteString("\n")
}
