package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/runtest"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

const (
	// killLoopVariable says for how long the loop goes on, such as 1h.
	killLoopVariable = "ETCHTAG_KILLLOOP"
	// killLoopSeedVariable repeats the choices of a loop, though not what the kernel makes of them.
	killLoopSeedVariable = "ETCHTAG_KILLLOOP_SEED"
	killLoopDefault      = 2 * time.Second
	// killLoopKeep is how many hours tags are kept, and killLoopLate how late a process may come to make one.
	killLoopKeep = 8
	killLoopLate = 4
)

// TestKillLoop has several processes at once update the working copy, make tags, prune and mark them, and kills them
// at random moments, while commits arrive upstream. All the time readers compare every tag that they see with what git
// archive says of its revision, and resolvers ask for tags. In the end one normal run must put everything right.
func TestKillLoop(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	if _, err := exec.LookPath("git"); err != nil {
		skipUnlessCI(t, "git is not installed")
	}
	duration, seed := killLoopDefault, rand.Uint64()
	var err error
	if text := os.Getenv(killLoopVariable); text != "" {
		duration, err = time.ParseDuration(text)
		must(t, err)
	}
	if text := os.Getenv(killLoopSeedVariable); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		must(t, err)
	}
	t.Logf("%s for %s, %s=%d", killLoopVariable, duration, killLoopSeedVariable, seed)
	dir := openDir(t)
	upstream, err := newLivelyUpstream(dir)
	must(t, err)
	l := &killLoop{t: t, seed: seed, upstream: upstream, base: tag.Base{Path: filepath.Join(dir, "base")}}
	must(t, os.Mkdir(l.base.Path, 0o755))
	must(t, os.WriteFile(filepath.Join(l.base.Path, "etchtag.yml"), fmt.Appendf(nil,
		"working_copy: {kind: git, url: %s}\ntags: {keep: {within: %dh, last: 8}}\n", upstream.dir, killLoopKeep), 0o644))
	l.run(duration)
	l.end()
	t.Logf("%d processes, %d of them killed; %d commits; %d tags made, %d removed, and %d kept; %d comparisons by "+
		"readers; %d answers of resolvers", l.processes.Load(), l.kills.Load(), len(upstream.age), l.made.Load(), l.removed.Load(), l.kept.Load(),
		l.comparisons.Load(), l.answers.Load())
}

// killLoop is the loop and what it has come to.
type killLoop struct {
	t        *testing.T
	seed     uint64
	upstream *livelyUpstream
	base     tag.Base
	clock    killLoopClock
	stop     atomic.Bool
	first    atomic.Bool // a tag was made

	seen sync.Map // what each tag was when it was first seen: an identity by name

	processes, kills, made, removed, kept, comparisons, answers atomic.Int64
}

// killLoopStart is the hour in which a loop begins.
var killLoopStart = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// killLoopClock is the present of all. Hours pass in fractions of a second, so that a process that is kept waiting for
// its turn would live through a day: none passes while somebody works since killLoopLate, lest a tag is old enough to be
// pruned before it is made.
type killLoopClock struct {
	mu      sync.Mutex
	hour    int         // since killLoopStart
	working map[int]int // how many began in an hour and have not ended
}

func (c *killLoopClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return killLoopTime(c.hour)
}

func killLoopTime(hour int) time.Time { return killLoopStart.Add(time.Duration(hour) * time.Hour) }

// begin says in which hour somebody begins to work, and is followed by end.
func (c *killLoopClock) begin() (hour int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.working == nil {
		c.working = map[int]int{}
	}
	c.working[c.hour]++
	return c.hour
}

func (c *killLoopClock) end(hour int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.working[hour]--; c.working[hour] == 0 {
		delete(c.working, hour)
	}
}

// pass ends an hour, if that has not ended yet and nobody is late.
func (c *killLoopClock) pass(hour int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for began := range c.working {
		if hour-began >= killLoopLate {
			return
		}
	}
	if c.hour == hour {
		c.hour++
	}
}

// allHappened reports whether all has happened that the loop is about.
func (l *killLoop) allHappened() bool {
	for _, n := range []*atomic.Int64{&l.kills, &l.made, &l.comparisons, &l.answers} {
		if n.Load() == 0 {
			return false
		}
	}
	return true
}

