package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// pruned prunes a base of twelve tags, of which the nine oldest are to go, and calls write right before the first goes. It
// returns the exit status, what is said, and which of them are left.
func pruned(t *testing.T, write func(t *testing.T, base, first string)) (code int, stderr string, left []string) {
	base := t.TempDir()
	must(t, os.WriteFile(filepath.Join(base, "etchtag.yml"),
		[]byte("tags: {keep: {within: 1h, last: 1}}\nrings: [{name: all, delay: 0h}]\n"), 0o644))
	must(t, os.MkdirAll(filepath.Join(base, "real"), 0o755))
	must(t, os.Symlink("real", filepath.Join(base, "trunk")))
	must(t, os.WriteFile(filepath.Join(base, "pins"), []byte("web2 trunk\n"), 0o644))
	l := tag.Base{Path: base}
	for h := range 12 {
		must(t, os.MkdirAll(l.Dir(hourTag(h)), 0o755))
	}
	var log bytes.Buffer
	retired := 0
	a := app{stdout: &bytes.Buffer{}, stderr: &log, getenv: os.Getenv, now: time.Now, step: func(label string) error {
		if label == "retire tag" {
			if retired++; retired == 1 {
				write(t, base, hourTag(8))
			}
		}
		return nil
	}}
	oneCommand.Lock()
	defer oneCommand.Unlock()
	code = a.run([]string{"etchtag", "--base", base, "prune", "--rehearse", hourAt(11)})
	for h := range 9 {
		if _, err := os.Stat(l.Dir(hourTag(h))); err == nil {
			left = append(left, hourTag(h))
		}
	}
	if entries, err := os.ReadDir(l.Trash()); err != nil || len(entries) > 0 {
		t.Errorf("left in the trash: %v, %v", entries, err)
	}
	return code, log.String(), left
}

func TestPruneSeesWhatIsWrittenAfterItsPlan(t *testing.T) {
	t.Parallel()
	write := func(path, text string) func(t *testing.T, base, tag string) {
		return func(t *testing.T, base, tag string) {
			must(t, os.WriteFile(filepath.Join(base, path), []byte(strings.ReplaceAll(text, "TAG", tag)), 0o644))
		}
	}
	for name, c := range map[string]struct {
		write func(t *testing.T, base, tag string)
		says  string
	}{
		"a pin": {write("pins", "web2 trunk\nweb1 tags/TAG\n"), "1 host is pinned to it: web1"},
		"a pin, and the old time": {func(t *testing.T, base, tag string) {
			path := filepath.Join(base, "pins")
			info, err := os.Stat(path)
			must(t, err)
			write("pins", "web1 tags/TAG\n")(t, base, tag)
			must(t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}, "1 host is pinned to it: web1"},
		"a pin to a link to it": {func(t *testing.T, base, tag string) {
			must(t, os.Symlink("../tags/"+tag, filepath.Join(base, "real", "release")))
			write("pins", "web1 trunk/release\n")(t, base, tag)
		}, "1 host is pinned to it: web1"},
		"the first line of what is kept": {write("kept", "TAG audit\n"), "kept: audit"},
		"a mark":                         {write("tagstate", "TAG good\n"), "the newest marked good"},
		"a mark in the working copy":     {write("trunk/tagstate", "TAG good\n"), "the newest marked good"},
		"a mark in another working copy": {func(t *testing.T, base, tag string) {
			must(t, os.Mkdir(filepath.Join(base, "other"), 0o755))
			write("other/tagstate", "TAG good\n")(t, base, tag)
			must(t, os.Symlink("other", filepath.Join(base, "trunk2")))
			must(t, os.Rename(filepath.Join(base, "trunk2"), filepath.Join(base, "trunk")))
		}, "the newest marked good"},
		"a link": {func(t *testing.T, base, tag string) { must(t, os.Symlink(tag, filepath.Join(base, "tags", "current"))) }, "the link current"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, says, left := pruned(t, c.write)
			if code != exitDone || !slices.Equal(left, []string{hourTag(8)}) {
				t.Errorf("exit status %d; of those to go %q are left: %s", code, left, says)
			}
			if want := hourTag(8) + " stays after all: " + c.says; !strings.Contains(says, want) {
				t.Errorf("it says %q, not %q", says, want)
			}
		})
	}
}

func TestPruneRemovesNothingMoreOnceItCannotSeeWhatIsNeeded(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write func(t *testing.T, base, tag string)
		says  string
	}{
		"no pins": {func(t *testing.T, base, _ string) {
			must(t, os.Remove(filepath.Join(base, "pins")))
			must(t, os.Mkdir(filepath.Join(base, "pins"), 0o755))
		}, "who is pinned is not known"},
		"no marks": {func(t *testing.T, base, _ string) { must(t, os.Mkdir(filepath.Join(base, "tagstate"), 0o755)) }, "tagstate"},
		"not a tag": {func(t *testing.T, base, _ string) {
			must(t, os.WriteFile(filepath.Join(base, "kept"), []byte("0800 audit\n"), 0o644))
		}, "what is kept is not known"},
		"ring empty": {func(t *testing.T, base, _ string) {
			var text strings.Builder
			for h := range 12 {
				text.WriteString(hourTag(h) + " bad\n")
			}
			must(t, os.WriteFile(filepath.Join(base, "tagstate"), []byte(text.String()), 0o644))
		}, "ring all gets no tag now"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, says, left := pruned(t, c.write)
			if code != exitIncomplete || len(left) != 9 || !strings.Contains(says, "nothing is removed: ") || !strings.Contains(says, c.says) {
				t.Errorf("exit status %d; of those to go %q are left: %s", code, left, says)
			}
		})
	}
}
