// Etchtag-bench runs etchtag beside the tools that administrators would use in its place, and prints a table of
// medians and ratios.
//
// It builds our programs, generates a configuration with its history, always the same one for a size, serves it on the
// loopback interface, and lets the contestants take turns on the same tree in the same state. Every run is a
// process of its own, started as users start it. Everything that it makes stands in one directory, which it
// removes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "etchtag-bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	rows := ""
	f := flag.NewFlagSet("etchtag-bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.dir, "dir", os.TempDir(), "work in a new directory below this `directory`, on its file system")
	f.StringVar(&o.size, "size", "full", "of the trees: full or small")
	f.IntVar(&o.rounds, "rounds", 7, "how often each contestant runs")
	f.StringVar(&rows, "rows", "", "measure only rows that this regular `expression` matches")
	f.BoolVar(&o.markdown, "markdown", false, "print the table in Markdown")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds %d: at least one is needed", o.rounds)
	case sizes[o.size] == (size{}):
		return o, fmt.Errorf("-size %q: it is full or small", o.size)
	}
	if o.rows, err = regexp.Compile(rows); err != nil {
		return o, fmt.Errorf("-rows: %w", err)
	}
	return o, nil
}

// run measures and prints. Progress goes to stderr.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	for _, text := range describeMachine(b) {
		fmt.Fprintln(stdout, text)
	}
	fmt.Fprintln(stdout)
	write := writeText
	if o.markdown {
		write = writeMarkdown
	}
	lines, err := b.measure(ctx, contests(), o.rows)
	if len(lines) > 0 { // also if it was interrupted
		err = errors.Join(err, write(stdout, lines))
	}
	return err
}