// run lets everybody work until the time is over and everything has happened, or something is wrong.
func (l *killLoop) run(d time.Duration) {
	var all sync.WaitGroup
	for i, work := range []func(*rand.Rand){
		l.snapshot, l.snapshot, l.snapshot, l.update, l.prune, l.mark, l.keep, l.commit, l.read, l.read, l.resolve,
	} {
		random := rand.New(rand.NewPCG(l.seed, uint64(i)))
		all.Go(func() {
			for !(l.stop.Load() && l.allHappened()) && !l.t.Failed() {
				work(random)
			}
		})
	}
	timer := time.AfterFunc(d, func() { l.stop.Store(true) })
	defer timer.Stop()
	all.Wait()
}

// process runs the program. Three of four times it kills it, unless that comes to an end before, or random is nil. It
// returns the exit status, -1 if it was killed.
func (l *killLoop) process(random *rand.Rand, words ...string) (code int, stdout, stderr string) {
	self, err := os.Executable()
	if err != nil {
		l.t.Error(err)
		return -1, "", ""
	}
	var out, log bytes.Buffer
	cmd := exec.Command(self)
	cmd.Args = append([]string{"etchtag", "--base", l.base.Path}, words...)
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Start(); err != nil {
		l.t.Error(err)
		return -1, "", ""
	}
	if random != nil && random.IntN(4) > 0 {
		timer := time.AfterFunc(l.delay(random), func() { _ = cmd.Process.Kill() })
		defer timer.Stop()
	}
	err = cmd.Wait()
	l.processes.Add(1)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitDone, out.String(), log.String()
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL:
		l.kills.Add(1)
		return -1, out.String(), log.String()
	case errors.As(err, &exit):
		return exit.ExitCode(), out.String(), log.String()
	}
	l.t.Error(err)
	return -1, "", ""
}

// delay is a moment in the life of a process: mostly while it works, sometimes before it has begun.
func (l *killLoop) delay(random *rand.Rand) time.Duration {
	longest := []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond}
	return time.Duration(random.Int64N(int64(longest[random.IntN(len(longest))])))
}

// snapshot makes the tag of the present hour. Success has to be true.
func (l *killLoop) snapshot(random *rand.Rand) {
	hour := l.clock.begin()
	defer l.clock.end(hour)
	at := killLoopTime(hour)
	name := tag.Name(at)
	atLeast := l.upstream.newest()
	code, stdout, stderr := l.process(random, "snapshot", "--json", "--lock-wait", "2s", "--rehearse", at.Format(time.RFC3339))
	var r snapshotJSON
	if code == exitDone || code == exitIncomplete {
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			l.t.Errorf("snapshot says %q: %v", stdout, err)
			return
		}
	}
	switch code {
	case exitDone:
		if r.Name != name {
			l.t.Errorf("snapshot of %s says that it made %s", name, r.Name)
		}
		if !l.compare(name) {
			l.t.Errorf("snapshot says that %s is there (%s), and it is not", name, stdout)
		}
		if r.Created && (r.Stale || l.upstream.ageOf(r.Revision) < atLeast) {
			l.t.Errorf("snapshot made %s of %s, which was not the newest any more, and exits 0", name, r.Revision)
		}
	case exitIncomplete:
		l.t.Logf("snapshot %s: %s", name, stderr)
	case exitBusy, -1:
	default:
		l.t.Errorf("snapshot: exit status %d: %s", code, stderr)
	}
	if r.Created {
		l.made.Add(1)
		l.first.Store(true)
	}
	l.removed.Add(int64(len(r.Pruned)))
	if code == exitDone || random.IntN(10) == 0 {
		l.clock.pass(hour)
	}
}

func (l *killLoop) update(random *rand.Rand) {
	code, _, stderr := l.process(random, "update", "--lock-wait", "1s")
	if code != exitDone && code != exitBusy && code != -1 {
		l.t.Errorf("update: exit status %d: %s", code, stderr)
	}
}

func (l *killLoop) prune(random *rand.Rand) {
	code, stdout, stderr := l.process(random, "prune", "--json", "--lock-wait", "1s", "--rehearse", l.clock.now().Format(time.RFC3339))
	switch code {
	case exitDone:
		var plan struct{ Remove []verdictJSON }
		if err := json.Unmarshal([]byte(stdout), &plan); err != nil {
			l.t.Errorf("prune says %q: %v", stdout, err)
		}
		l.removed.Add(int64(len(plan.Remove)))
	case exitBusy, exitIncomplete, -1: // incomplete while a ring gets nothing
	default:
		l.t.Errorf("prune: exit status %d: %s", code, stderr)
	}
}

