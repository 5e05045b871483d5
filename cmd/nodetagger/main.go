// Nodetagger prints which tag a host gets, for the etch server, which runs it once for each client.
//
// It is what etchtag is under this name, and nothing else, so that it starts fast. Where the configuration names an
// inventory that takes more than it has in it, it becomes etchtag.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
)

func main() { os.Exit(run(os.Args)) }

// run returns the exit status: 0, 1 if there is no answer, or 2 if the command line or the configuration is wrong.
func run(line []string) int {
	ctx := &term.Interruption{}
	defer ctx.End()
	err := answer(ctx, line)
	if err == nil {
		return 0
	}
	term.OutliveReaders()
	messages := term.NewOutlet(os.Stderr, term.MaxUnread)
	defer messages.EndSoon()
	if log, broken := term.NewLog(messages, "text", slog.LevelInfo, term.WantsColours(messages, os.Getenv)); broken == nil {
		log.Error(err.Error())
	}
	if _, wrong := errors.AsType[decide.UsageError](err); wrong {
		return 2
	}
	return 1
}

func answer(ctx context.Context, line []string) error {
	n := decide.Nodetagger{Kinds: decide.LocalKinds, Getenv: os.Getenv, Clock: time.Now, Alone: true}
	path, err := n.Answer(ctx, line)
	if unknown, ok := errors.AsType[*decide.UnknownKindError](err); ok {
		return becomeEtchtag(unknown, line[1])
	}
	if err == nil {
		_, err = fmt.Println(path)
	}
	return err
}

// becomeEtchtag returns only if that fails.
func becomeEtchtag(why *decide.UnknownKindError, host string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("no tag for %s: %w", host, err)
	}
	var failed []error
	for _, etchtag := range decide.EtchtagPlaces(program, why.Base) {
		err := syscall.Exec(etchtag, []string{"etchtag", "--base", why.Base.Path, "nodetagger", "--", host}, os.Environ())
		failed = append(failed, &os.PathError{Op: "run", Path: etchtag, Err: err})
	}
	return fmt.Errorf("no tag for %s: an inventory of kind %s takes the program etchtag; etchtag init says where it is: %w",
		host, why.Kind, errors.Join(failed...))
}
