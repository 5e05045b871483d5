package main

import (
	"context"
	"errors"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagstate/lines"
	"github.com/urfave/cli/v2"
)

// The exit codes, which cron, systemd and the etch server act on.
const (
	exitDone       = 0
	exitFailed     = 1  // nothing was changed
	exitUsage      = 2  // the command line or the configuration is wrong
	exitIncomplete = 3  // done, with something stale, skipped or left over
	exitDrift      = 4  // verify found tags that are not as they were published
	exitBusy       = 11 // another run holds the lock
)

// incompleteError says that the command did its work, but not all of it.
type incompleteError struct{ err error }

func (e incompleteError) Error() string { return e.err.Error() }
func (e incompleteError) Unwrap() error { return e.err }

// driftError says that tags are not as they were published.
type driftError struct{ err error }

func (e driftError) Error() string { return e.err.Error() }
func (e driftError) Unwrap() error { return e.err }

// incomplete is nil if there are no problems.
func incomplete(problems ...error) error {
	if err := errors.Join(problems...); err != nil {
		return incompleteError{err}
	}
	return nil
}

// notDurable makes an edit that is done, but not sure to survive a power cut, an incomplete one.
func notDurable(err error) error {
	if errors.Is(err, lines.ErrNotDurable) {
		return incompleteError{err}
	}
	return err
}

// errSilent ends a command whose output has said everything already.
var errSilent = errors.New("")

// exitCode is the one place where errors become exit codes.
func exitCode(err error) int {
	var usage decide.UsageError
	var partly incompleteError
	var drift driftError
	// Help that was asked about no command of ours. What it wraps does not count: the error of a program that we ran has
	// such a method, too.
	_, library := err.(cli.ExitCoder)
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &usage), library:
		return exitUsage
	case errors.Is(err, snapshot.ErrBusy), errors.Is(err, lines.ErrBusy):
		return exitBusy
	case errors.As(err, &drift):
		return exitDrift
	case errors.As(err, &partly):
		return exitIncomplete
	}
	return exitFailed
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
