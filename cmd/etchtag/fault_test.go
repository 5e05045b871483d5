package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/runtest"
)

// faultsVariable asks, if it is "all", for every error that can be had at every operation of every scenario, which
// takes half an hour. Else the extent says how many are tried of each label, among all scenarios.
const faultsVariable = "ETCHTAG_FAULTS"

// TestNothingIsLostByAFaultAtAnyOperation lives through each scenario once without a fault. Then it fails the
// operations that were made, one by one, and kills the process right before each, and so right after the one before
// it. Each time there must be no partial tag, the exit status must be true, and the commands after that must succeed
// and leave what they leave without a fault.
func TestNothingIsLostByAFaultAtAnyOperation(t *testing.T) {
	t.Parallel()
	u := makeFaultUpstreams(t)
	var labs []*faultLab
	for _, s := range runtest.Pick(faultScenarios, len(faultScenarios), 8) {
		l := &faultLab{scenario: s, upstreams: u, dir: filepath.Join(u.dir, "lab", s.name)}
		l.count.labels = map[string]bool{}
		t.Run("no fault in "+s.name, l.record)
		labs = append(labs, l)
	}
	plan := planFaults(labs)
	t.Run("faults", func(t *testing.T) {
		for _, l := range labs {
			t.Run(l.scenario.name, func(t *testing.T) {
				t.Parallel()
				for _, f := range plan[l] {
					l.inject(t, f.step, f.fault)
				}
			})
		}
	})
	all := faultCount{labels: map[string]bool{}}
	for _, l := range labs {
		all.add(l.count)
	}
	t.Logf("%d operations in %d scenarios, of %d labels; %d faults injected, %d processes killed",
		all.operations, len(labs), len(all.labels), all.faults, all.kills)
	if !t.Failed() {
		checkLabelsHit(t, all.labels)
	}
}

// faultCount is what the experiments came to.
type faultCount struct {
	operations, faults, kills int
	labels                    map[string]bool
}

func (c *faultCount) add(o faultCount) {
	c.operations += o.operations
	c.faults += o.faults
	c.kills += o.kills
	maps.Copy(c.labels, o.labels)
}

// faultLab makes the experiments of one scenario, one after the other, in one directory.
type faultLab struct {
	scenario  faultScenario
	upstreams *faultUpstreams
	dir       string

	steps                []faultStep // of the run without a fault
	before, after, final faultState  // of that run
	count                faultCount
}

// record runs the scenario without a fault.
func (l *faultLab) record(t *testing.T) {
	b := l.newBase(t)
	l.before = b.state(t)
	r := &recorder{}
	if code := b.run(r, l.scenario.line...); code != exitDone {
		t.Fatalf("exit status %d: %s", code, &b.stderr)
	}
	checkDurability(t, r.steps)
	l.after = b.state(t)
	l.final = b.finish(t, "no fault")
	l.scenario.checkSurvivors(t, b, "no fault")
	l.steps = append(r.steps, stepAtEnd)
	l.count.operations = len(r.steps)
}

// plannedFault is one experiment; killed stands for the end of the process.
type plannedFault struct {
	step  faultStep
	fault syscall.Errno
}

const killed = syscall.Errno(0)

// perLabel is how many operations with one label a whole run takes at most, unless all are wanted. Others take one.
const perLabel = 4

// planFaults chooses the experiments, as faultsVariable says.
func planFaults(labs []*faultLab) map[*faultLab][]plannedFault {
	type operation struct {
		lab  *faultLab
		step faultStep
	}
	byLabel := map[string][]operation{}
	all := os.Getenv(faultsVariable) == "all"
	for _, l := range labs {
		last := map[string]int{}
		for _, s := range l.steps {
			last[s.label] = max(last[s.label], s.nth)
		}
		for _, s := range l.steps[max(0, slices.Index(l.steps, stepOf(l.scenario.from))):] {
			if all || s.nth == 1 || s.nth == last[s.label] {
				byLabel[s.label] = append(byLabel[s.label], operation{l, s})
			}
		}
	}
	plan := map[*faultLab][]plannedFault{}
	for label, operations := range byLabel {
		n := len(operations)
		switch {
		case all:
		case runtest.Asked() == runtest.Whole:
			n = min(n, perLabel)
		default:
			n = 1
		}
		for i := range n {
			// Labels differ in their length, so that not all are tried in the same scenario.
			o := operations[(i*len(operations)/n+len(label))%len(operations)]
			for _, fault := range faultsAt(label, i, n) {
				plan[o.lab] = append(plan[o.lab], plannedFault{o.step, fault})
			}
		}
	}
	return plan
}

// faultsAt are the experiments with the operation number i of n with a label: a whole run tries every error that there
// can be with each label, a sample one of them, and all of these also the end of the process; a brief run has one
// experiment for each label.
func faultsAt(label string, i, n int) []syscall.Errno {
	faults := faultsOf(label)
	if len(faults) == 0 || os.Getenv(faultsVariable) == "all" {
		return append(faults, killed)
	}
	one := faults[(len(label)+i)%len(faults)]
	switch runtest.Asked() {
	case runtest.Whole:
		some := []syscall.Errno{killed}
		for j, fault := range faults {
			if j%n == i || i%len(faults) == j {
				some = append(some, fault)
			}
		}
		return some
	case runtest.Sample:
		return []syscall.Errno{killed, one}
	}
	if len(label)%2 == 0 {
		return []syscall.Errno{killed}
	}
	return []syscall.Errno{one}
}

