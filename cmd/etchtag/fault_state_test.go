package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/staged"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/tag"
)

// faultState is what a base is like, as far as commands promise something of it.
type faultState struct {
	tags       map[string]string // the hash of the tree by the tag's name
	stale      map[string]bool   // tags that were made without upstream
	drifted    bool              // the tag that the scenario says is not as its manifest says
	trunk      map[string]string // the working copy's files
	tagstate   string            // this server's own
	kept, pins string            // the files
	killswitch string            // "on: " and the message, or nothing
	files      []string          // everything that stands below the base, but for what may differ; see files
}

func (b *faultBase) places() tag.Base { return tag.Base{Path: b.base} }

// state reads what the base is like now, and proves that every tag that can be seen is whole.
func (b *faultBase) state(t *testing.T) faultState {
	t.Helper()
	s := faultState{tags: map[string]string{}, stale: map[string]bool{}, trunk: treeFiles(t, b.places().Trunk())}
	entries, err := os.ReadDir(b.places().Tags())
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := tag.ParseName(e.Name()); err != nil {
			continue
		}
		if slices.Contains(b.lab.scenario.unrecorded, e.Name()) {
			s.tags[e.Name()] = fmt.Sprint(treeFiles(t, b.places().Dir(e.Name())))
			continue
		}
		m, err := tag.ReadManifest(b.places().Manifest(e.Name()))
		if err != nil {
			t.Errorf("%s can be seen, but: %v", e.Name(), err)
			continue
		}
		drift, err := staged.Compare(context.Background(), b.places().Dir(e.Name()), m, staged.CompareOptions{})
		if err == nil && e.Name() == b.lab.scenario.drifted {
			s.drifted = len(drift) > 0
		} else if err != nil || len(drift) > 0 {
			t.Errorf("%s is partial: %v %v", e.Name(), drift, err)
		}
		s.tags[e.Name()], s.stale[e.Name()] = m.Tree, m.Stale
	}
	s.tagstate = readOptional(t, filepath.Join(b.base, "tagstate"))
	s.kept, s.pins = readOptional(t, b.places().Kept()), readOptional(t, b.places().Pins())
	k, err := tagging.Killswitch{Path: b.places().Killswitch()}.Status()
	if err != nil {
		t.Error(err)
	}
	if k.On {
		s.killswitch = "on: " + k.Message
	}
	return s
}

func readOptional(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return string(data)
}

// files lists all that stands below the base, so that debris shows, except objects of a repository, which can be
// packed in several ways, what was set aside, which is never removed to clean up, and what is in tags, which state
// compares with their manifests.
func (b *faultBase) files(t *testing.T) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(b.base, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(b.base, path)
		switch {
		case rel == "tags/.etchtag/discarded":
			return fs.SkipDir
		case strings.Contains(rel, ".git/objects/") && !strings.Contains(rel, "tmp_"):
			return nil
		case strings.Contains(rel, ".svn/pristine/"), strings.Contains(rel, ".svn/entries"):
			return nil
		}
		found = append(found, rel)
		if _, err := tag.ParseName(e.Name()); err == nil && e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	slices.Sort(found)
	return found
}

// treeFiles describes everything in a tree but what version control keeps there.
func treeFiles(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := e.Name(); e.IsDir() && (strings.HasPrefix(name, ".git") || name == ".svn" || name == "CVS") {
			return fs.SkipDir
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := info.Mode().String()
		switch info.Mode().Type() {
		case 0:
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(data))
		case fs.ModeSymlink:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			text += " " + target
		}
		rel, _ := filepath.Rel(dir, path)
		found[rel] = text
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Error(err)
	}
	return found
}

// equals says what is not as it is in another state. A tag that was made of what had been fetched before, because
// there was a fault, has another tree.
func (s faultState) equals(want faultState) error {
	if err := s.sameTags(want); err != nil {
		return err
	}
	switch {
	case s.drifted != want.drifted:
		return fmt.Errorf("a tag is still drifted: %v", s.drifted)
	case !maps.Equal(s.trunk, want.trunk):
		return fmt.Errorf("the working copy has %q, not %q", s.trunk, want.trunk)
	case s.tagstate != want.tagstate:
		return fmt.Errorf("tagstate is %q, not %q", s.tagstate, want.tagstate)
	case s.kept != want.kept || s.pins != want.pins:
		return fmt.Errorf("kept is %q, not %q, or pins are %q, not %q", s.kept, want.kept, s.pins, want.pins)
	case s.killswitch != want.killswitch:
		return fmt.Errorf("the killswitch is %q, not %q", s.killswitch, want.killswitch)
	}
	for _, f := range s.files {
		if _, ok := slices.BinarySearch(want.files, f); !ok {
			return fmt.Errorf("they leave %q", f)
		}
	}
	for _, f := range want.files {
		table := strings.HasPrefix(f, "tags/.etchtag/tables/") // lookups work without, only slower
		if _, ok := slices.BinarySearch(s.files, f); !ok && !table {
			return fmt.Errorf("they do not make %q", f)
		}
	}
	return nil
}

