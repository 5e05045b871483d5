package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// The contestants that make a copy of the configuration.
const (
	archive   = "git archive | tar -x"
	copyAll   = "cp -a of the previous tag"
	copyLinks = "cp -al of the previous tag"
	linkDest  = "rsync -a --link-dest"
)

// arena is a base, a clone of the same upstream for the peers, and the directory in which they write.
type arena struct {
	b     *bench
	up    *upstream
	base  *base
	clone string
	dir   string
}

// newArena makes a base that has no tags yet, and a clone.
func newArena(ctx context.Context, b *bench, dir, config string) (*arena, error) {
	up, err := b.served(ctx)
	if err != nil {
		return nil, err
	}
	base, err := b.newBase(ctx, filepath.Join(dir, "base"), workingCopy(up.url, config))
	if err != nil {
		return nil, err
	}
	a := &arena{b, up, base, filepath.Join(dir, "clone"), dir}
	return a, b.quietly(ctx, []string{"git", "clone", "-q", up.url, a.clone})
}

// out is the directory that a peer makes in a round.
func (a *arena) out(peer string, round int) string {
	return filepath.Join(a.dir, fmt.Sprintf("%.3s-%d", peer, round))
}

// archive unpacks the branch into a new directory, as repo_update did.
func (a *arena) archive() contestant {
	return contestant{name: archive, act: func(round int) action {
		out := a.out("git", round)
		return a.b.durable(sequence(makeDir(out),
			a.b.pipe([]string{"git", "-C", a.clone, "archive", "main"}, []string{"tar", "-x", "-C", out})))
	}}
}

// makeDir is the action of making a directory.
func makeDir(path string) action {
	return func(context.Context) (sample, error) { return sample{}, os.Mkdir(path, 0o755) }
}

// copyTag copies the tag before that of the round.
func (a *arena) copyTag(name, flag string) contestant {
	return contestant{name: name, act: func(round int) action {
		return a.b.durable(a.b.process("cp", flag, a.base.tag(round), a.out(flag, round)))
	}}
}

// linkDest copies the working copy, and links what the tag before that of the round has too.
func (a *arena) linkDest() contestant {
	return contestant{name: linkDest, act: func(round int) action {
		return a.b.durable(a.b.process("rsync", "-a", "--exclude=/.git", "--link-dest="+a.base.tag(round),
			a.base.trunk()+"/", a.out("rsync", round)+"/"))
	}}
}

// snapshot makes the tag after that of the round.
func (a *arena) snapshot() contestant {
	return contestant{name: us, act: func(round int) action {
		return a.b.durable(a.b.process(a.base.snapshot(round + 1)...))
	}}
}

// snapshotContest makes tags, each of which has another before it, of the same commit.
func snapshotContest(ctx context.Context, b *bench, dir string) (results, error) {
	a, err := newArena(ctx, b, dir, "")
	if err != nil {
		return nil, err
	}
	if err := b.quietly(ctx, a.base.snapshot(0)); err != nil {
		return nil, err
	}
	r, err := b.takeTurns(ctx, b.rounds, nil, a.snapshot(), a.archive(), a.copyTag(copyAll, "-a"))
	if err != nil {
		return nil, err
	}
	last := b.rounds - 1
	if err := b.traceSyncs(ctx, r[us], a.base.snapshot(last+2)); err != nil {
		return nil, err
	}
	if err := requireEqual(a.base.tag(last+1), a.out("git", last)); err != nil {
		return nil, err
	}
	return r, requireEqual(a.base.tag(last+1), a.out("-a", last))
}

// firstTagContest makes the first tag of a base again and again.
func firstTagContest(ctx context.Context, b *bench, dir string) (results, error) {
	a, err := newArena(ctx, b, dir, "")
	if err != nil {
		return nil, err
	}
	ours := contestant{name: us,
		prepare: func(_ context.Context, round int) error {
			if round == 0 {
				return nil
			}
			return os.Rename(a.base.tags(), a.out("old", round))
		},
		act: func(round int) action { return b.durable(b.process(a.base.snapshot(round)...)) },
	}
	r, err := b.takeTurns(ctx, b.rounds, nil, ours, a.archive())
	if err != nil {
		return nil, err
	}
	if err := requireEqual(a.base.tag(b.rounds-1), a.out("git", b.rounds-1)); err != nil {
		return nil, err
	}
	if err := ours.prepare(ctx, b.rounds); err != nil {
		return nil, err
	}
	return r, b.traceSyncs(ctx, r[us], a.base.snapshot(b.rounds))
}

// hardlinkContest makes tags each of which differs from the one before it in ten files. Both working copies have
// these changes when it begins: to fetch them has its own rows.
func hardlinkContest(ctx context.Context, b *bench, dir string) (results, error) {
	a, err := newArena(ctx, b, dir, "tags: {files: hardlink}\n")
	if err != nil {
		return nil, err
	}
	if err := b.quietly(ctx, a.base.snapshot(0)); err != nil {
		return nil, err
	}
	change := func(ctx context.Context, round int) error {
		if err := a.up.commit(ctx, 10); err != nil {
			return err
		}
		return b.quietly(ctx, a.base.command("update"), []string{"git", "-C", a.clone, "pull", "-q"})
	}
	contestants := []contestant{a.snapshot(), a.copyTag(copyLinks, "-al"), a.archive()}
	if b.has("rsync") {
		contestants = append(contestants, a.linkDest())
	}
	r, err := b.takeTurns(ctx, b.rounds, change, contestants...)
	if err != nil {
		return nil, err
	}
	last := b.rounds - 1
	if err := requireEqual(a.base.tag(last), a.out("-al", last)); err != nil {
		return nil, err
	}
	if b.has("rsync") {
		if err := requireEqual(a.base.tag(last+1), a.out("rsync", last)); err != nil {
			return nil, err
		}
	}
	if err := requireEqual(a.base.tag(last+1), a.out("git", last)); err != nil {
		return nil, err
	}
	if err := a.measureDisk(r, last); err != nil {
		return nil, err
	}
	if err := change(ctx, last+1); err != nil {
		return nil, err
	}
	return r, b.traceSyncs(ctx, r[us], a.base.snapshot(last+2))
}
