package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/etch/etchtag/snapshot/runtest"
)

// moodyServer serves a scenario's upstream over HTTP, unless its mood is another.
type moodyServer struct {
	*httptest.Server
	mood atomic.Value // an http.Handler
}

func (s *scenario) serveHTTP() *moodyServer {
	s.t.Helper()
	path, err := exec.Command("git", "--exec-path").Output()
	must(s.t, err)
	m := &moodyServer{}
	m.be((&cgi.Handler{
		Path:   filepath.Join(strings.TrimSpace(string(path)), "git-http-backend"),
		Env:    []string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
		Stderr: io.Discard,
	}).ServeHTTP)
	m.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.mood.Load().(http.HandlerFunc)(w, r)
	}))
	s.t.Cleanup(m.Close)
	s.upstream = m.URL + "/up"
	return m
}

func (m *moodyServer) be(mood http.HandlerFunc) { m.mood.Store(mood) }

// hang answers nothing until the client has gone.
func hang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// upstreamTroubles are what can happen to an upstream. Each returns how it is put right.
var upstreamTroubles = []struct {
	name  string
	spoil func(s *scenario, m *moodyServer) (mend func())
	says  string
}{
	{"unreachable", func(s *scenario, m *moodyServer) func() {
		return s.withURL("http://127.0.0.1:1/up")
	}, `127\.0\.0\.1:1.*connection refused`},
	{"unknown host", func(s *scenario, m *moodyServer) func() {
		return s.withURL("http://upstream.invalid/up")
	}, `upstream\.invalid`},
	{"hung", func(s *scenario, m *moodyServer) func() { return s.impatient(m.withMood(hang)) }, `it did not finish within 1s`},
	{"hung in the middle", func(s *scenario, m *moodyServer) func() {
		return s.impatient(m.withMood(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
			fmt.Fprint(w, "001e# service=git-upload-pack\n0000")
			w.(http.Flusher).Flush()
			hang(w, r)
		}))
	}, `it did not finish within 1s`},
	{"access revoked", func(s *scenario, m *moodyServer) func() { return m.withMood(answer(http.StatusUnauthorized)) },
		`authentication required`},
	{"access forbidden", func(s *scenario, m *moodyServer) func() { return m.withMood(answer(http.StatusForbidden)) },
		`the server forbids us to read this repository`},
	{"wrong URL", func(s *scenario, m *moodyServer) func() { return s.withURL(m.URL + "/down") }, `/down: .*there is no such repository, or no right to read it`},
	{"a web page", func(s *scenario, m *moodyServer) func() {
		return m.withMood(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>Log in</html>") })
	}, `the answer is not git's protocol`},
	{"an error of the server", func(s *scenario, m *moodyServer) func() { return m.withMood(answer(http.StatusInternalServerError)) }, `500`},
	{"emptied", func(s *scenario, _ *moodyServer) func() {
		s.sh("mv up full && git init -q -b main up")
		return func() { s.sh("rm -r up && mv full up") }
	}, `empty|no branch|no commits|has no`},
	{"branch deleted", func(s *scenario, _ *moodyServer) func() {
		s.sh("git -C up branch -m main other")
		return func() { s.sh("git -C up branch -m other main") }
	}, `main`},
	{"all files deleted", func(s *scenario, _ *moodyServer) func() {
		s.sh("cd up && git rm -qr . && git commit -qm nothing")
		return func() { s.sh("cd up && git reset -q --hard HEAD~1") }
	}, `has no files at all: it is not followed`},
}

// impatient has the upstream be waited for a second only, until something else is undone.
func (s *scenario) impatient(undoOther func()) (undo func()) {
	s.configure("working_copy: {kind: git, timeout: 1s, url: \""+s.upstream+"\"}", oneRing)
	return func() {
		undoOther()
		s.configure(oneRing)
	}
}

// withURL changes where the upstream is.
func (s *scenario) withURL(url string) (undo func()) {
	old := s.upstream
	s.upstream = url
	s.configure(oneRing)
	return func() {
		s.upstream = old
		s.configure(oneRing)
	}
}

func (m *moodyServer) withMood(mood http.HandlerFunc) (undo func()) {
	old := m.mood.Load().(http.HandlerFunc)
	m.be(mood)
	return func() { m.be(old) }
}