// mark marks a tag and clears that again. Nobody else marks, so that what a mark says has to be so.
func (l *killLoop) mark(random *rand.Rand) {
	name := tag.Name(l.clock.now().Add(-time.Duration(random.IntN(6)) * time.Hour))
	for _, word := range []string{"bad", "clear"} {
		for done := false; !done && !l.stop.Load() && !l.t.Failed(); {
			code, _, stderr := l.process(random, "mark", word, name, "--force", "--rehearse", l.clock.now().Format(time.RFC3339))
			got := l.stateOf(name)
			want := strings.TrimPrefix(word, "clear")
			switch {
			case code == exitDone && got != want, code == exitIncomplete && got != want:
				l.t.Errorf("mark %s %s: exit status %d, but the state is %q", word, name, code, got)
			case code != exitDone && code != exitIncomplete && code != -1:
				l.t.Errorf("mark: exit status %d: %s", code, stderr)
			}
			done = got == want
		}
	}
}

// keep keeps a tag that is about to go, and releases it again. Nobody else keeps tags, so one that is kept must stay.
func (l *killLoop) keep(random *rand.Rand) {
	name := tag.Name(l.clock.now().Add(-time.Duration(killLoopKeep+random.IntN(3)) * time.Hour))
	switch code, _, stderr := l.process(random, "keep", name, "--reason", "audit"); {
	case code == exitDone:
		l.kept.Add(1)
		l.staysKept(name)
	case code != -1 && (code != exitFailed || !strings.Contains(stderr, "there is no tag") && !strings.Contains(stderr, "is gone")):
		l.t.Errorf("keep: exit status %d: %s", code, stderr)
	}
	for code := -1; code == -1 && !l.t.Failed(); {
		var stderr string
		if code, _, stderr = l.process(random, "keep", "--release", name); code != -1 && code != exitDone {
			l.t.Errorf("keep --release: exit status %d: %s", code, stderr)
		}
	}
}

// staysKept prunes. A prune that had retired the tag, and was killed, leaves it to this one to give it back.
func (l *killLoop) staysKept(name string) {
	hour := l.clock.begin()
	defer l.clock.end(hour)
	at := killLoopTime(hour).Format(time.RFC3339)
	code, _, stderr := l.process(nil, "prune", "--lock-wait", "1m", "--rehearse", at)
	if code != exitDone && code != exitIncomplete || !l.compare(name) {
		l.t.Errorf("%s is kept; after a prune, exit status %d, it is gone: %s", name, code, stderr)
	}
}

// stateOf reads a tag's mark, and proves that the file is whole.
func (l *killLoop) stateOf(name string) string {
	f, err := tagstate.Load(filepath.Join(l.base.Path, "tagstate"), "tagstate", func(string) error { return nil })
	if err != nil || len(f.Warnings) > 0 {
		l.t.Errorf("tagstate: %v %v", f, err)
		return ""
	}
	return string(f.Entries[name].State)
}

func (l *killLoop) commit(random *rand.Rand) {
	if err := l.upstream.commit(random); err != nil {
		l.t.Error(err)
	}
	time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // others shall have the processors, too
}

// read compares every tag that can be seen.
func (l *killLoop) read(*rand.Rand) {
	entries, err := os.ReadDir(l.base.Tags())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Error(err)
	}
	for _, e := range entries {
		if _, err := tag.ParseName(e.Name()); err == nil {
			l.compare(e.Name())
		}
	}
	time.Sleep(time.Millisecond)
}

// compare compares a tag with what it must hold. It reports false if the tag is not there, or was removed meanwhile.
func (l *killLoop) compare(name string) bool {
	root, err := os.OpenRoot(l.base.Dir(name))
	if err != nil {
		return false
	}
	defer root.Close()
	header, headerErr := tag.ReadHeader(l.base.Manifest(name))
	files, err := tagFiles(root)
	opened, statErr := root.Stat(".")
	now, goneErr := os.Lstat(l.base.Dir(name))
	if errors.Is(goneErr, os.ErrNotExist) {
		return false
	}
	switch {
	case headerErr != nil || err != nil || statErr != nil || goneErr != nil:
		l.t.Errorf("%s can be seen, but: %v %v %v %v", name, headerErr, err, statErr, goneErr)
		return true
	case !os.SameFile(opened, now):
		l.t.Errorf("%s was replaced by another tag", name)
	}
	want := l.upstream.filesOf(header.Revision)
	if want == nil {
		l.t.Errorf("%s is of a revision that upstream never had: %s", name, header.Revision)
	} else if !maps.Equal(files, want) {
		l.t.Errorf("%s is not what git archive gives for %s: it has %q, not %q", name, header.Revision, files, want)
	}
	identity := fmt.Sprint(header.Revision, opened.Sys().(*syscall.Stat_t).Ino)
	if first, seen := l.seen.LoadOrStore(name, identity); seen && first != identity {
		l.t.Errorf("%s was made twice: %s, and then %s", name, first, identity)
	}
	l.comparisons.Add(1)
	return true
}

