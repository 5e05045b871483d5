package term

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// progressThrottle is how often the line is drawn at most.
const progressThrottle = 100 * time.Millisecond

// Progress shows how far a long operation is, on one line of a terminal. A nil progress shows nothing.
type Progress struct {
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

// NewProgress shows progress on a terminal.
func NewProgress(out io.Writer, now func() time.Time) *Progress { return &Progress{out: out, now: now} }

// Report shows that done of total units of a phase are finished. A negative total is not known.
func (p *Progress) Report(phase string, done, total int64) {
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
func (p *Progress) draw(line string) {
	fmt.Fprintf(p.out, "\r%-*s\r", p.width, line)
	p.width = len(line)
}

// End clears the line.
func (p *Progress) End() {
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
