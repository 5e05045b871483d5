package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/cmd/etchtag/manual"
	"github.com/etch/etchtag/cmd/internal/health"
)

func manualText(t *testing.T, name string) string {
	t.Helper()
	a := &app{getenv: func(string) string { return "" }}
	text, err := a.manualPage(a.cli(), name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestEveryPageOfTheManualIsNamed(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("manual/*.md")
	if err != nil || len(files) != len(manual.Names) {
		t.Fatalf("%d pages, %d names, %v", len(files), len(manual.Names), err)
	}
	for _, name := range manual.Names {
		if first, _, _ := strings.Cut(manualText(t, name), "\n"); !strings.HasPrefix(first, "# ") {
			t.Errorf("the page %s begins with %q", name, first)
		}
	}
}

func TestManualExplainsEveryKey(t *testing.T) {
	t.Parallel()
	text := manualText(t, "configuration")
	for _, key := range knownKeys(t) {
		if !regexp.MustCompile("`([a-z]+\\.)?"+key+"`").MatchString(text) && !slices.Contains([]string{"working_copy", "tags", "auth", "keep", "schedule"}, key) {
			t.Errorf("the key %s is not explained", key)
		}
	}
}

func TestManualHasEveryCommandAndFlag(t *testing.T) {
	t.Parallel()
	text := manualText(t, "commands")
	a := &app{getenv: func(string) string { return "" }}
	for _, c := range a.cli().Commands {
		if !strings.Contains(text, "\n## etchtag "+c.Name+"\n") {
			t.Errorf("the command %s has no section", c.Name)
		}
		for _, f := range c.Flags {
			if !strings.Contains(text, "`--"+f.Names()[0]+"`") {
				t.Errorf("the flag --%s of %s is missing", f.Names()[0], c.Name)
			}
		}
	}
}

func TestManualExplainsEveryExitCode(t *testing.T) {
	t.Parallel()
	text := manualText(t, "commands")
	for _, code := range []int{exitDone, exitFailed, exitUsage, exitIncomplete, exitDrift, exitBusy} {
		if !strings.Contains(text, fmt.Sprintf("\n| %d | ", code)) {
			t.Errorf("the exit code %d is not explained", code)
		}
	}
}

func TestManualHasEveryFieldOfJSON(t *testing.T) {
	t.Parallel()
	text := manualText(t, "commands")
	for _, answer := range []any{decisionJSON{}, stepJSON{}, hostJSON{}, snapshotJSON{}, verdictJSON{}, health.Finding{}, killswitchJSON{}, tagRecord{},
		discardedJSON{}, discardedFileJSON{}, verifiedJSON{}, findingJSON{}} {
		answer := reflect.TypeOf(answer)
		for i := range answer.NumField() {
			name, _, _ := strings.Cut(answer.Field(i).Tag.Get("json"), ",")
			if name != "" && name != "-" && !strings.Contains(text, "`"+name+"`") && !strings.Contains(text, `"`+name+`"`) {
				t.Errorf("the field %s of %s is not in the manual", name, answer.Name())
			}
		}
	}
}

// TestLinksBetweenPapersLead follows the links to files and to headings.
func TestLinksBetweenPapersLead(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
	for _, file := range papers(t) {
		for _, m := range link.FindAllStringSubmatch(readPaper(t, file), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			to := file
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", file, err)
			} else if m[2] != "" && !slices.Contains(headings(readPaper(t, to)), m[2][1:]) {
				t.Errorf("%s: no heading of %s is %s", file, to, m[2])
			}
		}
	}
}

func TestREADMEIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(readPaper(t, filepath.Join(moduleRoot, "README.md")), "\n"); n > 250 {
		t.Errorf("README.md has %d lines: what belongs in the manual?", n)
	}
}

// papers are all texts in Markdown, apart from those of the sample tree.
func papers(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(moduleRoot, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == ".git" || d.Name() == "tree") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) < len(manual.Names) {
		t.Fatalf("%d papers: %v", len(files), err)
	}
	return files
}

func readPaper(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// headings are the names by which links lead to a text's headings.
func headings(text string) (names []string) {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			title := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			names = append(names, strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9_ -]`).ReplaceAllString(title, ""), " ", "-"))
		}
	}
	return names
}