// TestScenario10UpstreamInTrouble has each trouble come to a site with tags, and to one that begins.
func TestScenario10UpstreamInTrouble(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for _, trouble := range upstreamTroubles {
		t.Run(trouble.name, func(t *testing.T) {
			t.Parallel()
			s := newScenario(t, "", oneRing)
			m := s.serveHTTP()
			s.configure(oneRing)
			if trouble.name != "branch deleted" { // one that begins follows what there is
				mend := trouble.spoil(s, m)
				for _, words := range [][]string{{"update"}, {"snapshot", "--rehearse", hourAt(5)}} {
					s.exits(exitFailed, words...).says(trouble.says)
				}
				s.intact(nil)
				mend()
			}
			s.snapshot(exitDone, 6)
			before := s.tags()

			mend := trouble.spoil(s, m)
			s.exits(exitFailed, "update").says(trouble.says)
			s.snapshot(exitIncomplete, 7).says("^made .*, stale", trouble.says)
			if now := s.tags(); !maps.Equal(now[hourTag(7)], before[hourTag(6)]) {
				t.Errorf("the stale tag is %q", now[hourTag(7)])
			}
			s.statusSays(7, "update", trouble.says)
			s.intact(before)
			mend()
			s.recovers(8)
		})
	}
}

// isUpstream proves that a tag is what git exports of upstream's newest revision.
func (s *scenario) isUpstream(tag string) {
	s.t.Helper()
	s.sh("rm -rf want && mkdir want && git -C up -c tar.umask=0022 archive main | tar -xp -C want")
	want := treeFiles(s.t, filepath.Join(s.dir, "want"))
	delete(want, ".")
	got := s.tags()[tag]
	delete(got, ".")
	if !maps.Equal(got, want) {
		s.t.Errorf("%s is %q, and upstream %q", tag, got, want)
	}
}

// TestScenario11HistoryRewritten has upstream replace its last commit, and then go back by one.
func TestScenario11HistoryRewritten(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "", oneRing)
	s.sh("cd up && echo three >source/etc/motd && git commit -qam three")
	s.snapshot(exitDone, 6)
	before := s.tags()
	for hour, rewrite := range []string{
		"echo other >source/etc/motd && git commit -qa --amend -m other",
		"git reset -q --hard HEAD~1",
		"git checkout -q --orphan fresh && git commit -qm fresh && git branch -M fresh main",
	} {
		s.sh("cd up && " + rewrite)
		s.snapshot(exitDone, 7+hour).says("warning: .*rewritten")
		s.isUpstream(hourTag(7 + hour))
	}
	s.intact(before)
	s.snapshot(exitDone, 10)
	if o := s.run("update"); o.code != exitDone || strings.Contains(o.stderr, "rewritten") {
		t.Errorf("it is said again: %s", o.stderr)
	}
	s.recovers(11)
}

// repositoryDamages are what can happen to the working copy's repository, as commands of the shell in it. The object
// is the beginning of the error that tells what is damaged, if without upstream nothing can be published.
var repositoryDamages = []struct{ name, damage, names string }{
	{"corrupt pack", `git repack -adq; p=$(ls .git/objects/pack/*.pack); chmod u+w $p; head -c 300 /dev/zero | dd of=$p bs=1 seek=40 conv=notrunc status=none`, `[0-9a-f]{40}|pack-`},
	{"pack cut off", `git repack -adq; p=$(ls .git/objects/pack/*.pack); chmod u+w $p; truncate -s 60 $p`, `[0-9a-f]{40}|pack-`},
	{"index of a pack cut off", `git repack -adq; p=$(ls .git/objects/pack/*.idx); chmod u+w $p; truncate -s 1000 $p`, `[0-9a-f]{40}|pack-`},
	{"missing tree", `o=$(git rev-parse HEAD:source); rm .git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-)`, `[0-9a-f]{40}`},
	{"missing file", `o=$(git rev-parse HEAD:source/etc/motd); rm .git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-)`, `[0-9a-f]{40}`},
	{"empty object", `o=$(git rev-parse HEAD:source/etc/motd); f=.git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-); chmod u+w $f; truncate -s 0 $f`, `[0-9a-f]{40}`},
	{"corrupt object", `o=$(git rev-parse HEAD:source/etc/motd); f=.git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-); chmod u+w $f; printf xxxx | dd of=$f bs=1 seek=4 conv=notrunc status=none`, `[0-9a-f]{40}`},
	{"branch cut off", `truncate -s 10 .git/refs/heads/main`, ""},
	{"remote branch cut off", `truncate -s 10 .git/refs/remotes/origin/main`, ""},
	{"HEAD empty", `truncate -s 0 .git/HEAD`, ""},
	{"index cut off", `truncate -s 50 .git/index`, ""},
	{"index of zeros", `head -c 500 /dev/zero >.git/index`, ""},
	{"stale locks", `touch .git/index.lock .git/HEAD.lock .git/config.lock .git/packed-refs.lock .git/refs/heads/main.lock .git/refs/remotes/origin/main.lock .git/shallow.lock`, ""},
}