// sameTags says how the tags differ from those of another state.
func (s faultState) sameTags(want faultState) error {
	for name := range want.tags {
		if s.tags[name] == "" {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for name, tree := range s.tags {
		switch {
		case want.tags[name] == "":
			return fmt.Errorf("%s should not be there", name)
		case want.tags[name] != tree && !s.stale[name]:
			return fmt.Errorf("%s has another tree, and is not stale", name)
		}
	}
	return nil
}

// truth says whether a state is what a command's exit status says of it.
type truth func(l *faultLab, now faultState, code int) error

var errNoSuchStatus = fmt.Errorf("there is no reason for this exit status")

// tagsTruth is of commands that make or remove tags: done, all of it; failed, none; incomplete, what was to be made
// is there, and what was to be removed may be.
func tagsTruth(l *faultLab, now faultState, code int) error {
	switch code {
	case exitDone:
		for name, stale := range now.stale {
			if stale && !l.before.stale[name] {
				return fmt.Errorf("%s is stale", name)
			}
		}
		return now.sameTags(l.after)
	case exitFailed:
		return now.sameTags(l.before)
	case exitIncomplete:
		for name := range l.after.tags {
			if now.tags[name] == "" {
				return fmt.Errorf("%s is missing", name)
			}
		}
		for name := range now.tags {
			if l.after.tags[name] == "" && l.before.tags[name] == "" {
				return fmt.Errorf("%s should not be there", name)
			}
		}
		return nil
	}
	return errNoSuchStatus
}

// giveBackTruth is of commands that give a retired tag back first: incomplete, that may have failed.
func giveBackTruth(l *faultLab, now faultState, code int) error {
	retired := l.scenario.retired
	if code == exitIncomplete && now.tags[retired] == "" {
		now.tags = maps.Clone(now.tags)
		now.tags[retired] = l.after.tags[retired]
	}
	return tagsTruth(l, now, code)
}

// updateTruth is of update: done, the working copy is exactly upstream's; failed, whatever it is.
func updateTruth(l *faultLab, now faultState, code int) error {
	if err := now.sameTags(l.before); err != nil {
		return err
	}
	switch {
	case code == exitFailed:
		return nil
	case code != exitDone:
		return errNoSuchStatus
	case !maps.Equal(now.trunk, l.after.trunk):
		return fmt.Errorf("the working copy has %q, not %q", now.trunk, l.after.trunk)
	}
	return nil
}

// repairTruth is of repairing: done or incomplete, the tag is as its manifest says; else it may still have drifted.
func repairTruth(l *faultLab, now faultState, code int) error {
	if err := now.sameTags(l.before); err != nil {
		return err
	}
	switch {
	case code == exitFailed || code == exitDrift:
		return nil
	case code != exitDone && code != exitIncomplete:
		return errNoSuchStatus
	case now.drifted:
		return fmt.Errorf("the tag is still drifted")
	}
	return nil
}

// renameTruth is of renaming old tags: done, all have their new names, and what is written names them so; failed, each is
// there under one of its names.
func renameTruth(l *faultLab, now faultState, code int) error {
	switch {
	case code == exitDone && now.tagstate != l.after.tagstate:
		return fmt.Errorf("tagstate is %q, not %q", now.tagstate, l.after.tagstate)
	case code == exitDone:
		return now.sameTags(l.after)
	case code != exitFailed:
		return errNoSuchStatus
	}
	trees := func(s faultState) []string { return slices.Sorted(maps.Values(s.tags)) }
	if got := trees(now); !slices.Equal(got, trees(l.before)) {
		return fmt.Errorf("the tags are %q", got)
	}
	return nil
}

// wordTruth is of commands that replace one word: done or incomplete, it is replaced; failed, it is as it was.
func wordTruth(word func(faultState) string) truth {
	return func(l *faultLab, now faultState, code int) error {
		want := word(l.after)
		switch code {
		case exitDone, exitIncomplete:
		case exitFailed:
			want = word(l.before)
		default:
			return errNoSuchStatus
		}
		if word(now) != want {
			return fmt.Errorf("got %q, want %q", word(now), want)
		}
		return nil
	}
}

// killswitchTruth is of the killswitch: incomplete, it is on or off as it should be, perhaps without its message.
func killswitchTruth(l *faultLab, now faultState, code int) error {
	if code == exitIncomplete {
		if (now.killswitch == "") != (l.after.killswitch == "") {
			return fmt.Errorf("got %q", now.killswitch)
		}
		return nil
	}
	return wordTruth(func(s faultState) string { return s.killswitch })(l, now, code)
}

// checkSurvivors proves that local edits of the working copy were set aside, and not lost.
func (s *faultScenario) checkSurvivors(t *testing.T, b *faultBase, what string) {
	t.Helper()
	if len(s.survivors) == 0 {
		return
	}
	var kept [][]byte
	err := filepath.WalkDir(b.places().Discarded(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		kept = append(kept, data)
		return err
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	for _, text := range s.survivors {
		if !slices.ContainsFunc(kept, func(data []byte) bool { return bytes.Contains(data, []byte(text)) }) {
			t.Errorf("%s: the local edit %q is lost", what, text)
		}
	}
}
