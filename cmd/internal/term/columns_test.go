package term

import (
	"fmt"
	"strings"
	"testing"
)

func TestColumnsOfALongTableGrowButNeverShrink(t *testing.T) {
	var out strings.Builder
	c := Columns{W: &out}
	cell := func(i int) string { return "x" + strings.Repeat("é", i%7) }
	for i := range sampleRows + 10 {
		first := cell(i)
		if i == sampleRows+5 {
			first = strings.Repeat("y", 20)
		}
		if err := c.Add(Row{Cells: []string{first, fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
		if i < sampleRows-1 && out.Len() > 0 {
			t.Fatalf("row %d is written before %d are known", i, sampleRows)
		}
		if i >= sampleRows-1 && strings.Count(out.String(), "\n") != i+1 {
			t.Fatalf("row %d is held back", i)
		}
	}
	if err := c.End(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	for i, line := range lines {
		want := 7 + 2
		if i >= sampleRows+5 {
			want = 20 + 2
		}
		if got := len([]rune(line)) - len(fmt.Sprint(i)); got != want || !strings.HasSuffix(line, fmt.Sprint(i)) {
			t.Errorf("row %d: %q: the second column is at %d, want %d", i, line, got, want)
		}
	}
	if len(lines) != sampleRows+10 {
		t.Errorf("%d rows", len(lines))
	}
}
