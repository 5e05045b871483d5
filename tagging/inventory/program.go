package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/etch/etchtag/tagging/supervise"
)

// DefaultProgramTimeout is how long a program may take to answer if nothing else is asked for.
const DefaultProgramTimeout = 5 * time.Second

// ProgramOptions says how a program is run that is asked about hosts.
type ProgramOptions struct {
	Timeout time.Duration // for one answer; 0: DefaultProgramTimeout
	Alone   bool          // this process starts nothing else meanwhile: see supervise.Command
}

func (o ProgramOptions) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultProgramTimeout
	}
	return o.Timeout
}

// maxProgramOutput is the most that an answer may have, in bytes.
const maxProgramOutput = 1 << 20

// program is a program that is asked about one host a run.
type program struct {
	path    string
	args    []string // those before the host
	dir     string   // where it runs; empty: where we do
	options ProgramOptions
}

// ask runs the program, with the host as its last argument, and returns its standard output. No shell is
// involved. The program has our environment, no terminal and nothing to read, and what it starts ends with it.
func (p program) ask(ctx context.Context, host string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	timeout := p.options.timeout()
	ctx, cancel := context.WithTimeoutCause(ctx, timeout,
		fmt.Errorf("no answer within %s: %w", timeout, context.DeadlineExceeded))
	defer cancel()
	var output answerBuffer
	var complaint tail
	err := supervise.Command{Path: p.path, Args: append(p.args[:len(p.args):len(p.args)], host), Dir: p.dir,
		Stdout: &output, Stderr: &complaint, Alone: p.options.Alone}.Run(ctx)
	if err == nil {
		return output.String(), nil
	}
	err = fmt.Errorf("run %s for %q: %w", p.path, host, explainStart(p.path, err))
	if text := complaint.String(); text != "" {
		err = fmt.Errorf("%w; its standard error: %s", err, text)
	}
	return "", err
}

// answerBuffer takes an answer of the length that is allowed.
type answerBuffer struct{ strings.Builder }

// Write implements io.Writer.
func (b *answerBuffer) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxProgramOutput {
		return 0, fmt.Errorf("it writes more than %d KiB", maxProgramOutput>>10)
	}
	return b.Builder.Write(p)
}

// explainStart says what to do about a program that cannot be started, where the system's error does not.
func explainStart(path string, err error) error {
	info, statErr := os.Stat(path)
	isFile := statErr == nil && info.Mode().IsRegular()
	switch {
	case errors.Is(err, fs.ErrPermission) && isFile && info.Mode()&0o111 == 0:
		return fmt.Errorf("%w: it is not executable: chmod +x it where it comes from", err)
	case errors.Is(err, fs.ErrNotExist) && isFile:
		return fmt.Errorf("%w: the interpreter that its first line names is missing", err)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%w: the first line of a script must name its interpreter, such as #!/bin/sh", err)
	}
	return err
}

// maxComplaint is how much of a program's standard error an error quotes, in bytes.
const maxComplaint = 4 << 10

// tail keeps the last bytes that are written to it.
type tail struct {
	bytes []byte
	cut   bool // there were more
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - maxComplaint; over > 0 {
		t.bytes = append(t.bytes[:0], t.bytes[over:]...)
		t.cut = true
	}
	return len(p), nil
}

// String returns the text in a form that a terminal prints and does not obey.
func (t *tail) String() string {
	text := strings.Map(func(r rune) rune {
		switch {
		case r == '\r':
			return -1
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			return r
		}
		return unicode.ReplacementChar
	}, strings.ToValidUTF8(string(t.bytes), string(unicode.ReplacementChar)))
	text = strings.TrimSpace(text)
	if t.cut {
		return "..." + text
	}
	return text
}
