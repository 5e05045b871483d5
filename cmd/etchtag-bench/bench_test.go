package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/runtest"
)

// TestEveryRowHasAFigure runs the whole benchmark once. Whether the contestants of a row made the same tree, the
// contests check themselves.
func TestEveryRowHasAFigure(t *testing.T) {
	if runtest.Asked() != runtest.Whole {
		t.Skip("it is left out unless everything is asked for")
	}
	dir := t.TempDir()
	b, err := newBench(t.Context(), options{dir: dir, size: "small", rounds: 1}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	all := contests()
	lines, err := b.measure(t.Context(), all, regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, c := range all {
		rows += len(c.rows)
	}
	if len(lines) != rows {
		t.Errorf("%d of %d rows are there", len(lines), rows)
	}
	for _, l := range lines {
		switch {
		case l.skipped != "" && os.Getenv("CI") != "":
			t.Errorf("%s against %s: %s", l.what, l.against, l.skipped)
		case l.skipped == "" && (l.ours.value <= 0 || l.against != "" && l.theirs.value <= 0):
			t.Errorf("%s against %s: %+v", l.what, l.against, l.figure)
		}
	}
	b.close()
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("it left %q, %v", left, err)
	}
}

func TestRowsWithoutTheirToolsSayWhichIsMissing(t *testing.T) {
	b := &bench{say: t.Logf}
	never := contest{needs: []string{"no-such-tool", "no-other-tool"}, rows: []row{timeRow("a", archive, 1)},
		run: func(context.Context, *bench, string) (results, error) { return nil, errors.New("held") }}
	lines, err := b.measure(t.Context(), []contest{never}, regexp.MustCompile(""))
	if err != nil || len(lines) != 1 || lines[0].skipped != "no-such-tool, no-other-tool are not installed" {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestWhatWasMeasuredBeforeAFailureIsKept(t *testing.T) {
	b := &bench{dir: t.TempDir(), say: t.Logf}
	good := contest{rows: []row{peakRow("a", "", 1)},
		run: func(context.Context, *bench, string) (results, error) { return results{us: {{peak: 1}}}, nil }}
	bad := contest{rows: []row{peakRow("b", "", 1)},
		run: func(ctx context.Context, _ *bench, _ string) (results, error) { return nil, context.Canceled }}
	lines, err := b.measure(t.Context(), []contest{good, bad, good}, regexp.MustCompile(""))
	if !errors.Is(err, context.Canceled) || len(lines) != 1 || lines[0].verdict() != "met" {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestContestantsTakeTurns(t *testing.T) {
	var order strings.Builder
	note := func(text string) func(context.Context, int) error {
		return func(context.Context, int) error { order.WriteString(text); return nil }
	}
	named := func(name string) contestant {
		return contestant{name: name, prepare: note("-"), act: func(int) action {
			return func(context.Context) (sample, error) { order.WriteString(name); return sample{size: 1}, nil }
		}, clear: func(int) error { order.WriteString("+"); return nil }}
	}
	r, err := (&bench{}).takeTurns(t.Context(), 2, note("|"), named("A"), named("B"))
	if err != nil || len(r["A"]) != 2 || len(r["B"]) != 2 {
		t.Errorf("%v, %v", r, err)
	}
	if got := order.String(); got != "|-A+-B+|-A+-B+" {
		t.Errorf("the order is %s", got)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"-size", "huge"}, {"-rounds", "0"}, {"-rows", "("}, {"word"}, {"-no-such-flag"}} {
		if _, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	if _, err := parseOptions([]string{"-help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v", err)
	}
	if o, err := parseOptions([]string{"-rows", "^list$", "-rounds", "3"}, io.Discard); err != nil || o.rounds != 3 {
		t.Errorf("%+v, %v", o, err)
	}
}
