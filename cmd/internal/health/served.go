package health

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
)

// markFindings passes on what could not be understood in tagstate files and in the pins file: somebody meant to say
// something. And it warns of marks on hours to come, which nobody sees until the hour is there.
func (x *Facts) markFindings(hosts *tagging.Hosts) []Finding {
	out := append(lineFindings("tagstate", hosts.States.Warnings()), lineFindings("pins", hosts.Pins.Warnings)...)
	for _, m := range x.MarksToCome {
		out = append(out, Finding{Warning, "marks", m.What, "if that is a mistake, " + m.Undo})
	}
	return out
}

// keptFindings reports lines that are to keep a tag and name none.
func (x *Facts) keptFindings() []Finding {
	if x.Kept.Err != nil {
		return []Finding{cannotSee("kept", x.Kept.Err)}
	}
	out := lineFindings("kept", x.Kept.Value.Warnings)
	for i := range out {
		out[i].Do += ", before which nothing is pruned"
	}
	return out
}

func lineFindings(what string, warnings []tagstate.Warning) []Finding {
	const most = 10
	var out []Finding
	for i, w := range warnings {
		if i == most {
			return append(out, Finding{Warning, what, fmt.Sprintf("%d more lines are wrong", len(warnings)-most), "correct them"})
		}
		out = append(out, Finding{Warning, what, w.String(), "correct the line"})
	}
	return out
}

// ringFindings says what each ring gets.
func ringFindings(m *tagging.Moment) []Finding {
	var out []Finding
	for _, ring := range m.Rings {
		f := Finding{OK, "ring " + ring.Name, "", ""}
		switch d := m.RingTag(ring); {
		case d.Failure != "":
			f.Level, f.Says = Problem, "gets nothing: "+d.Failure
			f.Do = "etchtag list shows the marks; etchtag mark good or mark clear of a tag that is right, or commit a fix and etchtag snapshot"
			if len(d.Steps) == 0 && d.Direction == tagging.Back {
				f.Do = fmt.Sprintf("it gets the first tag that is %s old; until then its hosts keep what they have",
					tag.FormatDuration(ring.Delay))
			}
		case d.BaseWhy != "":
			f.Level, f.Says = Note, fmt.Sprintf("gets %s rather than %s: %s", d.Tag(), d.BaseTag, d.BaseWhy)
		case d.Tag() != d.Nominal && len(d.Steps) > 1:
			first := d.Steps[0]
			f.Level, f.Says = Note, fmt.Sprintf("gets %s rather than %s: %s", d.Tag(), first.Tag, first.Why)
		default:
			f.Says = "gets " + d.Tag()
		}
		out = append(out, f)
	}
	return out
}

// inventoryFindings looks at what inventories said about a host that does not exist: one that fails, fails every host.
func (x *Facts) inventoryFindings() []Finding {
	var out []Finding
	for _, i := range x.Inventories {
		answer, err := i.Answer.Value, i.Answer.Err
		switch {
		case err != nil && i.Stale > 0:
			out = append(out, Finding{Problem, "inventory", err.Error(), "only hosts that were served within " +
				tag.FormatDuration(i.Stale) + " are served until this is mended"})
		case err != nil:
			out = append(out, Finding{Problem, "inventory", err.Error(), "until this is mended no host is served"})
		case len(answer.Notes) > 0:
			out = append(out, Finding{Note, "inventory", i.Name + ": " + strings.Join(answer.Notes, "; "), ""})
		default:
			out = append(out, Finding{OK, "inventory", i.Name + " answers", ""})
		}
	}
	return out
}

// pinFindings looks at the pins that decide for a host: those of the pins file, and of inventories for the others.
func (x *Facts) pinFindings(hosts *tagging.Hosts) []Finding {
	out := x.lostPins(hosts.Pins.All(), "correct or remove the line")
	if x.Pins.Err != nil {
		return append(out, Finding{Warning, "pins", "not all are known: " + x.Pins.Err.Error(),
			"until this is mended nothing is pruned"})
	}
	return append(out, x.lostPins(x.Pins.Value, "change or remove the pin there")...)
}

// lostPins are the findings for pins that lead nowhere, one for each path.
func (x *Facts) lostPins(pins []tagging.Pin, do string) []Finding {
	lost := map[string][]tagging.Pin{}
	for _, pin := range pins {
		if x.Lost[pin.Path] != nil {
			lost[pin.Path] = append(lost[pin.Path], pin)
		}
	}
	var out []Finding
	for _, path := range slices.Sorted(maps.Keys(lost)) {
		var hosts []string
		for _, pin := range lost[path] {
			hosts = append(hosts, fmt.Sprintf("%s (%s)", pin.Host, pin.From))
		}
		out = append(out, Finding{Warning, "pin",
			fmt.Sprintf("served nothing, because pinned to %q: %s: %v", path, term.Some(hosts), x.Lost[path]), do})
	}
	return out
}
