package tagging_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagstate"
	"pgregory.net/rapid"
)

// A world is everything that a ring's tag depends on, but the ring and the time.
type world struct {
	every time.Duration
	tags  []worldTag
	files [][]worldMark
}

type worldTag struct {
	name      string
	tree      string // empty: no manifest
	published time.Time
}

type worldMark struct{ tag, word string }

// resolver is the real thing for the world.
func (w world) resolver(t fataler) *tagging.Resolver {
	cadence, err := tagging.NewCadence(w.every)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var tags []*tagging.Tag
	for _, wt := range w.tags {
		tag, err := tagging.NewTag(wt.name, false, func() (*tagging.Header, bool, error) {
			return &tagging.Header{Name: wt.name, Tree: wt.tree, Published: wt.published}, wt.tree != "", nil
		})
		if err != nil {
			t.Fatalf("%v", err)
		}
		tags = append(tags, tag)
	}
	var files []*tagstate.File
	for i, marks := range w.files {
		var text strings.Builder
		for _, m := range marks {
			fmt.Fprintf(&text, "%s %s\n", m.tag, m.word)
		}
		files = append(files, tagstate.Parse(fmt.Sprintf("file%d", i), []byte(text.String()), cadence.Valid))
	}
	return &tagging.Resolver{Cadence: cadence, States: tagstate.Merge(files...), Index: tagging.NewIndex(tags...)}
}

type fataler interface{ Fatalf(string, ...any) }

// An answer is the part of a decision on which the naive resolver has an opinion.
type answer struct{ nominal, base, direction, path string }

func answerOf(d *tagging.Decision) answer {
	return answer{d.Nominal, d.BaseTag, string(d.Direction), d.Path}
}

// naive is a second resolver, written from the rules alone: slow, and without any of the real one's helpers.
type naive struct {
	world
	own map[string]string // the word that counts, by tag
}

func newNaive(w world) naive {
	n := naive{w, map[string]string{}}
	for _, marks := range w.files {
		inThisFile := map[string]string{}
		for _, m := range marks {
			if n.aligned(m.tag) {
				inThisFile[m.tag] = m.word
			}
		}
		for tag, word := range inThisFile {
			switch before, said := n.own[tag]; {
			case !said, word == "bad", word == "badfwd":
				n.own[tag] = word
			case before == "bad", before == "badfwd":
			case before == "good":
				n.own[tag] = word
			case word != "good":
				n.own[tag] = word
			}
		}
	}
	return n
}

func (n naive) when(name string) time.Time {
	var year, month, day, hour, minute int
	if _, err := fmt.Sscanf(name, "etchautotag-%4d%2d%2d-%2d%2d", &year, &month, &day, &hour, &minute); err != nil {
		panic(err)
	}
	return time.Date(year, time.Month(month), day, hour, minute, 0, 0, time.UTC)
}

// floor counts up from midnight.
func (n naive) floor(t time.Time) time.Time {
	t = t.UTC()
	f := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	for !f.Add(n.every).After(t) {
		f = f.Add(n.every)
	}
	return f
}

func (n naive) aligned(name string) bool { return n.floor(n.when(name)).Equal(n.when(name)) }

func (n naive) stamp(t time.Time) string {
	return fmt.Sprintf("etchautotag-%04d%02d%02d-%02d%02d", t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute())
}

// state is a tag's own word, or "bad" or "badfwd" if it inherits that.
func (n naive) state(name string) string {
	if word, ok := n.own[name]; ok {
		return word
	}
	state, newest := "", ""
	for _, t := range n.tags {
		if t.name != name || t.tree == "" {
			continue
		}
		for _, other := range n.tags {
			if word := n.own[other.name]; (word == "bad" || word == "badfwd") && other.tree == t.tree && other.name > newest {
				state, newest = word, other.name
			}
		}
	}
	return state
}