// inject makes one experiment in which an operation fails, or the process is killed right before it.
func (l *faultLab) inject(t *testing.T, s faultStep, fault syscall.Errno) {
	if fault == killed {
		l.kill(t, s)
		return
	}
	b := l.newBase(t)
	what := fmt.Sprintf("%v at %s", fault, s)
	r := &recorder{fail: failAt(s, fault)}
	code := b.run(r, l.scenario.line...)
	if !slices.Contains(r.steps, s) {
		t.Errorf("%s: the operation was not made: exit status %d: %s", what, code, &b.stderr)
	}
	now := b.state(t)
	if err := l.scenario.truth(l, now, code); err != nil {
		t.Errorf("%s: exit status %d: %v: %s", what, code, err, &b.stderr)
	}
	l.recover(t, b, what)
	l.count.faults++
}

// kill makes one experiment in which the process is killed right before an operation.
func (l *faultLab) kill(t *testing.T, s faultStep) {
	b := l.newBase(t)
	what := "killed before " + s.String()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Args = b.line(l.scenario.line)
	cmd.Env = append(os.Environ(), dieAtVariable+"="+s.String(), "GOGC=off")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("%s: it was not: %v: %s", what, err, out)
	}
	b.state(t) // proves that no partial tag is visible
	l.recover(t, b, what)
	l.count.kills++
}

// recover proves that the next runs put everything right.
func (l *faultLab) recover(t *testing.T, b *faultBase, what string) {
	b.stderr.Reset()
	final := b.finish(t, what)
	if err := final.equals(l.final); err != nil {
		t.Errorf("%s: the runs after that: %v", what, err)
	}
	l.scenario.checkSurvivors(t, b, what)
}

// faultBase is a base with an upstream of its own, in one experiment.
type faultBase struct {
	lab    *faultLab
	dir    string
	base   string
	stderr bytes.Buffer
}

// newBase makes the base as it is before the scenario's command.
func (l *faultLab) newBase(t *testing.T) *faultBase {
	b := &faultBase{lab: l, dir: l.dir, base: filepath.Join(l.dir, "base")}
	must(t, os.RemoveAll(l.dir))
	must(t, os.MkdirAll(b.base, 0o755))
	b.upstream(t, "one")
	l.scenario.before(t, b)
	b.stderr.Reset()
	return b
}

// line is the command line for some words.
func (b *faultBase) line(words []string) []string {
	line := []string{"etchtag", "--base", b.base}
	for _, w := range words {
		line = append(line, strings.ReplaceAll(w, "$DIR", b.dir))
	}
	return line
}

// oneCommand is held while a command runs: urfave/cli keeps the flag for help once for the whole process.
var oneCommand sync.Mutex

// run runs a command in this process and returns its exit status.
func (b *faultBase) run(r *recorder, words ...string) int {
	a := app{stdout: &bytes.Buffer{}, stderr: &b.stderr, getenv: os.Getenv, now: time.Now, step: r.step}
	oneCommand.Lock()
	defer oneCommand.Unlock()
	code := a.run(b.line(words))
	for _, s := range r.steps {
		b.lab.count.labels[s.label] = true
	}
	return code
}

// must runs a command that has to succeed.
func (b *faultBase) must(t *testing.T, words ...string) {
	t.Helper()
	if code := b.run(&recorder{}, words...); code != exitDone {
		t.Fatalf("etchtag %q: exit status %d: %s", words, code, &b.stderr)
	}
}

// settle updates until that changes nothing any more: files that are as young as the index are looked at again.
func (b *faultBase) settle(t *testing.T) {
	t.Helper()
	for range 100 {
		r := &recorder{}
		if code := b.run(r, "update"); code != exitDone {
			t.Fatalf("exit status %d: %s", code, &b.stderr)
		}
		if !slices.ContainsFunc(r.steps, func(s faultStep) bool { return s.label == "lock index" }) {
			return
		}
	}
	t.Fatal("the working copy does not settle")
}

// finish runs the scenario's command once more, and then a snapshot of a later hour, without a fault.
func (b *faultBase) finish(t *testing.T, what string) faultState {
	t.Helper()
	lines := [][]string{b.lab.scenario.line, {"snapshot", "--rehearse", faultHour(12)}}
	for _, line := range lines {
		if code := b.run(&recorder{}, line...); code != exitDone {
			t.Errorf("%s: then etchtag %q: exit status %d: %s", what, line, code, &b.stderr)
		}
	}
	s := b.state(t)
	s.files = b.files(t)
	return s
}

// upstream makes the base's upstream be in a state.
func (b *faultBase) upstream(t *testing.T, state string) {
	t.Helper()
	link := filepath.Join(b.dir, "up")
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	must(t, os.Symlink(filepath.Join(b.lab.upstreams.dir, state), link))
}

// configure writes the base's configuration; $DIR stands for the experiment's directory.
func (b *faultBase) configure(t *testing.T, lines ...string) {
	t.Helper()
	b.write(t, "etchtag.yml", strings.ReplaceAll(strings.Join(lines, "\n")+"\n", "$DIR", b.dir))
}

// write writes a file below the base.
func (b *faultBase) write(t *testing.T, path, text string) {
	t.Helper()
	path = filepath.Join(b.base, path)
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func faultHour(h int) string { return fmt.Sprintf("2026-11-22T%02d:00:00Z", h) }

func faultTag(h int) string { return fmt.Sprintf("etchautotag-20261122-%02d00", h) }
