package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/aside"
	"github.com/etch/etchtag/tagging"
)

// askWho is what to do when nothing seems to run.
const askWho = "is cron, the timer or etchtag run at work?"

func (s *site) killswitchFinding(now time.Time) finding {
	const what, do = "killswitch", "etchtag killswitch off lets the etch server serve again"
	state, err := tagging.Killswitch{Path: s.Base.Killswitch()}.Status()
	on := "on for " + age(now.Sub(state.Since))
	if state.Since.After(now) { // the clock was set back, or is about to be
		on = "on since " + state.Since.UTC().Format(time.RFC3339) + ", which is still to come"
	}
	switch {
	case err != nil && !state.On:
		return finding{levelProblem, what, err.Error(), "if it is there the etch server serves nobody"}
	case err != nil:
		return finding{levelProblem, what, fmt.Sprintf("%s: %v", on, err), do}
	case state.On:
		return finding{levelProblem, what, fmt.Sprintf("%s: %q", on, state.Message), do}
	}
	return finding{levelOK, what, "off", ""}
}

// updateFinding says when the working copy was last brought to upstream's newest revision.
func (s *site) updateFinding(now time.Time) finding {
	const what = "update"
	u, err := snapshot.ReadLastUpdate(s.Base)
	ago := fmt.Sprintf("%s ago, at %s", age(now.Sub(u.Time)), shortID(u.Revision))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cannotSee(what, err)
	case err != nil:
		return finding{levelWarning, what, err.Error(), "etchtag update makes it anew"}
	case u.Time.IsZero():
		return finding{levelWarning, what, "the working copy has never been updated by etchtag", "etchtag update"}
	case u.Failure != "":
		f := finding{levelProblem, what, fmt.Sprintf("the last one failed %s ago, and none has ever succeeded: %s",
			age(now.Sub(u.Time)), u.Failure), "mend that, then etchtag update"}
		if !u.Success.IsZero() {
			f.Says = fmt.Sprintf("the last one failed %s ago, and none has succeeded for %s (at %s): %s",
				age(now.Sub(u.Time)), age(now.Sub(u.Success)), shortID(u.Revision), u.Failure)
		}
		return f
	case u.Time.After(now.Add(time.Minute)):
		return finding{levelWarning, what, "the last one is recorded at " + u.Time.UTC().Format(time.RFC3339) +
			", which is still to come", "is the clock right? then etchtag update"}
	case len(s.due(u.Time, now.Add(-s.Config.Tags.Every/2))) > 1: // each snapshot updates first, and one may be at work
		return finding{levelWarning, what, "the last one was " + ago, askWho}
	}
	return finding{levelOK, what, ago, ""}
}

// procDir is where the kernel tells of processes and locks.
const procDir = "/proc"

// lockFindings says who is at work, and, if nobody is, what dead runs have left.
func (s *site) lockFindings(now time.Time) []finding {
	var out []finding
	quiet := true // nobody makes, removes or updates anything
	for _, lock := range []struct {
		what, path string
		everything bool
	}{
		{"lock", s.Base.SnapshotLock(), true},
		{"tagstate lock", s.Base.TagstateLock(), false},
	} {
		holder, held, err := snapshot.FindLockHolder(procDir, lock.path)
		switch {
		case err != nil:
			out = append(out, cannotTell(lock.what, err))
		case held:
			out = append(out, heldFinding(lock.what, holder))
		case lock.everything:
			out = append(out, finding{levelOK, lock.what, "free", ""})
		}
		quiet = quiet && err == nil && (!held || !lock.everything)
	}
	if quiet {
		out = append(out, s.debrisFindings(now)...)
	}
	return out
}

// cannotTell is cannotSee for what nobody needs.
func cannotTell(what string, err error) finding {
	f := cannotSee(what, err)
	f.Level = levelNote
	return f
}

func heldFinding(what string, h snapshot.LockHolder) finding {
	if h.PID == 0 {
		return finding{levelNote, what, "held by a process that cannot be seen from here, as in another container",
			"a run is at work there; wait for it"}
	}
	command := term.Printable(shorten(cmp.Or(h.Command, "unknown")))
	return finding{levelNote, what, fmt.Sprintf("held by process %d (%s)", h.PID, command),
		fmt.Sprintf("a run is at work; if it hangs, kill %d: nothing is lost, and the next run sweeps", h.PID)}
}

// shorten cuts what would fill the screen.
func shorten(text string) string {
	const most = 100
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}

// debrisFindings reports what dead runs have left. The next run sweeps it, so it is a warning only if none has done so
// in the time in which one should have, or if none can.
func (s *site) debrisFindings(now time.Time) []finding {
	const what = "debris"
	debris, err := snapshot.FindDebris(s.Base)
	var out []finding
	if err != nil {
		out = append(out, cannotTell(what, err))
	}
	var names []string
	oldest := now
	for _, d := range debris {
		name := term.Printable(strings.TrimPrefix(d.Path, s.Base.Work()+"/"))
		if len(d.Mounted) > 0 {
			out = append(out, finding{levelWarning, what, fmt.Sprintf("%s in %s stays: something is mounted in it, at %s",
				name, s.Base.Work(), term.Printable(term.Some(d.Mounted))), "unmount that, and the next snapshot or prune sweeps it"})
			continue
		}
		names = append(names, name)
		if d.Since.Before(oldest) {
			oldest = d.Since
		}
	}
	if len(names) == 0 {
		return out
	}
	f := finding{levelNote, what, fmt.Sprintf("dead runs have left %s in %s", term.Some(names), s.Base.Work()),
		"the next snapshot or prune sweeps it"}
	if old := now.Sub(oldest); old > 2*s.Config.Tags.Every {
		f.Level, f.Says = levelWarning, f.Says+", and for "+age(old)+" none has swept it"
		f.Do = "etchtag prune sweeps it or says why it cannot (lsattr shows what chattr has made immutable)"
	}
	return append(out, f)
}

// discardedFindings tells of what was set aside in the last day: somebody may miss it. It is no business of who may
// not read it.
func (s *site) discardedFindings(now time.Time) []finding {
	names, err := aside.Names(s.Base.Discarded())
	if err != nil {
		return nil
	}
	var fresh []string
	for _, name := range names {
		if t, _ := aside.ParseName(name); now.Sub(t) < 24*time.Hour && !t.After(now) {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return []finding{{levelNote, "discarded", "set aside in the last day: " + term.Some(fresh), "etchtag discarded shows what it is"}}
}