// TestScenario12DamagedRepository damages the working copy's repository, with upstream up and down.
func TestScenario12DamagedRepository(t *testing.T) {
	t.Parallel()
	runtest.Long(t)
	for _, d := range repositoryDamages {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			for _, news := range []bool{false, true} { // upstream has something new
				s := newScenario(t, "", oneRing)
				s.snapshot(exitDone, 6)
				before := s.tags()
				if news {
					s.sh("cd up && echo three >defaults.yml && git commit -qam three")
				}
				s.sh("cd base/trunk && " + d.damage)

				s.sh("mv up away")
				o := s.run("snapshot", "--rehearse", hourAt(7))
				switch {
				case o.code == exitFailed && d.names != "":
					o.says(d.names)
					s.same(before)
				case o.code == exitIncomplete && d.names == "":
					if now := s.tags(); !maps.Equal(now[hourTag(7)], before[hourTag(6)]) {
						t.Errorf("the stale tag is %q", now[hourTag(7)])
					}
				default:
					t.Errorf("without upstream: exit status %d: %s", o.code, o.stderr)
				}
				s.intact(before)
				s.sh("mv away up")

				s.recovers(8)
				s.isUpstream(hourTag(8))
				s.sh("git -C base/trunk fsck --full --strict --no-dangling && test -z \"$(git -C base/trunk status --porcelain)\"")
			}
		})
	}
}

// TestScenario13TreeChangesWhileItIsCopied has another program change the tree whenever a certain file of it is read:
// always, and then a few times.
func TestScenario13TreeChangesWhileItIsCopied(t *testing.T) {
	t.Parallel()
	s := newScenario(t, "")
	s.configure("working_copy: {kind: dir}", oneRing)
	s.sh("cp -r up base/trunk && rm -r base/trunk/.git")
	s.snapshot(exitDone, 6)
	before := s.tags()
	changes := 0
	const most = 1 << 20
	until := most
	whenOpened(t, s.path("trunk/source/etc/motd"), func() {
		if changes < until {
			changes++
			must(t, os.WriteFile(s.path("trunk/growing"), []byte(strings.Repeat("x", changes)), 0o644))
		}
	})
	s.snapshot(exitFailed, 7).says(`growing.*tried \d times`)
	if changes < 5 {
		t.Errorf("the tree was changed only %d times", changes)
	}
	s.same(before)
	s.intact(before)

	until = changes + 2
	s.snapshot(exitDone, 7)
	if changes != until {
		t.Errorf("the tree was changed %d times, not %d", changes, until)
	}
	if got, want := s.tags()[hourTag(7)], treeFiles(t, s.base.Trunk()); !maps.Equal(got, want) {
		t.Errorf("the tag is not the tree as it was in the end: %q, not %q", got, want)
	}
	s.recovers(8)
}

// whenOpened has something done whenever a process opens a file, before it gets on: the kernel asks us for permission.
func whenOpened(t *testing.T, file string, do func()) {
	t.Helper()
	needRoot(t, "fanotify")
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_CLOEXEC)
	if err == nil {
		err = unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM, unix.AT_FDCWD, file)
	}
	if err != nil {
		skipUnlessCI(t, fmt.Sprintf("the kernel has no fanotify with permissions (CONFIG_FANOTIFY_ACCESS_PERMISSIONS): %v", err))
	}
	events := os.NewFile(uintptr(fd), "fanotify")
	over := make(chan struct{})
	t.Cleanup(func() {
		events.Close()
		<-over
	})
	go func() {
		defer close(over)
		for {
			var event unix.FanotifyEventMetadata
			if err := binary.Read(events, binary.NativeEndian, &event); err != nil {
				return
			}
			do()
			err := binary.Write(events, binary.NativeEndian, unix.FanotifyResponse{Fd: event.Fd, Response: unix.FAN_ALLOW})
			_ = unix.Close(int(event.Fd))
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
}
