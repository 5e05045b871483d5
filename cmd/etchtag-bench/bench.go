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
	"strings"

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

// options are what the command line says.
type options struct {
	dir      string
	size     string
	rounds   int
	rows     *regexp.Regexp
	markdown bool
}

// missing names the tools of needs that are not installed.
func (b *bench) missing(needs []string) string {
	var missing []string
	for _, tool := range needs {
		if !b.has(tool) {
			missing = append(missing, tool)
		}
	}
	if len(missing) == 0 {
		return ""
	}
	verb := " is"
	if len(missing) > 1 {
		verb = " are"
	}
	return strings.Join(missing, ", ") + verb + " not installed"
}
