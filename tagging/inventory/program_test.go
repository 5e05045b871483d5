package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/inventory/inventorytest"
	"golang.org/x/sys/unix"
)

// patience is a deadline that no test comes near.
const patience = time.Minute

// script makes a program of shell commands.
func script(t testing.TB, commands string) program {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+commands+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return program{path: path, options: ProgramOptions{Timeout: patience}}
}

func TestProgramGetsTheHostAsItsLastArgumentAndNoShellSeesIt(t *testing.T) {
	p := script(t, `for a; do echo "<$a>"; done`)
	for _, host := range []string{"web1", "$(id)", "a b;c", "'", "`x`", "*", "-n", "a\nb"} {
		for _, args := range [][]string{nil, {"--json", "a b"}} {
			p.args = args
			output, err := p.ask(t.Context(), host)
			want := ""
			for _, a := range append(args[:len(args):len(args)], host) {
				want += "<" + a + ">\n"
			}
			if err != nil || output != want {
				t.Errorf("host %q: got %q, %v; want %q", host, output, err, want)
			}
		}
	}
}

func TestSurroundingsOfAProgram(t *testing.T) {
	t.Setenv("INVENTORY_TEST", "inherited")
	p := script(t, `pwd -P; echo $INVENTORY_TEST; cat; readlink /proc/$$/fd/0; set -- $(cat /proc/$$/stat)
test $5 = $$ && test $6 = $$ && echo leads its group and session; (: </dev/tty) 2>/dev/null || echo no terminal`)
	p.dir, _ = filepath.EvalSymlinks(t.TempDir())
	output, err := p.ask(t.Context(), "h")
	want := p.dir + "\ninherited\n/dev/null\nleads its group and session\nno terminal\n"
	if err != nil || output != want {
		t.Errorf("got %q, %v\nwant %q", output, err, want)
	}
}

func TestProgramThatFails(t *testing.T) {
	tests := []struct{ name, commands, want string }{
		{"status", "echo web; exit 3", "exit status 3"},
		{"status without a word", "exit 1", "exit status 1"},
		{"a signal", "echo web; kill -9 $$", "signal: killed"},
		{"with a complaint", "echo web; echo 'no database' >&2; exit 1", "exit status 1; its standard error: no database"},
		{"in several lines", "printf 'a\\r\\nb\\n' >&2; exit 1", "its standard error: a\nb"},
		{"in colours",
			"printf '\\033[31mred\\007\\000\\n\\342\\200\\256x \\377' >&2; exit 1",
			"its standard error: \uFFFD[31mred\uFFFD\uFFFD\n\uFFFDx \uFFFD"},
		{"after closing its output", "exec >&-; exit 7", "exit status 7"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := script(t, test.commands)
			output, err := p.ask(t.Context(), "h\x1b")
			if err == nil || output != "" || !strings.HasSuffix(err.Error(), test.want) ||
				!strings.HasPrefix(err.Error(), "run "+p.path+` for "h\x1b": `) {
				t.Errorf("got %q, %v; want an error with %q", output, err, test.want)
			}
		})
	}
}

func TestEndOfALongComplaintIsQuoted(t *testing.T) {
	_, err := script(t, "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1").ask(t.Context(), "h")
	if err == nil || !strings.HasSuffix(err.Error(), "xxxthe end") || len(err.Error()) > maxComplaint+500 ||
		!strings.Contains(err.Error(), ": ...xxx") {
		t.Errorf("got %d bytes: %.300v", len(fmt.Sprint(err)), err)
	}
}

func TestComplaintsOfAProgramThatSucceedsDoNoHarm(t *testing.T) {
	output, err := script(t, "head -c 300000 /dev/zero >&2; echo web").ask(t.Context(), "h")
	if err != nil || output != "web\n" {
		t.Errorf("got %q, %v", output, err)
	}
}

