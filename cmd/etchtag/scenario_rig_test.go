package main

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging/tag"
)

// nobody is a user to whom nothing belongs.
const nobody = 65534

// scenario is a base in a situation of the book, with an upstream of its own, on which the program works in
// processes of its own.
type scenario struct {
	t        *testing.T
	dir      string // holds the upstream repository up, the base, and a home directory
	base     tag.Base
	upstream string // the URL of the upstream
	env      []string
	as       *syscall.Credential // who runs the program; nil for who runs the test
	deflate  *zlib.Writer        // of gitObject
}

// newScenario makes a base that has a configuration and nothing else, in a directory of its own below parent, or in
// memory. The lines are more of the configuration.
func newScenario(t *testing.T, parent string, lines ...string) *scenario {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		skipUnlessCI(t, "git is not installed")
	}
	if parent == "" {
		parent = openDir(t)
	}
	dir, err := os.MkdirTemp(parent, "")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	s := &scenario{t: t, dir: dir, base: tag.Base{Path: filepath.Join(dir, "base")}}
	s.upstream = filepath.Join(dir, "up")
	home := filepath.Join(dir, "home")
	must(t, os.Mkdir(home, 0o755))
	must(t, os.Mkdir(s.base.Path, 0o755))
	must(t, os.Symlink("/proc/self/exe", s.path("nodetagger")))
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + dir,
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_AUTHOR_DATE=2026-11-20T12:00:00Z",
		"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com", "GIT_COMMITTER_DATE=2026-11-20T12:00:00Z"}
	must(t, makeUpstream(s.upstream, s.env))
	s.configure(lines...)
	return s
}

// configure writes the configuration: the upstream, and more lines.
func (s *scenario) configure(lines ...string) {
	s.t.Helper()
	if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, "working_copy:") }) {
		lines = append([]string{"working_copy: {kind: git, timeout: 20s, url: \"" + s.upstream + "\"}"}, lines...)
	}
	s.write("etchtag.yml", strings.Join(lines, "\n")+"\n")
}

func (s *scenario) path(name string) string { return filepath.Join(s.base.Path, name) }

// write writes a file below the base.
func (s *scenario) write(name, text string) {
	s.t.Helper()
	must(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	must(s.t, os.WriteFile(s.path(name), []byte(text), 0o644))
}

// sh runs commands of the shell in the scenario's directory.
func (s *scenario) sh(script string) string {
	s.t.Helper()
	cmd := exec.Command("sh", "-ec", script)
	cmd.Dir, cmd.Env = s.dir, s.env
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v: %s", script, err, out)
	}
	return string(out)
}

// outcome is what a process has come to.
type outcome struct {
	t              *testing.T
	words          []string
	code           int // the exit status, or -1 if it was killed
	stdout, stderr string
}

// process is one that may still run.
type process struct {
	t           *testing.T
	cmd         *exec.Cmd
	out, errOut bytes.Buffer
	over        chan struct{} // closed when it has come to its end, with err
	err         error
}

// command is the program with some words, which has not begun. The first word is the name that it is called by.
func (s *scenario) command(words ...string) *process {
	s.t.Helper()
	cmd := exec.Command("/proc/self/exe") // which another user can execute, too, wherever it stands
	cmd.Args = words
	cmd.Dir = s.dir
	cmd.Env = append(slices.Clone(s.env), "ETCHTAG_BASE="+s.base.Path)
	if s.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	}
	p := &process{t: s.t, cmd: cmd}
	cmd.Stdout, cmd.Stderr = &p.out, &p.errOut
	return p
}

// start starts the program, and sees to it that it does not outlive the test.
func (p *process) start() *process {
	p.t.Helper()
	must(p.t, p.cmd.Start())
	p.over = make(chan struct{})
	go func() {
		p.err = p.cmd.Wait()
		close(p.over)
	}()
	p.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.over
	})
	return p
}

// end waits for the end of the program.
func (p *process) end() outcome {
	p.t.Helper()
	<-p.over
	var exit *exec.ExitError
	if p.err != nil && !errors.As(p.err, &exit) {
		p.t.Fatalf("%q: %v", p.cmd.Args, p.err)
	}
	return outcome{p.t, p.cmd.Args[1:], p.cmd.ProcessState.ExitCode(), p.out.String(), p.errOut.String()}
}

