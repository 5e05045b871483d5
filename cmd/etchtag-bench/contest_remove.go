package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	removeTree = "rm -rf of a copy"
	invisible  = "etchtag, until invisible"
)

// pruneConfig lets a tag go when it has two newer ones.
const pruneConfig = "tags: {keep: {within: 1h, last: 1}}\nrings: [{name: all, delay: 0h}]\n"

// removeContest removes one tag in each round: from the start of the process that decides which it is until the
// kernel says that its name is gone, and until that process has ended.
func removeContest(ctx context.Context, b *bench, dir string) (results, error) {
	a, err := newArena(ctx, b, dir, pruneConfig)
	if err != nil {
		return nil, err
	}
	if err := b.quietly(ctx, a.base.snapshot(0), a.base.snapshot(1)); err != nil {
		return nil, err
	}
	prepare := func(ctx context.Context, round int) error {
		return b.quietly(ctx, a.base.snapshot(round+2), []string{"cp", "-a", a.base.tag(round), a.out("copy", round)})
	}
	var gone []sample
	ours := contestant{name: us, act: func(round int) action {
		prune := b.process(a.base.command("prune", "--rehearse", hour(round+2).Format(time.RFC3339))...)
		return b.durable(func(ctx context.Context) (sample, error) {
			took, s, err := untilGone(ctx, a.base.tags(), tagName(round), prune)
			gone = append(gone, sample{took: took})
			return s, err
		})
	}}
	theirs := contestant{name: removeTree, act: func(round int) action {
		return b.durable(b.process("rm", "-rf", a.out("copy", round)))
	}}
	r, err := b.takeTurns(ctx, b.rounds, prepare, ours, theirs)
	if err != nil {
		return nil, err
	}
	r[invisible] = gone
	return r, a.requireOneGone()
}

// requireOneGone fails unless each round removed its tag and no other.
func (a *arena) requireOneGone() error {
	for round := range a.b.rounds + 2 {
		_, err := os.Lstat(a.base.tag(round))
		if gone := errors.Is(err, os.ErrNotExist); gone != (round < a.b.rounds) {
			return fmt.Errorf("tag %d of %d: %v", round, a.b.rounds+2, err)
		}
	}
	return nil
}

// untilGone performs an action and says when the name disappeared from the directory.
func untilGone(ctx context.Context, dir, name string, act action) (time.Duration, sample, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return 0, sample{}, err
	}
	events := os.NewFile(uintptr(fd), "inotify")
	defer events.Close()
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_FROM|unix.IN_DELETE|unix.IN_ONLYDIR); err != nil {
		return 0, sample{}, &os.PathError{Op: "watch", Path: dir, Err: err}
	}
	seen := make(chan time.Time, 1)
	go func() {
		defer close(seen)
		buf := make([]byte, unix.SizeofInotifyEvent+unix.NAME_MAX+1)
		if _, err := events.Read(buf); err == nil {
			seen <- time.Now()
		}
	}()
	start := time.Now()
	s, err := act(ctx)
	if err != nil {
		return 0, s, err
	}
	if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
		return 0, s, fmt.Errorf("%s is still there", name)
	}
	return (<-seen).Sub(start), s, nil
}