func (n naive) ask(ring tagging.Ring, now time.Time) answer {
	nominal := n.floor(now.Add(-ring.Delay))
	base := ""
	consider := func(name string) {
		if n.aligned(name) && !n.when(name).After(nominal) && name > base {
			base = name
		}
	}
	for _, t := range n.tags {
		consider(t.name)
	}
	for name := range n.own {
		consider(name)
	}
	a := answer{nominal: n.stamp(nominal), base: base, direction: "back"}
	if base != "" && n.state(base) == "badfwd" {
		a.direction = "forward"
	}
	best := ""
	for _, t := range n.tags {
		state := n.state(t.name)
		acceptable := state == "good" || state == "" && !ring.RequireGood
		if !acceptable || !n.aligned(t.name) || n.when(t.name).After(now) {
			continue
		}
		if a.direction == "forward" {
			if t.name > base && (best == "" || t.name < best) {
				best = t.name
			}
			continue
		}
		published := n.when(t.name)
		if t.tree != "" {
			published = t.published
		}
		soaked := !published.After(now.Add(-ring.Delay))
		if soaked && !n.when(t.name).After(nominal) && t.name > best {
			best = t.name
		}
	}
	if best != "" {
		a.path = "tags/" + best
	}
	return a
}

// worldStart is the oldest time at which something happens in drawn worlds: late in the day, so that they
// reach over midnight.
var worldStart = time.Date(2026, 2, 28, 18, 0, 0, 0, time.UTC)

// worldHours is how long drawn worlds last.
const worldHours = 12

func drawWorld(t *rapid.T) world {
	w := world{every: rapid.SampledFrom([]time.Duration{
		time.Hour, time.Hour, time.Hour, 30 * time.Minute, 20 * time.Minute, 2 * time.Hour, 3 * time.Hour,
	}).Draw(t, "every")}
	var names []string
	for at := worldStart; at.Before(worldStart.Add(worldHours * time.Hour)); at = at.Add(w.every) {
		names = append(names, tagging.Name(at))
	}
	for range rapid.IntRange(0, 2).Draw(t, "unaligned") {
		odd := rapid.IntRange(0, worldHours*60-1).Draw(t, "minute")
		names = append(names, tagging.Name(worldStart.Add(time.Duration(odd)*time.Minute)))
	}
	seen := map[string]bool{}
	for i, name := range names {
		if !seen[name] && rapid.IntRange(0, 4).Draw(t, fmt.Sprintf("gap %d", i)) > 0 {
			w.tags = append(w.tags, drawTag(t, name))
		}
		seen[name] = true
	}
	for range 2 {
		w.files = append(w.files, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) worldMark {
			return worldMark{rapid.SampledFrom(names).Draw(t, "tag"),
				rapid.SampledFrom([]string{"good", "bad", "bad", "badfwd", "badfwd", "BAD", "broken"}).Draw(t, "word")}
		}), 0, 5).Draw(t, "file"))
	}
	return w
}

func drawTag(t *rapid.T, name string) worldTag {
	at, err := tagging.ParseName(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return worldTag{name: name,
		tree: rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f", "g"}).Draw(t, "tree"),
		published: at.Add(rapid.SampledFrom([]time.Duration{
			0, 5 * time.Second, 5 * time.Second, 20 * time.Minute, 90 * time.Minute, 7 * time.Hour,
		}).Draw(t, "late"))}
}

func drawRing(t *rapid.T) tagging.Ring {
	return tagging.Ring{
		Name:        "drawn",
		Delay:       time.Duration(rapid.IntRange(0, 20).Draw(t, "delay")) * 15 * time.Minute,
		RequireGood: rapid.IntRange(0, 5).Draw(t, "require good") == 0,
	}
}

func drawTime(t *rapid.T, label string) time.Time {
	minutes := rapid.IntRange(-60, (worldHours+6)*60).Draw(t, label)
	seconds := rapid.SampledFrom([]int{0, 0, 1, 5, 59}).Draw(t, "seconds")
	zone := rapid.SampledFrom([]*time.Location{time.UTC, time.FixedZone("", -8*3600), time.FixedZone("", 5*3600+1800)}).
		Draw(t, "zone")
	return worldStart.Add(time.Duration(minutes)*time.Minute + time.Duration(seconds)*time.Second).In(zone)
}
