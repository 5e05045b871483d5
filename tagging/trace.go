package tagging

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// ErrNoTag is wrapped by the failure of a decision for which there is no acceptable tag.
var ErrNoTag = errors.New("there is no acceptable tag")

// Direction says where a decision looked for its tag.
type Direction string

const (
	Back    Direction = "back"    // from the nominal tag to older ones
	Forward Direction = "forward" // from a base tag that is badfwd to the one after it that was published first
	Pinned  Direction = "pin"     // nowhere: the host is pinned
	Bumped  Direction = "bump"    // nowhere: for the time being the host gets the working copy
)

// Decision is the answer to the question which tag a host, or a ring, gets, with everything that led to it.
type Decision struct {
	Host      string // in lower case; empty if a ring was asked about
	Ring      string
	RingWhy   string   // what made the ring take the host
	Groups    []string // the host's groups, sorted
	Delay     time.Duration
	At        time.Time // the present that the decision is for
	Nominal   string    // the tag that the ring gets if nothing is wrong
	BaseTag   string    // the tag whose state decides on the direction; empty if there is none, or for a pin
	BaseWhy   string    // what makes the base tag badfwd; empty if it is not
	RestsOn   []string  // tags besides Path without which that could be another: what they inherit decided
	Direction Direction // empty if the decision failed before there was one
	Pin       string    // the pin that decided, well or ill; empty if none did
	PinFrom   string    // where it is written
	Path      string    // what the etch server is told, relative to the base; empty on failure
	Failure   string    // Err as text
	Err       error
	Steps     []Step   // the candidates in the order in which they were tried; the last one may be taken
	Notes     []string // what else somebody who asks why should know
}

// Step is one candidate that a decision tried.
type Step struct {
	Tag       string
	State     tagstate.State // its own, or the one that it inherits
	StateFrom string         // the line that says so, "file:line", or the tag that it is inherited from
	Accepted  bool
	Why       string // why it was taken or passed over
}

// Tag returns the name of the tag that was decided on, or "" if the answer is not a tag.
func (d *Decision) Tag() string {
	dir, name := path.Split(path.Clean(d.Path))
	if dir != "tags/" || !strings.HasPrefix(name, tag.Prefix) {
		return ""
	}
	return name
}

// fail ends a decision without an answer.
func (d *Decision) fail(err error) {
	d.Path, d.Err, d.Failure = "", err, err.Error()
}

func (d *Decision) note(text string) { d.Notes = append(d.Notes, text) }
