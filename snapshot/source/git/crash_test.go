package git

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/testbed"
)

// childJob is what a child process of a test does before it is killed.
type childJob struct {
	Dir, URL, Discard string
	Clone             bool
	KillAt            int    // the step before which it is killed; -1: never
	Labels            string // the file to write the labels of all steps to, or empty
}

const childVariable = "ETCHTAG_TEST_GIT_CHILD"

// TestChildOfCrashTests is no test: it is the process that is killed.
func TestChildOfCrashTests(t *testing.T) {
	text := os.Getenv(childVariable)
	if text == "" {
		t.Skip("only for the crash tests")
	}
	var job childJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		t.Fatal(err)
	}
	steps := 0
	var labels []string
	g := New(Options{
		Dir: job.Dir, URL: job.URL, Timeout: time.Minute,
		Edits: aside.Edits{Discard: job.Discard, Now: time.Now, Step: func(label string) error {
			if steps == job.KillAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			steps++
			labels = append(labels, label)
			return nil
		}},
	})
	run := g.Update
	if job.Clone {
		run = g.Clone
	}
	if _, err := run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if job.Labels != "" {
		testbed.WriteTestFile(t, job.Labels, strings.Join(labels, "\n"))
	}
}

// stepsWorthKilling lists the steps of a job, leaving out most of those that only repeat.
func stepsWorthKilling(t *testing.T, job childJob) []int {
	t.Helper()
	job.KillAt, job.Labels = -1, filepath.Join(t.TempDir(), "labels")
	if runAndKill(t, job) {
		t.Fatal("the child was killed too early")
	}
	return worthFailing(strings.Split(testbed.ReadTestFile(t, job.Labels), "\n"))
}

// worthFailing returns the places of the first and the last step with each label.
func worthFailing(labels []string) []int {
	last := map[string]int{}
	for i, label := range labels {
		last[label] = i
	}
	var places []int
	times := map[string]int{}
	for i, label := range labels {
		if times[label]++; times[label] == 1 || last[label] == i {
			places = append(places, i)
		}
	}
	return places
}

// runAndKill runs a job in a process that is killed on the way. It returns false if the job ended before.
func runAndKill(t *testing.T, job childJob) (killed bool) {
	t.Helper()
	text, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildOfCrashTests$")
	cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		return true
	}
	t.Fatalf("the child failed: %v\n%s", err, out)
	return false
}

// crashScenes are updates with everything that they can have to do. Each prepares a working copy whose
// next update is the one to be killed.
var crashScenes = []struct {
	name      string
	transport int // its place in transports
	stage     func(r *gittest.TestRepo, c *workingCopy)
}{
	{"a few objects", 2, func(r *gittest.TestRepo, _ *workingCopy) { r.Grow(2) }},
	{"many objects", 0, func(r *gittest.TestRepo, _ *workingCopy) {
		for i := range object.LooseLimit + 5 {
			r.Write(fmt.Sprintf("many/%d", i), fmt.Sprintln("content", i))
		}
		r.Commit("many")
	}},
	{"rewritten", 2, func(r *gittest.TestRepo, _ *workingCopy) {
		r.Git("reset", "-q", "--hard", "HEAD~2")
		r.Grow(1)
	}},
	{"damaged", 0, func(r *gittest.TestRepo, c *workingCopy) {
		r.Grow(1)
		c.cutOff(".git/refs/remotes/origin/main", 7)
	}},
	{"local edits", 0, func(r *gittest.TestRepo, c *workingCopy) {
		r.Grow(1)
		c.put("defaults.yml", "edited\n")
		c.put("untracked/file", "new\n")
	}},
}

