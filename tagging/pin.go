package tagging

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/etch/etchtag/tagstate/lines"
)

// Pin is a path fixed for one host.
type Pin struct {
	Host string // in lower case
	Path string // relative to the base, or a bump
	From string // where it is written: "file:line", or what an inventory says
}

// Pins is what the pins file says. A nil Pins says nothing.
type Pins struct {
	Warnings []tagstate.Warning // in the order of the lines

	byHost map[string]Pin
}

// LoadPins reads the pins file at path: "HOST PATH" a line, in the grammar of tagstate. The last line of a
// host counts. A line without a path is a pin that fails, because somebody meant to pin that host. A file that
// is absent has no pins; one that cannot be read is an error.
func LoadPins(path string) (*Pins, error) {
	data, err := lines.Read(path)
	if err != nil {
		return nil, err
	}
	return parsePins(path, data), nil
}

func parsePins(path string, data []byte) *Pins {
	p := &Pins{byHost: make(map[string]Pin)}
	for line := range lines.Lines(data) {
		at := tagstate.Position{File: filepath.Base(path), Line: line.Number}
		if err := ValidateHost(line.Key); err != nil {
			p.Warnings = append(p.Warnings, tagstate.Warning{Position: at, Message: err.Error()})
			continue
		}
		host := strings.ToLower(line.Key)
		p.byHost[host] = Pin{Host: host, Path: line.Value, From: at.String()}
	}
	return p
}

// Get returns the pin of a host, if it has one.
func (p *Pins) Get(host string) (Pin, bool) {
	if p == nil {
		return Pin{}, false
	}
	pin, ok := p.byHost[strings.ToLower(host)]
	return pin, ok
}

// All returns the pins, sorted by host.
func (p *Pins) All() []Pin {
	if p == nil {
		return nil
	}
	return slices.SortedFunc(maps.Values(p.byHost), func(a, b Pin) int { return cmp.Compare(a.Host, b.Host) })
}

// bumpPrefix is what a bump begins with, whatever the name of the working copy.
const bumpPrefix = "trunk-"

// IsBump reports whether the pin has the form of a bump, trunk-YYYYMMDD-HHMM: a pin to the working copy that
// ends by itself.
func (p Pin) IsBump() bool {
	stamp, ok := strings.CutPrefix(p.Path, bumpPrefix)
	if !ok || len(stamp) != len(tag.StampFormat) {
		return false
	}
	for i := range len(stamp) {
		digit := '0' <= stamp[i] && stamp[i] <= '9'
		if dash := tag.StampFormat[i] == '-'; dash != (stamp[i] == '-') || !dash && !digit {
			return false
		}
	}
	return true
}

// stamp is the time of a bump.
func (p Pin) stamp() (time.Time, error) {
	stamp := strings.TrimPrefix(p.Path, bumpPrefix)
	t, ok := tag.ParseStamp(stamp)
	if !ok {
		return time.Time{}, fmt.Errorf("%s is no date and time", stamp)
	}
	return t, nil
}

// Check returns an error if the pin leads nowhere, whatever the time.
func (p Pin) Check(base tag.Base) error {
	if !p.IsBump() {
		return base.CheckPath(p.Path)
	}
	_, err := p.stamp()
	return err
}

// bumped reports whether a bump holds at now for a host whose ring has that delay: while now - delay <
// stamp <= now. If it does not, why says so.
func (p Pin) bumped(now time.Time, delay time.Duration) (holds bool, why string, err error) {
	stamp, err := p.stamp()
	switch {
	case err != nil:
		return false, "", err
	case stamp.After(now):
		return false, "has not begun yet", nil
	case !stamp.After(now.Add(-delay)):
		return false, "is over", nil
	}
	return true, "", nil
}