// resolve asks which tag a host gets. What is answered must be there.
func (l *killLoop) resolve(random *rand.Rand) {
	first := l.first.Load()
	host := []string{"dev1", "qa1", "prod1"}[random.IntN(3)]
	code, answer, stderr := l.ask(host)
	path := strings.TrimSuffix(answer, "\n")
	switch {
	case code == exitDone && (strings.Contains(path, "\n") || !strings.HasPrefix(path, "tags/")):
		l.t.Errorf("nodetagger %s says %q", host, answer)
	case code == exitDone && !l.compare(strings.TrimPrefix(path, "tags/")):
		// Since then an hour may have passed, or a mark been cleared, so that it could be pruned.
		if _, again, _ := l.ask(host); again == answer {
			l.t.Errorf("nodetagger %s says %s at %s and later, which is not there", host, path, l.clock.now())
		}
	case code == exitDone:
		l.answers.Add(1)
	case code != exitFailed || answer != "" || first && !strings.Contains(stderr, "no tag for"):
		l.t.Errorf("nodetagger %s: exit status %d, %q: %s", host, code, answer, stderr)
	}
	time.Sleep(time.Millisecond)
}

// ask asks which tag a host gets now.
func (l *killLoop) ask(host string) (code int, stdout, stderr string) {
	var out, log bytes.Buffer
	a := app{stdout: &out, stderr: &log, getenv: os.Getenv, now: l.clock.now}
	code = a.run([]string{"etchtag", "--base", l.base.Path, "nodetagger", host, "--at", l.clock.now().Format(time.RFC3339)})
	return code, out.String(), log.String()
}

// end proves that one normal run puts everything right and leaves nothing behind.
func (l *killLoop) end() {
	t := l.t
	l.clock.pass(l.clock.hour)
	at := l.clock.now()
	var stdout, stderr bytes.Buffer
	a := app{stdout: &stdout, stderr: &stderr, getenv: os.Getenv, now: l.clock.now}
	for _, words := range [][]string{{"snapshot", "--rehearse", at.Format(time.RFC3339)}, {"mark", "good", tag.Name(at)}} {
		if code := a.run(append([]string{"etchtag", "--base", l.base.Path}, words...)); code != exitDone {
			t.Errorf("the normal run %q: exit status %d: %s", words, code, &stderr)
		}
	}
	if !l.compare(tag.Name(at)) {
		t.Errorf("the normal run made no tag")
	}
	if header, err := tag.ReadHeader(l.base.Manifest(tag.Name(at))); err != nil {
		t.Errorf("the normal run made a tag whose manifest is damaged: %v", err)
	} else if header.Revision != l.upstream.head {
		t.Errorf("the normal run made a tag of %s, not of %s", header.Revision, l.upstream.head)
	}
	l.read(nil)
	debris, err := snapshot.FindDebris(l.base)
	if err != nil || len(debris) > 0 {
		t.Errorf("left behind: %v %v", debris, err)
	}
	for _, pattern := range []string{".*", "trunk/.git/tmp_*", "trunk/.git/objects/tmp_*", "trunk/.git/objects/pack/tmp_*",
		"trunk/.git/etchtag-tmp", "trunk/.git/etchtag-journal", "trunk/.git/*.lock", "trunk/.git.*",
		"tags/.etchtag/discarded/*"} { // nobody edited the working copy, so nothing of it may have been taken for edits
		left, err := filepath.Glob(filepath.Join(l.base.Path, pattern))
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %q %v", left, err)
		}
	}
	for _, args := range [][]string{{"status", "--porcelain"}, {"fsck", "--no-dangling", "--no-progress"}} {
		out, err := l.upstream.git(append([]string{"-C", l.base.Trunk()}, args...)...)
		if err != nil || len(out) > 0 {
			t.Errorf("git %q in the working copy: %s %v", args, out, err)
		}
	}
}