func TestUpdateKilledAtAnyStepIsMadeGoodByTheNext(t *testing.T) {
	t.Parallel()
	for _, scene := range runtest.Pick(crashScenes, len(crashScenes), 1) {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(4)
			url, change := transports[scene.transport].serve(t, r)
			original := cloned(t, url, change)
			before := r.Git("rev-parse", "main")
			scene.stage(r, original)
			dry := original.copied()
			steps := runtest.Pick(stepsWorthKilling(t, childJob{Dir: dry.dir, URL: url, Discard: dry.o.Discard}), 8, 3)
			for _, step := range steps {
				c := original.copied()
				if !runAndKill(t, childJob{Dir: c.dir, URL: url, Discard: c.o.Discard, KillAt: step}) {
					t.Errorf("step %d was not reached", step)
				}
				rev, err := c.Current(context.Background())
				if err == nil {
					exportAll(t, c, rev)
				} else if scene.name != "damaged" {
					t.Errorf("killed at step %d: Current: %v", step, err)
				}
				out := c.update()
				c.is(r, "main")
				said := strings.Join(out.Warnings, "\n")
				if scene.name == "rewritten" && rev.ID == before && !out.Rewritten {
					t.Errorf("killed at step %d: the rewriting is not said: %+v", step, out)
				}
				if scene.name != "local edits" && out.Discarded != "" {
					t.Errorf("killed at step %d: set aside as local edits: %s", step, out.Discarded)
				}
				if strings.Contains(said, "local commits") {
					t.Errorf("killed at step %d: %q", step, said)
				}
			}
			t.Logf("killed at %d steps", len(steps))
		})
	}
}

// copied returns a copy of the working copy in a directory of its own.
func (c *workingCopy) copied() *workingCopy {
	c.t.Helper()
	base := c.t.TempDir()
	dir := filepath.Join(base, "trunk")
	if out, err := exec.Command("cp", "-a", c.dir, dir).CombinedOutput(); err != nil {
		c.t.Fatalf("cp: %v\n%s", err, out)
	}
	copied := c.with(func(o *Options) { o.Dir, o.Discard = dir, filepath.Join(base, "discarded") })
	copied.dir = dir
	return copied
}

func TestCloneKilledAtAnyStepLeavesNoHalfAWorkingCopy(t *testing.T) {
	t.Parallel()
	for _, place := range runtest.Pick([]int{0, 2}, 2, 1) {
		transport := transports[place]
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(3)
			url, change := transport.serve(t, r)
			dry := newWorkingCopy(t, url)
			steps := runtest.Pick(stepsWorthKilling(t, childJob{Dir: dry.dir, URL: url, Discard: dry.o.Discard, Clone: true}), 8, 3)
			for _, step := range steps {
				c := newWorkingCopy(t, url, change)
				if !runAndKill(t, childJob{Dir: c.dir, URL: url, Discard: c.o.Discard, KillAt: step, Clone: true}) {
					t.Errorf("step %d was not reached", step)
				}
				if disk.Exists(c.dir) { // only the directory above was still to be synced
					c.is(r, "main")
					if out := c.update(); out.Changed > 0 || out.Discarded != "" {
						t.Errorf("killed at step %d: the working copy was not whole: %+v", step, out)
					}
				} else if _, err := c.Clone(context.Background()); err != nil {
					t.Fatalf("killed at step %d: the next clone: %v", step, err)
				}
				c.is(r, "main")
				if left, _ := os.ReadDir(filepath.Dir(c.dir)); len(left) != 1 {
					t.Errorf("killed at step %d: left %v", step, left)
				}
			}
			t.Logf("killed at %d steps", len(steps))
		})
	}
}

func TestStepThatFailsFailsTheUpdateAndIsMadeGoodByTheNext(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, scene := range runtest.Pick(crashScenes, len(crashScenes), 2) {
		t.Run(scene.name, func(t *testing.T) {
			t.Parallel()
			r := gittest.NewTestRepo(t)
			r.Grow(4)
			original := cloned(t, r.Dir)
			scene.stage(r, original)
			var labels []string
			dry := original.copied().with(func(o *Options) {
				o.Step = func(label string) error {
					labels = append(labels, label)
					return nil
				}
			})
			dry.update()
			for _, fail := range runtest.Pick(worthFailing(labels), 8, 3) {
				steps, failed := 0, ""
				c := original.copied()
				failing := c.with(func(o *Options) {
					o.Step = func(label string) error {
						if steps++; steps == fail+1 {
							failed = label
							return boom
						}
						return nil
					}
				})
				_, err := failing.Update(context.Background())
				if err != nil && !errors.Is(err, boom) {
					t.Fatalf("failing %q: %v", failed, err)
				}
				if err == nil && !strings.HasPrefix(failed, "remove") && !strings.HasPrefix(failed, "unlink") {
					t.Errorf("failing %q went unnoticed", failed)
				}
				c.update()
				c.is(r, "main")
			}
		})
	}
}
