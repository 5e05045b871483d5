package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

var columns = []string{"what", "against", "etchtag", "theirs", "ratio", "at most", "", "cpu"}

// cells are what stands in a line's columns.
func (l line) cells() []string {
	limit := quantity{l.atMost, noUnit}
	if l.ratio == 0 {
		limit.unit = l.ours.unit
	}
	cells := []string{l.what, l.against, "", "", "", limit.String(), l.verdict(), quantity{value: l.cpu}.String()}
	if l.atMost == 0 {
		cells[5] = ""
	}
	if l.skipped == "" {
		cells[2] = l.ours.String() + syncing(l.synced[0])
		cells[3] = l.theirs.String() + syncing(l.synced[1])
		cells[4] = quantity{value: l.ratio}.String()
	}
	return cells
}

// syncing says how much of a time went into writing to the disk.
func syncing(seconds float64) string {
	if seconds == 0 {
		return ""
	}
	return " (" + quantity{seconds, secondsUnit}.String() + ")"
}

// verdict says whether the target is met, or why that is not known.
func (l line) verdict() string {
	switch {
	case l.skipped != "":
		return l.skipped
	case l.atMost == 0:
		return ""
	case l.reached() <= l.atMost:
		return "met"
	}
	return "MISSED"
}

func writeText(w io.Writer, lines []line) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(columns, "\t"))
	for _, l := range lines {
		fmt.Fprintln(t, strings.Join(l.cells(), "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, legend(lines))
	return err
}

func writeMarkdown(w io.Writer, lines []line) error {
	fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat(" --- |", len(columns)))
	for _, l := range lines {
		cells := l.cells()
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
	_, err := fmt.Fprintf(w, "\n%s\n", legend(lines))
	return err
}

// legend explains the figures.
func legend(lines []line) string {
	text := "Times are medians, ratios are medians of the quotients of the rounds, peaks are maxima. Peaks of less than\n" +
		"10 MB may be the benchmark's own. The last column is the ratio of the time that the processors spent."
	for _, l := range lines {
		if l.synced != [2]float64{} {
			return text + "\nTimes are until all is on the disk; in brackets: of that, waiting for the disk."
		}
	}
	return text
}
