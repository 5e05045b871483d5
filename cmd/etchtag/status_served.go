package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// markFindings passes on what could not be understood in tagstate files and in the pins file: somebody meant to say
// something. And it warns of marks on hours to come, which nobody sees until the hour is there.
func (s *site) markFindings(hosts *tagging.Hosts) []finding {
	out := append(lineFindings("tagstate", hosts.States.Warnings()), lineFindings("pins", hosts.Pins.Warnings)...)
	for _, g := range s.marksToCome(hosts.States, hosts.Now()) {
		out = append(out, finding{levelWarning, "marks", g.what, "if that is a mistake, " + g.undo})
	}
	return out
}

// keptFindings reports lines that are to keep a tag and name none.
func (s *site) keptFindings() []finding {
	kept, err := tagging.LoadKept(s.Base.Kept())
	if err != nil {
		return []finding{cannotSee("kept", err)}
	}
	out := lineFindings("kept", kept.Warnings)
	for i := range out {
		out[i].Do += ", before which nothing is pruned"
	}
	return out
}

func lineFindings(what string, warnings []tagstate.Warning) []finding {
	const most = 10
	var out []finding
	for i, w := range warnings {
		if i == most {
			return append(out, finding{levelWarning, what, fmt.Sprintf("%d more lines are wrong", len(warnings)-most), "correct them"})
		}
		out = append(out, finding{levelWarning, what, w.String(), "correct the line"})
	}
	return out
}

// ringFindings says what each ring gets.
func ringFindings(m *tagging.Moment) []finding {
	var out []finding
	for _, ring := range m.Rings {
		f := finding{levelOK, "ring " + ring.Name, "", ""}
		switch d := m.RingTag(ring); {
		case d.Failure != "":
			f.Level, f.Says = levelProblem, "gets nothing: "+d.Failure
			f.Do = "etchtag list shows the marks; etchtag mark good or mark clear of a tag that is right, or commit a fix and etchtag snapshot"
			if len(d.Steps) == 0 && d.Direction == tagging.Back {
				f.Do = fmt.Sprintf("it gets the first tag that is %s old; until then its hosts keep what they have",
					tag.FormatDuration(ring.Delay))
			}
		case d.BaseWhy != "":
			f.Level, f.Says = levelNote, fmt.Sprintf("gets %s rather than %s: %s", d.Tag(), d.BaseTag, d.BaseWhy)
		case d.Tag() != d.Nominal && len(d.Steps) > 1:
			first := d.Steps[0]
			f.Level, f.Says = levelNote, fmt.Sprintf("gets %s rather than %s: %s", d.Tag(), first.Tag, first.Why)
		default:
			f.Says = "gets " + d.Tag()
		}
		out = append(out, f)
	}
	return out
}

// inventoryFindings asks every inventory about a host that does not exist: one that fails, fails every host.
func (s *site) inventoryFindings(ctx context.Context, hosts *tagging.Hosts) []finding {
	var out []finding
	for i, inv := range hosts.Inventories {
		answer, err := inv.Lookup(ctx, "host.invalid")
		switch stale := s.Config.Inventory[i].Stale; {
		case err != nil && stale > 0:
			out = append(out, finding{levelProblem, "inventory", err.Error(), "only hosts that were served within " +
				tag.FormatDuration(stale) + " are served until this is mended"})
		case err != nil:
			out = append(out, finding{levelProblem, "inventory", err.Error(), "until this is mended no host is served"})
		case len(answer.Notes) > 0:
			out = append(out, finding{levelNote, "inventory", inv.Name() + ": " + strings.Join(answer.Notes, "; "), ""})
		default:
			out = append(out, finding{levelOK, "inventory", inv.Name() + " answers", ""})
		}
	}
	return out
}

// pinFindings looks at the pins that decide for a host: those of the pins file, and of inventories for the others.
func (s *site) pinFindings(ctx context.Context, hosts *tagging.Hosts) []finding {
	out := s.lostPins(hosts.Pins.All(), "correct or remove the line")
	pins, err := s.inventoryPins(ctx, hosts)
	if err != nil {
		return append(out, finding{levelWarning, "pins", "not all are known: " + err.Error(),
			"until this is mended nothing is pruned"})
	}
	return append(out, s.lostPins(pins, "change or remove the pin there")...)
}

// lostPins finds the pins that lead nowhere. The same path is looked at once, however many hosts are pinned to it.
func (s *site) lostPins(pins []tagging.Pin, do string) []finding {
	wrong := map[string]error{}
	lost := map[string][]tagging.Pin{}
	for _, pin := range pins {
		err, known := wrong[pin.Path]
		if !known {
			err = pin.Check(s.Base)
			wrong[pin.Path] = err
		}
		if err != nil {
			lost[pin.Path] = append(lost[pin.Path], pin)
		}
	}
	var out []finding
	for _, path := range slices.Sorted(maps.Keys(lost)) {
		var hosts []string
		for _, pin := range lost[path] {
			hosts = append(hosts, fmt.Sprintf("%s (%s)", pin.Host, pin.From))
		}
		out = append(out, finding{levelWarning, "pin",
			fmt.Sprintf("served nothing, because pinned to %q: %s: %v", path, term.Some(hosts), wrong[path]), do})
	}
	return out
}

// inventoryPins returns the pins of inventories, but for those of hosts for which another comes first. Etch's own files
// and nodegroupers know no pins, and are not asked: they may list a million hosts.
func (s *site) inventoryPins(ctx context.Context, hosts *tagging.Hosts) ([]tagging.Pin, error) {
	var pins []tagging.Pin
	decided := map[string]bool{}
	for i, inv := range hosts.Inventories {
		lister, ok := inv.(inventory.Lister)
		if !ok || !s.Kinds[s.Config.Inventory[i].Kind].Pins {
			continue
		}
		err := lister.Hosts(ctx, func(host string, a inventory.Answer) bool {
			if _, first := hosts.Pins.Get(host); a.Pin == "" || first || decided[host] {
				return true
			}
			pin := tagging.Pin{Host: host, Path: a.Pin, From: a.PinFrom}
			decided[host] = !pin.IsBump() // one that means nothing leaves it to the next
			pins = append(pins, pin)
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list the hosts of inventory %s: %w", inv.Name(), err)
		}
	}
	slices.SortStableFunc(pins, func(a, b tagging.Pin) int { return strings.Compare(a.Host, b.Host) })
	return pins, nil
}
