package main

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"slices"
)

// measure holds the contests that have a row which the expression selects. It fails with what it has until then.
func (b *bench) measure(ctx context.Context, all []contest, selected *regexp.Regexp) ([]line, error) {
	var lines []line
	for _, c := range all {
		rows := slices.DeleteFunc(slices.Clone(c.rows), func(r row) bool { return !selected.MatchString(r.what) })
		if len(rows) == 0 {
			continue
		}
		var r results
		if b.missing(c.needs) == "" {
			b.say("%s ...", rows[0].what)
			var err error
			if r, err = b.hold(ctx, c); err != nil {
				return lines, fmt.Errorf("%s: %w", rows[0].what, err)
			}
		}
		for _, w := range rows {
			l := line{row: w, skipped: b.missing(append(slices.Clone(c.needs), w.needs...))}
			if l.skipped == "" {
				l.figure = w.measure(r)
			}
			lines = append(lines, l)
		}
	}
	return lines, nil
}

// hold runs a contest in a directory of its own.
func (b *bench) hold(ctx context.Context, c contest) (results, error) {
	dir, err := os.MkdirTemp(b.dir, "")
	if err != nil {
		return nil, err
	}
	r, err := c.run(ctx, b, dir)
	if removeErr := os.RemoveAll(dir); err == nil {
		err = removeErr
	}
	return r, err
}

// contestant is one who takes part in each round.
type contestant struct {
	name string
	// prepare does in each round what does not count; nil for nothing.
	prepare func(ctx context.Context, round int) error
	act     func(round int) action
	// clear undoes in each round what must not pile up; nil for nothing.
	clear func(round int) error
}

// takeTurns runs all contestants in each round, one after the other. before, unless nil, is done once a round.
func (b *bench) takeTurns(ctx context.Context, rounds int, before func(ctx context.Context, round int) error,
	contestants ...contestant) (results, error) {
	r := results{}
	for round := range rounds {
		if before != nil {
			if err := before(ctx, round); err != nil {
				return nil, err
			}
		}
		for _, c := range contestants {
			s, err := b.turn(ctx, c, round)
			if err != nil {
				return nil, fmt.Errorf("round %d of %s: %w", round+1, c.name, err)
			}
			r[c.name] = append(r[c.name], s)
		}
	}
	return r, nil
}

func (b *bench) turn(ctx context.Context, c contestant, round int) (sample, error) {
	if c.prepare != nil {
		if err := c.prepare(ctx, round); err != nil {
			return sample{}, err
		}
	}
	if err := b.settle(); err != nil {
		return sample{}, err
	}
	s, err := c.act(round)(ctx)
	if err == nil && c.clear != nil {
		err = c.clear(round)
	}
	return s, err
}
