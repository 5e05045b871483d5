package tagging_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagging/tag/tagtest"
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
	marked    bool // says the manifest
}

func (wt worldTag) header() *tag.Header {
	return &tag.Header{Name: wt.name, Tree: wt.tree, Published: wt.published, Marked: wt.marked}
}

type worldMark struct{ tag, word string }

// resolver is the real thing for the world.
func (w world) resolver(t tagtest.Fataler) *tagging.Resolver {
	cadence, err := tag.NewCadence(w.every)
	if err != nil {
		t.Fatalf("%v", err)
	}
	var tags []*tag.Tag
	for _, wt := range w.tags {
		tag, err := tag.New(wt.name, false, func() (*tag.Header, bool, error) {
			return wt.header(), wt.tree != "", nil
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
	return &tagging.Resolver{Cadence: cadence, States: tagstate.Merge(files...), Index: tag.NewIndex(tags...)}
}

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
	inherited := map[string]bool{}
	for _, t := range n.tags {
		for _, other := range n.tags {
			same := t.name == name && t.tree != "" && other.tree == t.tree
			if same && (!other.marked || t.published.After(other.published)) {
				inherited[n.own[other.name]] = true
			}
		}
	}
	for _, word := range []string{"badfwd", "bad"} {
		if inherited[word] {
			return word
		}
	}
	return ""
}

func (n naive) acceptable(t worldTag, ring tagging.Ring) bool {
	state := n.state(t.name)
	return n.aligned(t.name) && (state == "good" || state == "" && !ring.RequireGood)
}

// published is the time that the name says where there is no manifest.
func (n naive) published(t worldTag) time.Time {
	if t.tree == "" {
		return n.when(t.name)
	}
	return t.published
}

func (n naive) ask(ring tagging.Ring, now time.Time) answer {
	nominal := n.floor(now.Add(-ring.Delay))
	a := answer{nominal: n.stamp(nominal), direction: "back"}
	bases := n.bases(ring, now)
	if len(bases) == 0 {
		return a
	}
	a.base = bases[0]
	if n.state(a.base) != "badfwd" {
		a.path = "tags/" + a.base
		return a
	}
	if a.path = n.forward(ring, a.base, n.stamp(now.UTC()), now); a.path != "" || n.state(n.newest(nominal, now)) != "bad" {
		a.direction = "forward"
		return a
	}
	for i, base := range bases[1:] {
		if n.state(base) != "badfwd" {
			a.path = "tags/" + base
		} else {
			a.path = n.forward(ring, base, bases[i], now)
		}
		if a.path != "" {
			break
		}
	}
	return a
}

// bases are all names that could be a base tag, newest first.
func (n naive) bases(ring tagging.Ring, now time.Time) []string {
	found := map[string]bool{}
	for name, word := range n.own {
		found[name] = word == "badfwd"
	}
	for _, t := range n.tags {
		soaked := !n.published(t).After(now.Add(-ring.Delay))
		if soaked && n.aligned(t.name) && (n.acceptable(t, ring) || n.state(t.name) == "badfwd") {
			found[t.name] = true
		}
	}
	var names []string
	for name, is := range found {
		if is && !n.when(name).After(n.floor(now.Add(-ring.Delay))) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names
}

// forward is the acceptable tag that was there first of those after one name and up to another.
func (n naive) forward(ring tagging.Ring, after, upTo string, now time.Time) string {
	best, bestSince := "", time.Time{}
	for _, t := range n.tags {
		since := n.published(t)
		if since.Before(n.when(t.name)) {
			since = n.when(t.name)
		}
		if t.name <= after || t.name > upTo || since.After(now) || !n.acceptable(t, ring) {
			continue
		}
		if best == "" || since.Before(bestSince) || since.Equal(bestSince) && t.name < best {
			best, bestSince = t.name, since
		}
	}
	if best == "" {
		return ""
	}
	return "tags/" + best
}

// newest is the newest name up to the nominal time that exists or has a state.
func (n naive) newest(nominal, now time.Time) (newest string) {
	consider := func(name string) {
		if n.aligned(name) && !n.when(name).After(nominal) && name > newest {
			newest = name
		}
	}
	for name := range n.own {
		consider(name)
	}
	for _, t := range n.tags {
		if !n.published(t).After(now) {
			consider(t.name)
		}
	}
	return newest
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
		names = append(names, tag.Name(at))
	}
	for range rapid.IntRange(0, 2).Draw(t, "unaligned") {
		odd := rapid.IntRange(0, worldHours*60-1).Draw(t, "minute")
		names = append(names, tag.Name(worldStart.Add(time.Duration(odd)*time.Minute)))
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
	at, err := tag.ParseName(name)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return worldTag{name: name, marked: rapid.IntRange(0, 3).Draw(t, "marked") == 0,
		tree: rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f", "g"}).Draw(t, "tree"),
		published: at.Add(rapid.SampledFrom([]time.Duration{
			0, 5 * time.Second, 5 * time.Second, 20 * time.Minute, 90 * time.Minute, 7 * time.Hour, -2 * time.Hour,
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
