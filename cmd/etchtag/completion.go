package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

// completionVariable is set by the shell scripts below, and only by them: without it no command line is ever
// taken for a request to complete.
const completionVariable = "ETCHTAG_COMPLETION"

// completionScripts call the program with the words so far, of which the last is the one to complete.
var completionScripts = map[string]string{
	"bash": `_etchtag() {
  local IFS=$'\n'
  COMPREPLY=($(compgen -W "$(ETCHTAG_COMPLETION=1 "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)" \
    -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _etchtag etchtag
`,
	"zsh": `#compdef etchtag
_etchtag() {
  local -a answers
  answers=("${(@f)$(ETCHTAG_COMPLETION=1 "${(@)words[1,CURRENT]}" 2>/dev/null)}")
  compadd -- "${answers[@]}"
}
compdef _etchtag etchtag
`,
	"fish": `function __etchtag_complete
  set -l words (commandline -opc) (commandline -ct)
  env ETCHTAG_COMPLETION=1 $words 2>/dev/null
end
complete -c etchtag -f -a '(__etchtag_complete)'
`,
}

func (a *app) completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script for a shell",
		ArgsUsage: "bash|zsh|fish",
		Description: "bash: source <(etchtag completion bash)\n" +
			"zsh:  etchtag completion zsh > \"${fpath[1]}/_etchtag\"\n" +
			"fish: etchtag completion fish > ~/.config/fish/completions/etchtag.fish",
		Action: func(c *cli.Context) error {
			if err := needArgs(c, 1, 1); err != nil {
				return err
			}
			script, ok := completionScripts[c.Args().First()]
			if !ok {
				return decide.Usagef("no completion for %q: it is bash, zsh or fish", c.Args().First())
			}
			_, err := io.WriteString(a.stdout, script)
			return err
		},
	}
}

// complete prints what could stand for the last of the words: flags, commands, or the names of rings or tags.
func (a *app) complete(app *cli.App, words []string) {
	current, before := words[len(words)-1], words[:len(words)-1]
	path := commandPath(app, before)
	flags, commands, usage := app.Flags, app.Commands, ""
	if len(path) > 0 {
		last := path[len(path)-1]
		flags, commands, usage = append(last.Flags, flags...), last.Subcommands, last.ArgsUsage
	}
	switch {
	case strings.HasPrefix(current, "-"):
		for _, f := range flags {
			fmt.Fprintln(a.stdout, "--"+f.Names()[0])
		}
	case len(before) > 0 && before[len(before)-1] == "--ring":
		a.completeRings()
	case len(commands) > 0:
		for _, c := range commands {
			fmt.Fprintln(a.stdout, c.Name)
		}
	default:
		states, _, choice := strings.Cut(usage, " ")
		if strings.Contains(states, "|") && (!choice || len(before) == 0 || before[len(before)-1] == path[0].Name) {
			fmt.Fprintln(a.stdout, strings.ReplaceAll(states, "|", "\n"))
		}
		if strings.Contains(usage, "TAG") {
			a.completeTags()
		}
	}
}

func (a *app) completeRings() {
	site, err := a.openSite(decide.FindBase(a.getenv, a.link), "", configOptional)
	if err != nil {
		return // there is nothing to offer, and nobody to tell
	}
	fmt.Fprintln(a.stdout, strings.Join(ringNames(site.Config.Rings), "\n"))
}

func (a *app) completeTags() {
	index, err := tag.ReadIndex(tag.Base{Path: decide.FindBase(a.getenv, a.link)})
	if err != nil {
		return // there is nothing to offer, and nobody to tell
	}
	for _, t := range index.Tags {
		fmt.Fprintln(a.stdout, t.Name)
	}
}
