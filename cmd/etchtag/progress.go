package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/etch/etchtag/tagging/tag"
	"github.com/urfave/cli/v2"
)

// progressThrottle is how often the line is drawn at most.
const progressThrottle = 100 * time.Millisecond

// progress shows how far a long operation is, on one line of a terminal. A nil progress shows nothing. (There are
// libraries for it, but they compile regular expressions before the resolver may begin.)
type progress struct {
	out io.Writer
	now func() time.Time

	mu    sync.Mutex
	phase string
	drawn time.Time
	width int // of the line that stands there, in columns
}

// phases describes what each phase of a source or a snapshot does, and whether it counts bytes.
var phases = map[string]struct {
	text  string
	bytes bool
}{
	"fetch":    {"fetching", true},
	"copy":     {"copying", true},
	"checkout": {"checking out", false},
	"stage":    {"staging", false},
	"verify":   {"verifying", false},
}

// newProgress returns nil where nobody watches.
func (a *app) newProgress(c *cli.Context) *progress {
	if c.Bool("quiet") || c.String("log-format") == "json" || !isTerminal(a.stderr) {
		return nil
	}
	return &progress{out: a.stderr, now: time.Now}
}

// report shows that done of total units of a phase are finished. A negative total is not known.
func (p *progress) report(phase string, done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if phase == p.phase && now.Sub(p.drawn) < progressThrottle {
		return
	}
	p.phase, p.drawn = phase, now
	p.draw(progressLine(phase, done, total))
}

func progressLine(phase string, done, total int64) string {
	format := tag.FormatCount
	if phases[phase].bytes {
		format = func(n int64) string { return tag.FormatBytes(uint64(n)) }
	}
	line := phases[phase].text + " " + format(done)
	if total > 0 {
		line += fmt.Sprintf(" of %s (%d%%)", format(total), 100*done/total)
	}
	return line
}

// draw replaces the line; the cursor stays at its beginning.
func (p *progress) draw(line string) {
	fmt.Fprintf(p.out, "\r%-*s\r", p.width, line)
	p.width = len(line)
}

// end clears the line.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.width > 0 {
		p.draw("")
	}
	p.phase = ""
}
