package health

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
)

// askWho is what to do when nothing seems to run.
const askWho = "is cron, the timer or etchtag run at work?"

func (x *Facts) killswitchFinding() Finding {
	const what, do = "killswitch", "etchtag killswitch off lets the etch server serve again"
	state, err := x.Killswitch.Value, x.Killswitch.Err
	on := "on for " + term.Age(x.Now.Sub(state.Since))
	if state.Since.After(x.Now) { // the clock was set back, or is about to be
		on = "on since " + state.Since.UTC().Format(time.RFC3339) + ", which is still to come"
	}
	switch {
	case err != nil && !state.On:
		return Finding{Problem, what, err.Error(), "if it is there the etch server serves nobody"}
	case err != nil:
		return Finding{Problem, what, fmt.Sprintf("%s: %v", on, err), do}
	case state.On:
		return Finding{Problem, what, fmt.Sprintf("%s: %q", on, state.Message), do}
	}
	return Finding{OK, what, "off", ""}
}

// updateFinding says when the working copy was last brought to upstream's newest revision.
func (x *Facts) updateFinding() Finding {
	const what = "update"
	u, err, now := x.Update.Value, x.Update.Err, x.Now
	ago := fmt.Sprintf("%s ago, at %s", term.Age(now.Sub(u.Time)), term.ShortID(u.Revision))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return cannotSee(what, err)
	case err != nil:
		return Finding{Warning, what, err.Error(), "etchtag update makes it anew"}
	case u.Time.IsZero():
		return Finding{Warning, what, "the working copy has never been updated by etchtag", "etchtag update"}
	case u.Failure != "":
		f := Finding{Problem, what, fmt.Sprintf("the last one failed %s ago, and none has ever succeeded: %s",
			term.Age(now.Sub(u.Time)), u.Failure), "mend that, then etchtag update"}
		if !u.Success.IsZero() {
			f.Says = fmt.Sprintf("the last one failed %s ago, and none has succeeded for %s (at %s): %s",
				term.Age(now.Sub(u.Time)), term.Age(now.Sub(u.Success)), term.ShortID(u.Revision), u.Failure)
		}
		return f
	case u.Time.After(now.Add(time.Minute)):
		return Finding{Warning, what, "the last one is recorded at " + u.Time.UTC().Format(time.RFC3339) +
			", which is still to come", "is the clock right? then etchtag update"}
	case len(x.due(u.Time, now.Add(-x.Config.Tags.Every/2))) > 1: // each snapshot updates first, and one may be at work
		return Finding{Warning, what, "the last one was " + ago, askWho}
	}
	return Finding{OK, what, ago, ""}
}

// lockFindings says who is at work, and, if nobody is, what dead runs have left.
func (x *Facts) lockFindings() []Finding {
	var out []Finding
	for _, lock := range x.Locks {
		switch {
		case lock.Err != nil:
			out = append(out, cannotTell(lock.What, lock.Err))
		case lock.Held:
			out = append(out, heldFinding(lock.What, lock.Holder))
		case lock.Everything:
			out = append(out, Finding{OK, lock.What, "free", ""})
		}
	}
	if x.Quiet() {
		out = append(out, x.debrisFindings()...)
	}
	return out
}

// cannotTell is cannotSee for what nobody needs.
func cannotTell(what string, err error) Finding {
	f := cannotSee(what, err)
	f.Level = Note
	return f
}

func heldFinding(what string, h snapshot.LockHolder) Finding {
	if h.PID == 0 {
		return Finding{Note, what, "held by a process that cannot be seen from here, as in another container",
			"a run is at work there; wait for it"}
	}
	command := term.Printable(shorten(cmp.Or(h.Command, "unknown")))
	return Finding{Note, what, fmt.Sprintf("held by process %d (%s)", h.PID, command),
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
func (x *Facts) debrisFindings() []Finding {
	const what = "debris"
	var out []Finding
	if x.Debris.Err != nil {
		out = append(out, cannotTell(what, x.Debris.Err))
	}
	var names []string
	oldest := x.Now
	for _, d := range x.Debris.Value {
		name := term.Printable(strings.TrimPrefix(d.Path, x.Base.Work()+"/"))
		if len(d.Mounted) > 0 {
			out = append(out, Finding{Warning, what, fmt.Sprintf("%s in %s stays: something is mounted in it, at %s",
				name, x.Base.Work(), term.Printable(term.Some(d.Mounted))), "unmount that, and the next snapshot or prune sweeps it"})
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
	f := Finding{Note, what, fmt.Sprintf("dead runs have left %s in %s", term.Some(names), x.Base.Work()),
		"the next snapshot or prune sweeps it"}
	if old := x.Now.Sub(oldest); old > 2*x.Config.Tags.Every {
		f.Level, f.Says = Warning, f.Says+", and for "+term.Age(old)+" none has swept it"
		f.Do = "etchtag prune sweeps it or says why it cannot (lsattr shows what chattr has made immutable)"
	}
	return append(out, f)
}

// discardedFindings tells of what was set aside in the last day: somebody may miss it. It is no business of who may
// not read it.
func (x *Facts) discardedFindings() []Finding {
	var fresh []string
	for _, name := range x.Discarded {
		if t, _ := aside.ParseName(name); x.Now.Sub(t) < 24*time.Hour && !t.After(x.Now) {
			fresh = append(fresh, name)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	return []Finding{{Note, "discarded", "set aside in the last day: " + term.Some(fresh), "etchtag discarded shows what it is"}}
}
