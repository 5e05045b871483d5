package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"
)

// The contestants that bring a working copy to upstream's newest revision, or make one.
const (
	gitUpdate = "git pull; git reset --hard; git clean -fdx"
	gitClone  = "git clone"
	gitHour   = gitUpdate + "; git archive | tar -x"
)

// pull is what an administrator would run for an exact working copy.
func (a *arena) pull() contestant {
	git := func(words ...string) action {
		return a.b.process(append([]string{"git", "-C", a.clone}, words...)...)
	}
	return contestant{name: gitUpdate, act: func(int) action {
		return a.b.durable(sequence(git("pull", "-q"), git("reset", "-q", "--hard"), git("clean", "-qfdx")))
	}}
}

func (a *arena) update() contestant {
	return contestant{name: us, act: func(int) action {
		return a.b.durable(a.b.process(a.base.command("update")...))
	}}
}

// hourContest does what cron does every hour: ten files have changed upstream, which are to be in a new tag.
func hourContest(ctx context.Context, b *bench, dir string) (results, error) {
	a, err := newArena(ctx, b, dir, "")
	if err != nil {
		return nil, err
	}
	if err := b.quietly(ctx, a.base.hourly(0)); err != nil {
		return nil, err
	}
	ours := contestant{name: us, act: func(round int) action { return b.durable(b.process(a.base.hourly(round + 1)...)) }}
	pull, archive := a.pull(), a.archive()
	theirs := contestant{name: gitHour, act: func(round int) action { return sequence(pull.act(round), archive.act(round)) }}
	change := func(ctx context.Context, _ int) error { return a.up.commit(ctx, 10) }
	r, err := b.takeTurns(ctx, b.rounds, change, ours, theirs)
	if err != nil {
		return nil, err
	}
	return r, requireEqual(a.base.tag(b.rounds), a.out("git", b.rounds-1))
}

// updateContest updates both working copies, each time with so many changed files.
func updateContest(files int) func(ctx context.Context, b *bench, dir string) (results, error) {
	return func(ctx context.Context, b *bench, dir string) (results, error) {
		a, err := newArena(ctx, b, dir, "")
		if err != nil {
			return nil, err
		}
		change := func(ctx context.Context, _ int) error {
			if files == 0 {
				return nil
			}
			return a.up.commit(ctx, files)
		}
		// Both read files again that are as young as their index. Once they are not, both know them by their times.
		time.Sleep(1100 * time.Millisecond)
		if _, err := b.takeTurns(ctx, 1, nil, a.update(), a.pull()); err != nil {
			return nil, err
		}
		r, err := b.takeTurns(ctx, b.rounds, change, a.update(), a.pull())
		if err != nil {
			return nil, err
		}
		return r, requireEqual(a.base.trunk(), a.clone)
	}
}

// cloneContest clones again and again, over the network or from the path.
func cloneContest(network bool) func(ctx context.Context, b *bench, dir string) (results, error) {
	return func(ctx context.Context, b *bench, dir string) (results, error) {
		up, err := b.served(ctx)
		if err != nil {
			return nil, err
		}
		url := up.dir
		if network {
			url = up.url
		}
		out := func(peer string, round int) string {
			return filepath.Join(dir, peer+strings.Repeat("x", round))
		}
		ours := contestant{name: us, act: func(round int) action {
			return b.durable(b.process(b.etchtag(), "--quiet", "--base", out("base", round), "init", "--url", url))
		}}
		theirs := contestant{name: gitClone, act: func(round int) action {
			return b.durable(b.process("git", "clone", "-q", url, out("clone", round)))
		}}
		r, err := b.takeTurns(ctx, b.rounds, nil, ours, theirs)
		if err != nil {
			return nil, err
		}
		last := b.rounds - 1
		return r, requireEqual(filepath.Join(out("base", last), "trunk"), out("clone", last))
	}
}