func TestOutputIsLimited(t *testing.T) {
	output, err := script(t, fmt.Sprintf("head -c %d /dev/zero", maxProgramOutput)).ask(t.Context(), "h")
	if err != nil || len(output) != maxProgramOutput {
		t.Errorf("the most that is possible: %d bytes, %v", len(output), err)
	}
	for _, endless := range []string{
		"yes", "while :; do yes || :; done", "trap '' PIPE TERM INT; yes & wait; sleep 1000",
	} {
		output, err := script(t, endless).ask(t.Context(), "h")
		if err == nil || output != "" || !strings.Contains(err.Error(), "more than 1024 KiB") {
			t.Errorf("%s: %d bytes, %v", endless, len(output), err)
		}
	}
}

func TestProgramThatCannotBeStarted(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"plain": "#!/bin/sh\n", "bare": "echo web\n", "lost": "#!/no/such/shell\n"} {
		inventorytest.WriteFile(t, filepath.Join(dir, name), text)
	}
	for _, name := range []string{"bare", "lost"} {
		if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		path, want string
		is         error
	}{
		{dir + "/none", dir + "/none", fs.ErrNotExist},
		{dir + "/plain", "it is not executable: chmod +x", fs.ErrPermission},
		{dir, "permission denied", fs.ErrPermission},
		{dir + "/bare", "must name its interpreter", syscall.ENOEXEC},
		{dir + "/lost", "the interpreter that its first line names is missing", fs.ErrNotExist},
		{"no-such-program-anywhere", "not found in $PATH", nil},
	}
	for _, test := range tests {
		output, err := program{path: test.path}.ask(t.Context(), "h")
		if err == nil || output != "" || !strings.Contains(err.Error(), test.want) ||
			test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: got %q, %v; want %q", test.path, output, err, test.want)
		}
	}
}

func TestProgramIsFoundInPath(t *testing.T) {
	p := script(t, "echo found")
	t.Setenv("PATH", filepath.Dir(p.path)+":"+os.Getenv("PATH"))
	p.path = filepath.Base(p.path)
	if output, err := p.ask(t.Context(), "h"); err != nil || output != "found\n" {
		t.Errorf("got %q, %v", output, err)
	}
}

func TestDeadline(t *testing.T) {
	for name, commands := range map[string]string{
		"without an answer":      "exec sleep 1000",
		"after an answer":        "echo web; exec sleep 1000",
		"with its output closed": "echo web; exec >&- 2>&-; exec sleep 1000",
		"with signals ignored":   "trap '' HUP INT TERM; echo web; sleep 1000; sleep 1000",
		"while stopped":          "kill -STOP $$",
	} {
		t.Run(name, func(t *testing.T) {
			p := script(t, commands)
			p.options.Timeout = 50 * time.Millisecond
			output, err := p.ask(t.Context(), "h")
			if !errors.Is(err, context.DeadlineExceeded) || output != "" ||
				!strings.Contains(err.Error(), "no answer within 50ms") {
				t.Errorf("got %q, %v", output, err)
			}
		})
	}
}

// witness reads from a named pipe that everybody in a program holds open.
func witness(t *testing.T) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pipe.Close() })
	return pipe
}

// With a program everything ends that it has started, and it does not have to have gone before.
func TestAnswerIsWhatAProgramSaysWhateverItLeavesBehind(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]string{
		"a child with its output":         "sleep 1000 &",
		"a child without":                 "sleep 1000 >/dev/null 2>&1 &",
		"a daemon with its output":        "setsid sleep 1000 &",
		"a daemon with standard error":    "setsid sleep 1000 >/dev/null &",
		"a daemon without either of them": "(setsid sleep 1000 >/dev/null 2>&1 &);",
	} {
		for status, want := range map[string]string{"0": "web\n", "1": ""} {
			t.Run(name+", "+status, func(t *testing.T) {
				t.Parallel()
				pipe := witness(t)
				p := script(t, "exec 3>"+pipe.Name()+"; "+leave+" echo why >&2; echo web; exit "+status)
				output, err := p.ask(t.Context(), "h")
				if output != want || (err == nil) != (status == "0") {
					t.Errorf("got %q, %v", output, err)
				}
				if err != nil && !strings.HasSuffix(err.Error(), "exit status 1; its standard error: why") {
					t.Errorf("got %v", err)
				}
				if rest, err := io.ReadAll(pipe); err != nil || len(rest) > 0 { // waits for the last of them
					t.Errorf("read %q, %v", rest, err)
				}
			})
		}
	}
}

func TestCancelledProgramIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	pipe := witness(t)
	p := script(t, "exec 3>"+pipe.Name()+"; (trap '' HUP INT TERM; sleep 1000; sleep 1000) & setsid sleep 1000 & wait")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := p.ask(ctx, "h")
		ended <- err
	}()
	begun, err := os.Open(pipe.Name())
	if err != nil {
		t.Fatal(err)
	}
	begun.Close()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := io.Copy(io.Discard, pipe); err != nil {
		t.Error(err)
	}
}

func TestNothingIsStartedAfterTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	trace := filepath.Join(t.TempDir(), "trace")
	if _, err := script(t, "touch "+trace).ask(ctx, "h"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(trace); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was started: %v", err)
	}
}

func TestManyProgramsAtOnce(t *testing.T) {
	p := script(t, `echo "answer for $1"; test "$1" != h13`)
	var wait sync.WaitGroup
	for i := range 24 {
		wait.Go(func() {
			host := fmt.Sprint("h", i)
			output, err := p.ask(t.Context(), host)
			if i == 13 {
				if err == nil {
					t.Error("h13 does not fail")
				}
			} else if err != nil || output != "answer for "+host+"\n" {
				t.Errorf("%s: %q, %v", host, output, err)
			}
		})
	}
	wait.Wait()
}

func TestTailKeepsTheEnd(t *testing.T) {
	for _, size := range []int{7, 1000, maxComplaint, 3 * maxComplaint} {
		var all bytes.Buffer
		var end tail
		for i := 0; all.Len() < 4*maxComplaint; i++ {
			part := bytes.Repeat([]byte{byte('a' + i%26)}, size)
			all.Write(part)
			_, _ = end.Write(part)
			want := all.String()[max(0, all.Len()-maxComplaint):]
			if all.Len() > maxComplaint {
				want = "..." + want
			}
			if got := end.String(); got != want {
				t.Fatalf("after %d bytes in parts of %d: %d bytes, want %d", all.Len(), size, len(got), len(want))
			}
		}
	}
}

// listedByLookup lists the hosts of a fleet by looking each of them up, for inventories that cannot list.
type listedByLookup struct {
	Inventory
	fleet inventorytest.Fleet
}

// Hosts implements Lister.
func (l listedByLookup) Hosts(ctx context.Context, yield func(host string, a Answer) bool) error {
	for _, host := range slices.Sorted(maps.Keys(l.fleet.Answers())) {
		a, err := l.Lookup(ctx, host)
		if err != nil {
			return err
		}
		if !yield(host, a) {
			return nil
		}
	}
	return nil
}

// nodegrouperOf makes a fleet's nodegrouper, for the conformance suite.
func nodegrouperOf(t *testing.T, f inventorytest.Fleet) Lister {
	tree := Tree{Label: "tag", Dir: t.TempDir()}
	answers := map[string]string{}
	for host, groups := range f.Answers() {
		answers[host] = strings.Join(groups, "\n") + "\n"
	}
	writeAnswers(t, filepath.Join(tree.Dir, "nodegrouper"), answers)
	return listedByLookup{NewNodegrouper(trees(tree), ProgramOptions{Timeout: patience}), f}
}

// commandOf makes a fleet's command, for the conformance suite.
func commandOf(t *testing.T, f inventorytest.Fleet) Lister {
	path := filepath.Join(t.TempDir(), "command")
	answers := map[string]string{}
	for host, groups := range f.Answers() {
		answers[host] = "groups: [" + inventorytest.QuoteAll(groups) + "]\n"
	}
	writeAnswers(t, path, answers)
	return listedByLookup{NewCommand([]string{path}, ProgramOptions{Timeout: patience}), f}
}

// writeAnswers writes a program that prints the answer for the host that is its argument.
func writeAnswers(t *testing.T, path string, answers map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for host, text := range answers {
		inventorytest.WriteFile(t, filepath.Join(dir, "of-"+host), text)
	}
	text := fmt.Sprintf("#!/bin/sh\ntest ! -e '%s/of-'\"$1\" || cat '%[1]s/of-'\"$1\"\n", dir)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}