// run runs etchtag with some words to its end.
func (s *scenario) run(words ...string) outcome {
	s.t.Helper()
	return s.command(append([]string{"etchtag"}, words...)...).start().end()
}

// exits runs etchtag, which has to end with an exit status.
func (s *scenario) exits(code int, words ...string) outcome {
	s.t.Helper()
	o := s.run(words...)
	if o.code != code {
		s.t.Fatalf("etchtag %q: exit status %d, not %d:\n%s%s", words, o.code, code, o.stdout, o.stderr)
	}
	return o
}

// inProcess runs etchtag in this process, with its operations watched.
func (s *scenario) inProcess(r *recorder, words ...string) outcome {
	s.t.Helper()
	return s.inProcessAt(time.Now, r, words...)
}

// inProcessAt runs etchtag in this process, with a clock of its own.
func (s *scenario) inProcessAt(now func() time.Time, r *recorder, words ...string) outcome {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	a := app{stdout: &stdout, stderr: &stderr, getenv: os.Getenv, now: now, step: r.step}
	oneCommand.Lock()
	defer oneCommand.Unlock()
	code := a.run(append([]string{"etchtag", "--base", s.base.Path}, words...))
	return outcome{s.t, words, code, stdout.String(), stderr.String()}
}

// says fails the test unless what was printed matches every pattern.
func (o outcome) says(patterns ...string) {
	o.t.Helper()
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(o.stdout + o.stderr) {
			o.t.Errorf("etchtag %q: exit status %d; nothing says %q:\n%s%s", o.words, o.code, p, o.stdout, o.stderr)
		}
	}
}

// snapshot makes, with an exit status, the tag of an hour of 2026-11-22; hours from 24 on are those of later days.
func (s *scenario) snapshot(code, hour int, words ...string) outcome {
	s.t.Helper()
	return s.exits(code, append([]string{"snapshot", "--rehearse", hourAt(hour)}, words...)...)
}

// gets says what the etch server is told of a host at an hour: a path, or nothing and exit status 1.
func (s *scenario) gets(hour int, host string) string {
	s.t.Helper()
	o := s.run("nodetagger", host, "--at", hourAt(hour))
	path, found := strings.CutSuffix(o.stdout, "\n")
	if (o.code == exitDone) != found || strings.Contains(path, "\n") || o.code != exitDone && o.code != exitFailed {
		s.t.Errorf("nodetagger %s: exit status %d, %q: %s", host, o.code, o.stdout, o.stderr)
	}
	return path
}

// hourTime is the beginning of an hour, counted from that of 2026-11-22.
func hourTime(hour int) time.Time {
	return time.Date(2026, 11, 22, hour, 0, 0, 0, time.UTC)
}

func hourAt(hour int) string { return hourTime(hour).Format(time.RFC3339) }

func hourTag(hour int) string { return tag.Name(hourTime(hour)) }

// tags reads every tag that can be seen: all that stands in it, by its name.
func (s *scenario) tags() map[string]map[string]string {
	s.t.Helper()
	entries, err := os.ReadDir(s.base.Tags())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	tags := map[string]map[string]string{}
	for _, e := range entries {
		if _, err := tag.ParseName(e.Name()); err == nil && e.IsDir() {
			tags[e.Name()] = treeFiles(s.t, s.base.Dir(e.Name()))
		}
	}
	return tags
}

// same fails the test unless the tags are exactly those that they were.
func (s *scenario) same(before map[string]map[string]string) {
	s.t.Helper()
	if now := s.tags(); !maps.EqualFunc(now, before, maps.Equal[map[string]string]) {
		s.t.Errorf("the tags are %q, and were %q", now, before)
	}
}

// intact proves that tags which were there are as they were, that every tag is whole, and that nothing that a run
// leaves when it dies lies about.
func (s *scenario) intact(before map[string]map[string]string) {
	s.t.Helper()
	now := s.tags()
	for name, files := range before {
		if !maps.Equal(now[name], files) {
			s.t.Errorf("%s is %q, and was %q", name, now[name], files)
		}
	}
	if len(now) > 0 {
		s.exits(exitDone, "verify")
	}
	s.clean()
}

