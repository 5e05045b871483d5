package main

import (
	"slices"
	"strings"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/urfave/cli/v2"
)

// flagsFirst rearranges a command line so that flags may stand anywhere before "--": it moves each flag
// ahead to the command or the program that defines it, and puts "--" before the arguments, so
// that none of them can be taken for a flag, a command or a cry for help. Without this the library would
// take every flag that follows an argument for another argument. A flag that lacks its value is an error.
// Of a command that takes a message, flags stand before it: from its first word on, all is message.
func flagsFirst(app *cli.App, line []string) ([]string, error) {
	path := commandPath(app, line[1:])
	var own []cli.Flag
	if len(path) > 0 {
		own = path[len(path)-1].Flags
	}
	var global, local, args []string
	names := len(path)
	rest := line[1:]
	for len(rest) > 0 {
		word := rest[0]
		rest = rest[1:]
		if word == "--" {
			args = append(args, rest...)
			break
		}
		if names == 0 && takesMessage(path) && beginsMessage(slices.Concat(own, app.Flags), word, rest) {
			args = append([]string{word}, rest...)
			break
		}
		if !isFlag(word) {
			if names > 0 {
				names--
			} else {
				args = append(args, word)
			}
			continue
		}
		to, flag := &local, findFlag(own, word)
		if flag == nil {
			if flag = findFlag(app.Flags, word); flag != nil || len(path) == 0 {
				to = &global
			}
		}
		*to = append(*to, word)
		if takesValue(flag, word) {
			if len(rest) == 0 || rest[0] == "--" {
				return nil, decide.Usagef("%s needs a value", word)
			}
			*to = append(*to, rest[0])
			rest = rest[1:]
		}
	}
	out := append([]string{line[0]}, global...)
	for _, c := range path {
		out = append(out, c.Name)
	}
	out = append(out, local...)
	if len(args) > 0 {
		out = append(append(out, "--"), args...)
	}
	return out, nil
}

// messageArgs is what the ArgsUsage of a command says that takes a message in any words.
const messageArgs = "[MESSAGE]"

func takesMessage(path []*cli.Command) bool {
	return len(path) > 0 && path[len(path)-1].ArgsUsage == messageArgs
}

// beginsMessage reports whether a word is no flag of ours, so that it and the rest are what somebody has to say. Who
// asks for help and says nothing else gets help: a question must not stop the fleet.
func beginsMessage(flags []cli.Flag, word string, rest []string) bool {
	question := len(rest) == 0 && findFlag([]cli.Flag{cli.HelpFlag}, word) != nil
	return !isFlag(word) || findFlag(flags, word) == nil && !question
}

// commandPath finds the command that a line names, and its subcommand if it has some.
func commandPath(app *cli.App, words []string) []*cli.Command {
	var path []*cli.Command
	commands, flags := app.Commands, slices.Clone(app.Flags)
	for i := 0; i < len(words) && words[i] != "--" && len(commands) > 0; i++ {
		if isFlag(words[i]) {
			if takesValue(findFlag(flags, words[i]), words[i]) {
				i++
			}
			continue
		}
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(words[i]) })
		if at < 0 {
			break
		}
		path = append(path, commands[at])
		flags = append(flags, commands[at].Flags...)
		commands = commands[at].Subcommands
	}
	return path
}

func isFlag(word string) bool { return len(word) > 1 && word[0] == '-' }

func findFlag(flags []cli.Flag, word string) cli.Flag {
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-"), "=")
	at := slices.IndexFunc(flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
	if at < 0 {
		return nil
	}
	return flags[at]
}

// takesValue reports whether the value of a flag is the next word.
func takesValue(flag cli.Flag, word string) bool {
	f, ok := flag.(cli.DocGenerationFlag)
	return ok && f.TakesValue() && !strings.Contains(word, "=")
}
