package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"

	"golang.org/x/sys/unix"
)

// bench is where the contestants meet.
type bench struct {
	dir      string // where all trees are; removed in the end
	programs string // where our programs are; removed in the end
	env      []string
	size     size
	rounds   int
	disk     bool // what is written stays in memory only until it is synced
	upstream *upstream
	say      func(format string, args ...any)
}

// newBench builds the programs. The bench must be closed.
func newBench(ctx context.Context, o options, progress io.Writer) (_ *bench, err error) {
	b := &bench{size: sizes[o.size], rounds: o.rounds}
	b.say = func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	defer func() {
		if err != nil {
			b.close()
		}
	}()
	// Where files in memory are, programs may not be allowed.
	if b.programs, err = os.MkdirTemp("", "etchtag-bench-"); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp(o.dir, "etchtag-bench-"); err != nil {
		return nil, err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return nil, err
	}
	b.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "LC_ALL=C.UTF-8", "TZ=UTC",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null"}
	var fs unix.Statfs_t
	if err := unix.Statfs(b.dir, &fs); err != nil {
		return nil, fmt.Errorf("file system of %s: %w", b.dir, err)
	}
	b.disk = int64(fs.Type) != unix.TMPFS_MAGIC
	return b, b.build(ctx)
}

// close ends what runs and removes everything.
func (b *bench) close() {
	if b.upstream != nil {
		b.upstream.close()
	}
	for _, dir := range []string{b.dir, b.programs} {
		if err := os.RemoveAll(dir); err != nil {
			b.say("%v", err)
		}
	}
}

func (b *bench) etchtag() string    { return filepath.Join(b.programs, "etchtag") }
func (b *bench) nodetagger() string { return filepath.Join(b.programs, "nodetagger") }
func (b *bench) empty() string      { return filepath.Join(b.programs, "empty") }

// build builds our programs, and one that does nothing, as users build them.
func (b *bench) build(ctx context.Context) error {
	source := filepath.Join(b.programs, "empty.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() {}\n"), 0o644); err != nil {
		return err
	}
	const ours = "github.com/etch/etchtag/cmd/"
	for program, what := range map[string]string{b.etchtag(): ours + "etchtag", b.nodetagger(): ours + "nodetagger", b.empty(): source} {
		c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "urfave_cli_no_docs", "-o", built(program), what)
		c.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", c, err, out)
		}
	}
	return b.install()
}

func built(program string) string { return program + ".built" }

// install puts copies of the programs into their places, as install(1) does. What a linker has written here and there
// lies in memory in single pages, each of which has to be mapped at every start; what was copied does not.
func (b *bench) install() error {
	for _, program := range []string{b.etchtag(), b.nodetagger(), b.empty()} {
		if err := copyProgram(built(program), program); err != nil {
			return err
		}
	}
	return nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	installed, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(installed, source)
	return errors.Join(err, installed.Close())
}

// has reports whether a tool is installed.
func (b *bench) has(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

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

// settle lets nobody pay for what others wrote.
func (b *bench) settle() error {
	forgetPeak()
	if !b.disk {
		return nil
	}
	d, err := os.Open(b.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}
