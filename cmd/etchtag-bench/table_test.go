package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// timed are samples that took so many seconds.
func timed(values ...int) []sample {
	var s []sample
	for _, v := range values {
		s = append(s, sample{took: time.Duration(v) * time.Second})
	}
	return s
}

func exampleLines() []line {
	r := results{us: {{took: 300 * time.Millisecond, cpu: 3 * time.Second, peak: 101e6, size: 2_000}},
		archive: {{took: 400 * time.Millisecond, cpu: 2 * time.Second, peak: 1e6, size: 4_000_000}}}
	met, missed, peak := timeRow("fast", archive, 0.75), timeRow("slow", archive, 0.74), peakRow("large", "", 100e6)
	information, size := timeRow("known", archive, 0), sizeRow("small", us, archive, 0.001)
	lines := []line{{row: timeRow("absent", archive, 1, "rsync"), skipped: "rsync is not installed"}}
	for _, w := range []row{met, missed, peak, information, size} {
		lines = append(lines, line{row: w, figure: w.measure(r)})
	}
	return lines
}

func TestTheTableSaysWhatIsMetAndWhatIsMissing(t *testing.T) {
	var b strings.Builder
	if err := writeText(&b, exampleLines()); err != nil {
		t.Fatal(err)
	}
	var got [][]string
	for l := range strings.Lines(b.String()) {
		got = append(got, strings.FieldsFunc(strings.ReplaceAll(strings.TrimSpace(l), "  ", "\t"),
			func(r rune) bool { return r == '\t' }))
	}
	for i := range got {
		for j := range got[i] {
			got[i][j] = strings.TrimSpace(got[i][j])
		}
	}
	want := [][]string{
		{"what", "against", "etchtag", "theirs", "ratio", "at most", "cpu"},
		{"absent", archive, "1.000", "rsync is not installed"},
		{"fast", archive, "0.300 s", "0.400 s", "0.750", "0.750", "met", "1.500"},
		{"slow", archive, "0.300 s", "0.400 s", "0.750", "0.740", "MISSED", "1.500"},
		{"peak memory, large", "101.0 MB", "100.0 MB", "MISSED"},
		{"known", archive, "0.300 s", "0.400 s", "0.750", "1.500"},
		{"small", archive, "2.0 kB", "4.0 MB", "0.001", "0.001", "met"},
	}
	if diff := cmp.Diff(want, got[:min(len(want), len(got))]); diff != "" {
		t.Error(diff)
	}
}

func TestMarkdownHasTheSameCells(t *testing.T) {
	var b strings.Builder
	if err := writeMarkdown(&b, exampleLines()[1:2]); err != nil {
		t.Fatal(err)
	}
	want := `| what | against | etchtag | theirs | ratio | at most |  | cpu |
| --- | --- | --- | --- | --- | --- | --- | --- |
| fast | git archive \| tar -x | 0.300 s | 0.400 s | 0.750 | 0.750 | met | 1.500 |
`
	if table, _, _ := strings.Cut(b.String(), "\n\n"); table+"\n" != want {
		t.Error(cmp.Diff(want, table+"\n"))
	}
}

func TestTimesOnADiskSayHowMuchWasSyncing(t *testing.T) {
	r := results{us: {{took: 3 * time.Second, synced: time.Second}},
		archive: {{took: 4 * time.Second, synced: 20 * time.Millisecond}}}
	w := timeRow("x", archive, 1)
	l := line{row: w, figure: w.measure(r)}
	if diff := cmp.Diff([]string{"3.000 s (1.000 s)", "4.000 s (20.00 ms)"}, l.cells()[2:4]); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(legend([]line{l}), "in brackets") {
		t.Error("the legend does not explain the brackets")
	}
	l.synced = [2]float64{}
	if strings.Contains(legend([]line{l}), "in brackets") {
		t.Error("the legend explains brackets that are not there")
	}
}

func TestQuantitiesHaveThreeDigits(t *testing.T) {
	for want, q := range map[string]quantity{
		"":         {},
		"0.123":    {value: 0.1234},
		"1.23 ms":  {0.00123, secondsUnit},
		"99.00 ms": {0.099, secondsUnit},
		"0.100 s":  {0.0999, secondsUnit},
		"2.500 s":  {2.5, secondsUnit},
		"0.5 kB":   {512, bytesUnit},
		"1.0 MB":   {1e6, bytesUnit},
	} {
		if got := q.String(); got != want {
			t.Errorf("%+v is written %q, not %q", q, got, want)
		}
	}
}