// clean proves that no debris lies about.
func (s *scenario) clean() {
	s.t.Helper()
	debris, err := snapshot.FindDebris(s.base)
	if err != nil || len(debris) > 0 {
		s.t.Errorf("left behind: %q %v", debris, err)
	}
}

// recovers proves that the next run succeeds without help, and puts everything in order.
func (s *scenario) recovers(hour int) {
	s.t.Helper()
	before := s.tags()
	var r snapshotJSON
	must(s.t, json.Unmarshal([]byte(s.snapshot(exitDone, hour, "--json").stdout), &r))
	for _, name := range r.Pruned {
		delete(before, name)
	}
	s.intact(before)
	if s.tags()[hourTag(hour)] == nil {
		s.t.Errorf("%s was not made", hourTag(hour))
	}
}

// status is what the program says of the base's health at an hour: whether it is well, and all findings by what they
// are about.
func (s *scenario) status(hour int) (healthy bool, says map[string]string) {
	s.t.Helper()
	o := s.run("status", "--json", "--at", hourAt(hour))
	var report struct {
		Healthy  bool
		Findings []struct{ Level, What, Says, Do string }
	}
	must(s.t, json.Unmarshal([]byte(o.stdout), &report))
	if want := map[bool]int{true: exitDone, false: exitIncomplete}[report.Healthy]; o.code != want {
		s.t.Errorf("status: exit status %d, but healthy is %v", o.code, report.Healthy)
	}
	says = map[string]string{}
	for _, f := range report.Findings {
		says[f.What] += fmt.Sprintf("%s: %s: %s\n", f.Level, f.Says, f.Do)
	}
	return report.Healthy, says
}

// statusSays fails the test unless the status has a finding that matches a pattern.
func (s *scenario) statusSays(hour int, what, pattern string) {
	s.t.Helper()
	if _, says := s.status(hour); !regexp.MustCompile(`(?m)` + pattern).MatchString(says[what]) {
		s.t.Errorf("of %s the status does not say %q, but %q", what, pattern, says)
	}
}

// needRoot skips the test unless it runs as root, which it always does in CI.
func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Geteuid() != 0 {
		skipUnlessCI(t, what+" needs root")
	}
}

// needPrograms skips the test if a program is missing, which none is in CI.
func needPrograms(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			skipUnlessCI(t, p+" is not installed")
		}
	}
}

// mount mounts a file system for the time of the test, and returns where. What the kernel cannot do is named.
func mount(t *testing.T, args ...string) string {
	t.Helper()
	needRoot(t, "mounting")
	dir := filepath.Join(openDir(t), "mount")
	must(t, os.Mkdir(dir, 0o755))
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		skipUnlessCI(t, fmt.Sprintf("mount %q: %v: %s", args, err, out))
	}
	t.Cleanup(func() { unmount(t, dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

// unmount unmounts a directory, if it still is mounted; a loop device goes with it.
func unmount(t *testing.T, dir string) {
	t.Helper()
	if exec.Command("mountpoint", "-q", dir).Run() != nil {
		return
	}
	if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
		t.Errorf("umount: %v: %s", err, out)
		_ = exec.Command("umount", "--lazy", dir).Run()
	}
}

// diskImage makes a file with a file system in it, such as "ext4".
func diskImage(t *testing.T, kind string, megabytes int64, args ...string) string {
	t.Helper()
	needRoot(t, "a file system in a loop device")
	needPrograms(t, "mkfs."+kind)
	image := filepath.Join(openDir(t), kind+".img")
	f, err := os.Create(image)
	must(t, err)
	must(t, f.Truncate(megabytes<<20))
	must(t, f.Close())
	quiet := append([]string{"-q"}, args...)
	if out, err := exec.Command("mkfs."+kind, append(quiet, image)...).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.%s: %v: %s", kind, err, out)
	}
	return image
}

// loopMount makes a file system in a file and mounts it.
func loopMount(t *testing.T, kind string, megabytes int64, args ...string) string {
	t.Helper()
	return mount(t, "-o", "loop", "-t", kind, diskImage(t, kind, megabytes, args...))
}
