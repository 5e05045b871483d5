package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/etch/etchtag/tagstate"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestMarkLooksAgainOnceItHasWritten takes the tag away after mark has found it, as a prune does that has looked before.
// A tag that was never there is nothing to look for.
func TestMarkLooksAgainOnceItHasWritten(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"lock tagstate", "rename tagstate", "sync directory of tagstate"} {
		base := t.TempDir()
		tag := filepath.Join(base, "tags", hourTag(1))
		must(t, os.MkdirAll(tag, 0o755))
		code, _, stderr := inBase(base, func(label string) error {
			if label == at {
				return os.Remove(tag)
			}
			return nil
		}, "mark", "good", hourTag(1), hourTag(2), "--rehearse", hourAt(3))
		if code != exitFailed || !strings.Contains(stderr, hourTag(1)+" is gone") || strings.Contains(stderr, hourTag(2)) {
			t.Errorf("%s: exit status %d: %s", at, code, stderr)
		}
	}
}

// inBase runs one command in a base.
func inBase(base string, step func(string) error, words ...string) (code int, stdout, stderr string) {
	var out, log bytes.Buffer
	a := app{stdout: &out, stderr: &log, getenv: os.Getenv, now: time.Now, step: step}
	oneCommand.Lock()
	defer oneCommand.Unlock()
	code = a.run(append([]string{"etchtag", "--base", base}, words...))
	return code, out.String(), log.String()
}

// markLab is a base of a few hours with tags of a few contents, late ones and ones without a manifest, and marks in both
// files.
type markLab struct {
	base  string
	now   time.Time
	names []string // of all hours, from long ago to beyond the next
}

func drawMarkLab(t *rapid.T, base string) *markLab {
	l := &markLab{base: base, now: statusNow}
	places := tag.Base{Path: base}
	write := func(path string, data []byte) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(base, "etchtag.yml"), []byte("inventory: [{kind: file, path: hosts.yml}]\n"))
	write(filepath.Join(base, "hosts.yml"), []byte("web1.example.com: {groups: [dev]}\n"))
	present := tag.Cadence{}.Floor(l.now)
	for hour := -7; hour <= 3; hour++ {
		at := present.Add(time.Duration(hour) * time.Hour)
		name := tag.Name(at)
		l.names = append(l.names, name)
		kind := rapid.SampledFrom([]string{"a", "a", "b", "c", "no manifest", "none"}).Draw(t, "tag")
		if kind == "none" || hour > 0 {
			continue
		}
		write(filepath.Join(places.Dir(name), "file"), []byte(kind))
		if kind == "no manifest" {
			continue
		}
		late := rapid.SampledFrom([]time.Duration{time.Second, time.Second, 90 * time.Minute}).Draw(t, "late")
		m := &tag.Manifest{Header: tag.Header{Name: name, Source: "git", Layout: "auto", Published: at.Add(late)},
			Entries: []tag.Entry{{Path: kind, Mode: tag.ModeFile}}}
		var text bytes.Buffer
		if err := tag.WriteManifest(&text, m); err != nil {
			t.Fatal(err)
		}
		write(places.Manifest(name), text.Bytes())
	}
	for _, file := range []string{"trunk/tagstate", "tagstate"} {
		var text strings.Builder
		for range rapid.IntRange(0, 3).Draw(t, "marks") {
			fmt.Fprintf(&text, "%s %s\n", rapid.SampledFrom(l.names).Draw(t, "marked"),
				rapid.SampledFrom([]string{"good", "bad", "badfwd", "oops"}).Draw(t, "word"))
		}
		write(filepath.Join(base, file), []byte(text.String()))
	}
	return l
}

// known is what decisions say: what each ring gets, and the state of each tag.
func (l *markLab) known(t *rapid.T) (rings map[string]string, states map[string]tagstate.State) {
	a := &app{getenv: func(string) string { return "" }}
	s, err := a.openSite(l.base, "", configOptional)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Hosts(l.now)
	if err != nil {
		t.Fatal(err)
	}
	rings, states = map[string]string{}, map[string]tagstate.State{}
	for _, ring := range r.Rings {
		if rings[ring.Name] = r.RingTag(ring).Tag(); rings[ring.Name] == "" {
			rings[ring.Name] = "nothing"
		}
	}
	for _, tag := range r.Index.Tags {
		states[tag.Name], _ = r.State(tag)
	}
	return rings, states
}

var ringLine = regexp.MustCompile(`(?m)^(dev|qa|staging|production) +(etchautotag-\S+|nothing) +(etchautotag-\S+|nothing|the same)(  .*)?$`)

