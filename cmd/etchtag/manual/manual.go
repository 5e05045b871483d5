// Package manual holds the pages of the manual, so that a program that stands alone on a server has them with it.
package manual

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.md
var pages embed.FS

// Names are the names of the pages, in the order in which somebody new would read them.
var Names = []string{"runbook", "tags", "working-copies", "configuration", "commands", "migration", "changes"}

// Page returns a page in Markdown.
func Page(name string) (string, error) {
	text, err := pages.ReadFile(name + ".md")
	if err != nil {
		return "", fmt.Errorf("there is no page %q: there are %s", name, strings.Join(Names, ", "))
	}
	return string(text), nil
}

// Title is what a page is about: the rest of its first line.
func Title(page string) string {
	first, _, _ := strings.Cut(page, "\n")
	return strings.TrimLeft(first, "# ")
}
