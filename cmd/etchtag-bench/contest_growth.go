package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// growthModel is a configuration of so many small files without a history.
func growthModel(files int) *model {
	return newModel(size{files: files, dirs: files * 2 / 5, commits: 1, mean: 1_000, hosts: 1_000})
}

// growthContest copies a small tree and one of ten times its size. Its contestants are called "etchtag small",
// "etchtag large" and so on.
func growthContest(ctx context.Context, b *bench, dir string) (results, error) {
	var contestants []contestant
	for i, name := range []string{" small", " large"} {
		where := filepath.Join(dir, fmt.Sprintf("tree-%d", i))
		if err := os.Mkdir(where, 0o755); err != nil {
			return nil, err
		}
		up, err := b.newUpstream(ctx, filepath.Join(where, "etch.git"), growthModel(b.size.growth[i]))
		if err != nil {
			return nil, err
		}
		base, err := b.newBase(ctx, filepath.Join(where, "base"), workingCopy(up.dir, ""))
		if err != nil {
			return nil, err
		}
		if err := b.quietly(ctx, base.snapshot(0)); err != nil {
			return nil, err
		}
		a := &arena{b: b, up: up, base: base, clone: up.dir, dir: where}
		ours, theirs := a.snapshot(), a.archive()
		ours.name, ours.clear = us+name, base.removeTag
		theirs.name = archive + name
		theirs.clear = func(round int) error { return os.RemoveAll(a.out("git", round)) }
		contestants = append(contestants, ours, theirs)
	}
	return b.takeTurns(ctx, b.rounds, nil, contestants...)
}

// growthRow compares by how much a file costs more in the large tree than in the small one.
func growthRow(what string, atMost float64) row {
	return row{what: what, against: archive, atMost: atMost, measure: func(r results) figure {
		growth := func(name string) []float64 {
			values := ratios(each(r[name+" large"], seconds), each(r[name+" small"], seconds))
			for i := range values {
				values[i] /= 10 // so many times as many files
			}
			return values
		}
		a, b := growth(us), growth(archive)
		return figure{ours: quantity{value: median(a)}, theirs: quantity{value: median(b)}, ratio: median(ratios(a, b))}
	}}
}
