// Package health says whether all is well with a base: from what was seen of it to findings, each with what to do.
//
// It reads nothing and asks nobody, but for manifests, which a resolver reads when they are wanted: who calls it has
// gathered the facts. What could not be seen is a fact, too.
package health

import (
	"cmp"
	"io/fs"
	"slices"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
)

// Facts are what was seen of a base at one time.
type Facts struct {
	Now    time.Time
	Base   tag.Base
	Config *config.Config

	Killswitch Seen[tagging.KillswitchState]
	Nodetagger Program
	Update     Seen[snapshot.LastUpdate]
	Locks      []Lock
	Debris     Seen[[]snapshot.Debris] // if it is quiet
	Files      []File                  // those whose writers decide what clients get; not those that are absent
	Replaced   []string                // what stands in the places of our directories
	Discarded  []string                // the names of what was set aside, if that may be known
	Kept       Seen[tagging.Kept]

	Hosts Seen[*tagging.Hosts] // if it is an error, what follows is not known

	Capacity    Seen[staged.Capacity]
	MarksToCome []MarksToCome
	Inventories []Inventory
	Pins        Seen[[]tagging.Pin] // of inventories, for hosts for which no other comes first
	Lost        map[string]error    // why the path of a pin leads nowhere
}

// Seen is what was seen, or why it could not be.
type Seen[T any] struct {
	Value T
	Err   error
}

// See makes one.
func See[T any](value T, err error) Seen[T] { return Seen[T]{value, err} }

// File is a file or a directory. What counts is what a link of its name leads to.
type File struct {
	Path string
	Mode fs.FileMode
	Err  error
}

// Program is BASE/nodetagger.
type Program struct {
	File    File
	Version Seen[string] // an error: it is no program of ours
	Ours    string       // the version of this program
	Lacks   string       // what it needs for this configuration and does not find
}

// Lock is one of a base's locks.
type Lock struct {
	What       string
	File       File
	Everything bool // who holds it makes, removes or updates something
	Holder     snapshot.LockHolder
	Held       bool
	Err        error // it could not be seen who holds it
}

// Quiet reports whether it is sure that nobody makes, removes or updates anything.
func (x *Facts) Quiet() bool {
	return !slices.ContainsFunc(x.Locks, func(l Lock) bool { return l.Err != nil || l.Held && l.Everything })
}

// MarksToCome is what one file says of hours to come.
type MarksToCome struct {
	What string
	Undo string // how to take it back
}

// Inventory is what one of the inventories said about a host that does not exist.
type Inventory struct {
	Name   string
	Stale  time.Duration // for how long an older answer serves
	Answer Seen[inventory.Answer]
}

// Findings judges everything, the worst first. There is at least one.
func (x *Facts) Findings() []Finding {
	out := x.findings()
	slices.SortStableFunc(out, func(a, b Finding) int { return cmp.Compare(b.Level, a.Level) })
	return out
}

func (x *Facts) findings() []Finding {
	out := []Finding{x.killswitchFinding(), x.nodetaggerFinding(), x.updateFinding()}
	out = append(out, x.lockFindings()...)
	out = append(out, x.accessFindings()...)
	out = append(out, x.discardedFindings()...)
	out = append(out, x.keptFindings()...)
	if x.Hosts.Err != nil {
		return append(out, Finding{Problem, "resolver", x.Hosts.Err.Error(), "until this is mended no client is served"})
	}
	hosts := x.Hosts.Value
	out = append(out, x.spaceFindings()...)
	out = append(out, x.tagFindings(hosts.Moment)...)
	out = append(out, x.markFindings(hosts)...)
	out = append(out, ringFindings(hosts.Moment)...)
	out = append(out, x.inventoryFindings()...)
	return append(out, x.pinFindings(hosts)...)
}
