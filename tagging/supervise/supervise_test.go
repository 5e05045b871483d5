package supervise

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// aloneVariable has the tests named TestProgram... run their programs without a supervisor.
const aloneVariable = "SUPERVISE_TEST_ALONE"

// TestAlone repeats them in a process that is alone with one program after the other.
func TestAlone(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestProgram", "-test.parallel=1")
	cmd.Env = append(os.Environ(), aloneVariable+"=1")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// shell is a command of the shell.
func shell(script string, args ...string) Command {
	return Command{Path: "sh", Args: append([]string{"-c", script, "sh"}, args...), Alone: os.Getenv(aloneVariable) != ""}
}

func TestProgramsOwnEndIsWhatCounts(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		"exit 0":                      "",
		"exit 3":                      "exit status 3",
		"exit 255":                    "exit status 255",
		"kill -9 $$":                  "signal: killed",
		"kill $$":                     "signal: terminated",
		"kill -PIPE $$":               "signal: broken pipe",
		"ulimit -c 0; kill -SEGV $$":  "signal: segmentation fault",
		"sleep 1000 & exit 0":         "", // though its output is open still
		"sleep 1000 & exit 3":         "exit status 3",
		"exec >&- 2>&-; exit 4":       "exit status 4",
		"trap 'exit 6' TERM; kill $$": "exit status 6",
	} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			c := shell(script)
			c.Stdout = new(bytes.Buffer)
			err := c.Run(t.Context())
			if got := errorText(err); got != want {
				t.Errorf("got %q, not %q", got, want)
			}
			if _, ok := errors.AsType[*ExitError](err); err != nil && !ok {
				t.Errorf("the error is a %T", err)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// The children can see the end of their parent, of which "kill -0" tells them.
func TestProgramsChildrenMayFinishWhatTheyWrite(t *testing.T) {
	t.Parallel()
	c := shell("{ while kill -0 $$; do :; done; echo web; echo prod; } 2>/dev/null | sort & exit 0")
	var out bytes.Buffer
	c.Stdout = &out
	if err := c.Run(t.Context()); err != nil || out.String() != "prod\nweb\n" {
		t.Errorf("got %q, %v", &out, err)
	}
}

func TestProgramThatHasSucceededIsNotInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c := shell("{ while kill -0 $$; do :; done; echo over; sleep 1000; } 2>/dev/null & echo answer; exit 0")
	var out bytes.Buffer
	c.Stdout = writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("over")) {
			cancel()
		}
		return out.Write(p)
	})
	if err := c.Run(ctx); err != nil && ctx.Err() == nil || out.String() != "answer\nover\n" {
		t.Errorf("got %q, %v", &out, err)
	}
}

// writerFunc is an io.Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestProgramsSurroundings(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	writeScript(t, filepath.Join(dir, "script"), `pwd; echo "$0 $1 $#"; echo "$OWN"; cat
set -- $(cat /proc/$$/stat); [ $5 = $$ ] && [ $6 = $$ ] && echo leads its group and session
(: </dev/tty) 2>/dev/null || echo no terminal
grep -q 'flags:.*4...$' /proc/$$/fdinfo/[012] && echo does not block
for fd in 3 4; do [ -e /proc/$$/fd/$fd ] && echo has descriptor $fd; done
echo problem >&2; exec grep -E '^Sig(Ign|Blk)' /proc/self/status`)
	var out, problems bytes.Buffer
	c := shell("")
	c.Path, c.Args, c.Dir, c.Env = "./script", []string{"a b"}, dir, append(os.Environ(), "OWN=ours")
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader("input\n"), &out, &problems
	if err := c.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := dir + "\n./script a b 1\nours\ninput\nleads its group and session\nno terminal\n" +
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n"
	if out.String() != want || problems.String() != "problem\n" {
		t.Errorf("got %q, %q, not %q", &out, &problems, want)
	}
}

func writeScript(t *testing.T, path, commands string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+commands+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestProgramsTwoOutputsCanBeOne(t *testing.T) {
	t.Parallel()
	c := shell("for i in $(seq 200); do echo $i; echo $i >&2; done")
	var want, out bytes.Buffer
	for i := range 200 {
		line := strconv.Itoa(i+1) + "\n"
		want.WriteString(line + line)
	}
	c.Stdout, c.Stderr = &out, &out
	if err := c.Run(t.Context()); err != nil || out.String() != want.String() {
		t.Errorf("got %q, %v", &out, err)
	}
}

func TestProgramMayReadItsInputOrNot(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{"wc -c": "1000000\n", "exit 0": ""} {
		c := shell(script)
		var out bytes.Buffer
		c.Stdin, c.Stdout = bytes.NewReader(make([]byte, 1_000_000)), &out
		if err := c.Run(t.Context()); err != nil || out.String() != want {
			t.Errorf("%s: got %q, %v", script, &out, err)
		}
	}
}

func TestProgramThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeScript(t, filepath.Join(dir, "plain"), "")
	writeScript(t, filepath.Join(dir, "lost"), "")
	writeScript(t, filepath.Join(dir, "bare"), "")
	for _, err := range []error{
		os.Chmod(filepath.Join(dir, "plain"), 0o644),
		os.WriteFile(filepath.Join(dir, "lost"), []byte("#!/no/such/shell\n"), 0),
		os.WriteFile(filepath.Join(dir, "bare"), []byte("echo web\n"), 0),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		path, dir string
		want      error
	}{
		{dir + "/none", "", fs.ErrNotExist},
		{dir + "/plain", "", fs.ErrPermission},
		{dir, "", fs.ErrPermission},
		{dir + "/bare", "", syscall.ENOEXEC},
		{dir + "/lost", "", fs.ErrNotExist},
		{"/bin/true", dir + "/none", fs.ErrNotExist},
		{"no-such-program-anywhere", "", exec.ErrNotFound},
	} {
		c := shell("")
		c.Path, c.Dir = test.path, test.dir
		if err := c.Run(t.Context()); !errors.Is(err, test.want) || !strings.Contains(errorText(err), test.path) {
			t.Errorf("%s in %q: got %v, not %v", test.path, test.dir, err, test.want)
		}
	}
}

func TestProgramIsNotStartedAfterTheEnd(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	trace := filepath.Join(t.TempDir(), "trace")
	if err := shell("touch " + trace).Run(ctx); err != context.Canceled {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(trace); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was started: %v", err)
	}
}

func TestDescriptorsAreClosed(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	run := func() {
		for _, path := range []string{"/bin/true", "/bin/false", "/none", "no-such-program-anywhere"} {
			c := Command{Path: path, Stdin: strings.NewReader("x"), Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)}
			_ = c.Run(t.Context())
		}
	}
	run()
	before := count()
	for range 5 {
		run()
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors are open, %d before", after, before)
	}
}
