package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const emptyProgram = "an empty Go program"

// newFleet makes a base with as many tags as a server has, from a directory: it takes no git. Their manifests are
// large enough to show in the figures of whoever reads them whole.
func (b *bench) newFleet(ctx context.Context, dir string) (*base, error) {
	small := size{files: b.size.tagged, dirs: b.size.tagged / 3, mean: b.size.mean, hosts: b.size.hosts}
	if err := newModel(small).write(filepath.Join(dir, "trunk")); err != nil {
		return nil, err
	}
	// It is read at each start, so it is the one that most have: that which init writes.
	fleet := &base{b, dir}
	if err := b.quietly(ctx, fleet.command("init", "--kind", "dir")); err != nil {
		return nil, err
	}
	if err := fleet.configure("files: auto", "files: hardlink"); err != nil {
		return nil, err
	}
	for n := range b.size.tags {
		if err := b.quietly(ctx, fleet.snapshot(n)); err != nil {
			return nil, err
		}
	}
	return fleet, nil
}

// A question is a command line of etchtag, which may be another one each round.
type question func(fleet *base, round int) []string

func askNodetagger(fleet *base, round int) []string {
	return []string{filepath.Join(fleet.dir, "nodetagger"), host(round % fleet.b.size.hosts)}
}

func askList(fleet *base, _ int) []string {
	return fleet.command("list", "--at", hour(fleet.b.size.tags).Format(time.RFC3339))
}

func askExplain(fleet *base, round int) []string {
	return fleet.command("explain", host(round%fleet.b.size.hosts))
}

// reinstalled is after how many rounds the programs are copied anew: how long one takes to start depends, by a twentieth
// and more, on which pages of memory its copy happens to lie in.
const reinstalled = 10

// startContest asks a short question each round, and has an empty program start in between: nobody else, so that both
// find the processor's caches as the other one left them.
func startContest(ask question) func(ctx context.Context, b *bench, dir string) (results, error) {
	return func(ctx context.Context, b *bench, dir string) (results, error) {
		fleet, err := b.newFleet(ctx, dir)
		if err != nil {
			return nil, err
		}
		asked := func(name, answer string, argv func(round int) []string) contestant {
			return contestant{name: name, act: func(round int) action {
				return func(ctx context.Context) (sample, error) {
					out, s, err := b.output(ctx, argv(round)...)
					if err == nil && !strings.Contains(out, answer) {
						err = fmt.Errorf("%s: the answer is %q", name, out)
					}
					return s, err
				}
			}}
		}
		reinstall := func(_ context.Context, round int) error {
			if round%reinstalled != 0 {
				return nil
			}
			return b.install()
		}
		// The present is long after the last tag, so all get that one.
		return b.takeTurns(ctx, max(b.rounds, b.size.calls), reinstall,
			asked(emptyProgram, "", func(int) []string { return []string{b.empty()} }),
			asked(us, tagName(b.size.tags-1), func(round int) []string { return ask(fleet, round) }),
		)
	}
}
