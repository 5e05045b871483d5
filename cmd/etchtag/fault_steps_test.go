package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// faultStep is one operation of a run: the nth with its label. Where several goroutines work, its place in the
// sequence of all may vary from run to run, but not that.
type faultStep struct {
	label string
	nth   int
}

// stepAtEnd is the end of a run, after all its operations.
var stepAtEnd = faultStep{"the end", 1}

func (s faultStep) String() string { return fmt.Sprintf("%s#%d", s.label, s.nth) }

// stepOf is the step that String has written; the zero one if there is none.
func stepOf(text string) faultStep {
	at := strings.LastIndexByte(text, '#')
	if at < 0 {
		return faultStep{}
	}
	nth, _ := strconv.Atoi(text[at+1:])
	return faultStep{text[:at], nth}
}

// recorder is a hook that remembers the operations of a run, and fails some.
type recorder struct {
	fail func(s faultStep) error // nil if none is to fail

	mu    sync.Mutex
	times map[string]int
	steps []faultStep
}

func (r *recorder) step(label string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.times == nil {
		r.times = map[string]int{}
	}
	r.times[label]++
	s := faultStep{label, r.times[label]}
	r.steps = append(r.steps, s)
	if r.fail == nil {
		return nil
	}
	return r.fail(s)
}

// dieAtVariable names, in the environment of a process, the step right before which it kills itself.
const dieAtVariable = "ETCHTAG_TEST_DIE_AT"

// dieAt is a hook that kills this process right before a step.
func dieAt(at faultStep) func(label string) error {
	if at == (faultStep{}) {
		return nil
	}
	return (&recorder{fail: func(s faultStep) error {
		if s == at {
			die()
		}
		return nil
	}}).step
}

// die ends this process as the kernel ends one: nothing deferred is run.
func die() {
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// mayBeFull says of labels that take space on the disk, by how they begin. On a full disk all of them fail from
// then on, while the others, which take none or give some back, go on.
var mayBeFull = []string{"clone", "copy", "create", "cvs", "export", "link", "lock", "make", "record", "set aside",
	"settle", "svn", "take", "write"}

// mayHaveManyLinks says which labels can meet the bound on the links of a file or a directory.
var mayHaveManyLinks = []string{"link", "make", "set aside", "publish tag", "retire tag",
	"give tag back"}

// faultsOf lists the errors that an operation can have.
func faultsOf(label string) []syscall.Errno {
	if label == stepAtEnd.label {
		return nil
	}
	faults := []syscall.Errno{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, syscall.EACCES}
	if beginsWith(label, mayHaveManyLinks) {
		faults = append(faults, syscall.EMLINK)
	}
	return faults
}

func beginsWith(label string, beginnings []string) bool {
	return slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(label, b) })
}

// failAt is a fault at one step. A disk or a quota that is full stays so.
func failAt(at faultStep, fault syscall.Errno) func(s faultStep) error {
	full := false
	return func(s faultStep) error {
		if s == at {
			full = fault == syscall.ENOSPC || fault == syscall.EDQUOT
			return fault
		}
		if full && beginsWith(s.label, mayBeFull) {
			return fault
		}
		return nil
	}
}