// shown reads what a mark says of the rings.
func shownRings(stdout string) (before, after map[string]string) {
	before, after = map[string]string{}, map[string]string{}
	for _, m := range ringLine.FindAllStringSubmatch(stdout, -1) {
		before[m[1]], after[m[1]] = m[2], m[3]
		if m[3] == "the same" {
			after[m[1]] = m[2]
		}
	}
	return before, after
}

var heirsLine = regexp.MustCompile(`(?m)^(?:no longer \S+|\S+, having the same content): (?:(\d+) tags?|etchautotag-\S+)$`)

// shownHeirs counts the tags of which a mark says that their state follows another's.
func shownHeirs(stdout string) (n int) {
	for _, m := range heirsLine.FindAllStringSubmatch(stdout, -1) {
		more := 1
		if m[1] != "" {
			_, _ = fmt.Sscan(m[1], &more)
		}
		n += more
	}
	return n
}

func TestWhatAMarkSaysIsWhatDecisionsSayAfterIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	labs := 0
	rapid.Check(t, func(t *rapid.T) {
		labs++
		l := drawMarkLab(t, filepath.Join(dir, fmt.Sprint(labs)))
		defer os.RemoveAll(l.base)
		from := rapid.IntRange(0, len(l.names)-1).Draw(t, "from")
		to := rapid.IntRange(from, min(from+3, len(l.names)-1)).Draw(t, "to")
		state := rapid.SampledFrom([]string{"good", "bad", "bad", "badfwd", "clear"}).Draw(t, "state")
		line := []string{"mark", state, "--from", l.names[from], "--to", l.names[to], "--rehearse", l.now.Format(time.RFC3339)}
		if rapid.Bool().Draw(t, "force") {
			line = append(line, "--force")
		}
		l.check(t, line, l.names[from:to+1])
	})
}

// check makes a mark, dry and then for good, and compares what it says with what is so.
func (l *markLab) check(t *rapid.T, line, named []string) {
	file := filepath.Join(l.base, "tagstate")
	old, _ := os.ReadFile(file)
	rings, states := l.known(t)
	dryCode, dryOut, dryLog := inBase(l.base, nil, append(line, "--dry-run")...)
	if now, _ := os.ReadFile(file); !bytes.Equal(now, old) {
		t.Fatalf("%q --dry-run changes %q to %q", line, old, now)
	}
	code, stdout, stderr := inBase(l.base, nil, line...)
	if code != dryCode || stderr != dryLog || strings.TrimSuffix(dryOut, "nothing is changed\n") !=
		strings.TrimSuffix(stdout, "written to "+file+"\n") {
		t.Fatalf("%q: %d %s%s; dry: %d %s%s", line, code, stdout, stderr, dryCode, dryOut, dryLog)
	}
	ringsAfter, statesAfter := l.known(t)
	shownBefore, shownAfter := shownRings(stdout)
	if diff := cmp.Diff(rings, shownBefore); diff != "" {
		t.Fatalf("%q, what rings got before (-is +shown):\n%s%s", line, diff, stdout)
	}
	starving := func(after map[string]string) bool {
		return slices.ContainsFunc([]string{"dev", "qa", "staging", "production"}, func(ring string) bool {
			return rings[ring] != "nothing" && after[ring] == "nothing"
		})
	}
	force := slices.Contains(line, "--force")
	if code == exitFailed {
		now, _ := os.ReadFile(file)
		far := line[1] != "clear" && slices.ContainsFunc(named, func(name string) bool { return name > tag.Name(l.now.Add(time.Hour)) })
		if !bytes.Equal(now, old) || force || !far && !starving(shownAfter) {
			t.Fatalf("%q is refused, and %q became %q: %s%s", line, old, now, stdout, stderr)
		}
		return
	}
	if code != exitDone && code != exitIncomplete || starving(ringsAfter) && !force {
		t.Fatalf("%q: exit status %d: %s%s", line, code, stdout, stderr)
	}
	if diff := cmp.Diff(ringsAfter, shownAfter); diff != "" {
		t.Fatalf("%q, what rings get (-is +shown):\n%s%s", line, diff, stdout)
	}
	heirs := 0
	for name, state := range statesAfter {
		if state != states[name] && !slices.Contains(named, name) {
			heirs++
		}
	}
	if n := shownHeirs(stdout); n != heirs {
		t.Fatalf("%q: %d tags have another state because of others, not %d: %s", line, heirs, n, stdout)
	}
}
