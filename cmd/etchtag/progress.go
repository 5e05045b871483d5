package main

import (
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/urfave/cli/v2"
)

// progressThrottle is how often the bar is drawn at most.
const progressThrottle = 100 * time.Millisecond

// progress shows how far a long operation is, on a terminal. A nil progress shows nothing.
type progress struct {
	app   *app
	mu    sync.Mutex
	phase string
	bar   *progressbar.ProgressBar
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
	return &progress{app: a}
}

// report shows that done of total units of a phase are finished. A negative total is not known.
func (p *progress) report(phase string, done, total int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if phase != p.phase {
		p.finish()
		p.phase, p.bar = phase, p.newBar(phase, total)
	}
	if total != p.bar.GetMax64() {
		p.bar.ChangeMax64(total)
	}
	p.bar.Set64(done)
}

func (p *progress) newBar(phase string, total int64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(p.app.stderr),
		progressbar.OptionSetDescription(phases[phase].text),
		progressbar.OptionShowBytes(phases[phase].bytes),
		progressbar.OptionShowCount(),
		progressbar.OptionEnableColorCodes(false),
		progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(progressThrottle),
		progressbar.OptionSetWidth(30),
	)
}

// end clears the bar.
func (p *progress) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func (p *progress) finish() {
	if p.bar != nil {
		p.bar.Clear()
	}
	p.phase, p.bar = "", nil
}
