package main

import (
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/etch/etchtag/"

// arrows says which package may import which. A package that is missing here may import none of ours.
var arrows = map[string][]string{
	"cmd/etchtag": {"snapshot", "snapshot/source", "tagging", "tagging/inventory", "tagstate", "schedule", "examples"},
	"snapshot":    {"snapshot/source", "tagging"},
	"tagging":     {"tagging/inventory", "tagstate"},
}

func TestPackagesImportOnlyAlongTheArrows(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) < 8 {
		t.Fatalf("only %d packages were listed: %q", len(lines), lines)
	}
	for _, line := range lines {
		words := strings.Fields(line)
		from := strings.TrimPrefix(words[0], module)
		for _, imported := range words[1:] {
			to, ours := strings.CutPrefix(imported, module)
			if ours && !slices.Contains(arrows[from], to) {
				t.Errorf("%s imports %s, which no arrow allows", from, to)
			}
		}
	}
}

func TestTheTopLevelHoldsNothingElse(t *testing.T) {
	out, err := exec.Command("git", "-C", "../..", "ls-files").Output()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("git ls-files: %v", err)
		}
		t.Skip("not a checkout")
	}
	allowed := []string{"cmd", "snapshot", "tagging", "schedule", "tagstate", "examples", "go.mod", "go.sum", "README.md"}
	for file := range strings.Lines(string(out)) {
		top, _, _ := strings.Cut(path.Clean(strings.TrimSpace(file)), "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(allowed, top) {
			t.Errorf("%s is not in the layout", top)
		}
	}
}
