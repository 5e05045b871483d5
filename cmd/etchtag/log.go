package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"github.com/etch/etchtag/cmd/internal/decide"
)

// newLogger writes what is not a result: one line each, for people or, as JSON, for programs.
func newLogger(w io.Writer, format string, level slog.Level, colour bool) (*slog.Logger, error) {
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	case "text":
		return slog.New(&lineHandler{w: w, level: level, colour: colour, mu: new(sync.Mutex)}), nil
	}
	return nil, decide.Usagef("--log-format %q: it is text or json", format)
}

// lineHandler prints records as people read them. The time is left to whoever collects the lines.
type lineHandler struct {
	w      io.Writer
	level  slog.Level
	colour bool
	attrs  string
	mu     *sync.Mutex
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	prefix := ""
	switch {
	case r.Level >= slog.LevelError:
		prefix = paint(h.colour, red, "error: ")
	case r.Level >= slog.LevelWarn:
		prefix = paint(h.colour, yellow, "warning: ")
	}
	line := prefix + visible(r.Message+h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		line += visible(formatAttr(a))
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := fmt.Fprintln(h.w, "etchtag: "+strings.ReplaceAll(line, "\n", "\n  "))
	return err
}

// visible shows what a terminal would obey instead of showing it: messages quote servers and commands.
func visible(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		}
	}
	return b.String()
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	n := *h
	for _, a := range attrs {
		n.attrs += formatAttr(a)
	}
	return &n
}

// WithGroup has nothing to do: our records have no groups.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }

func formatAttr(a slog.Attr) string { return fmt.Sprintf(" %s=%v", a.Key, a.Value) }

// Terminal colours, as SGR parameters.
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
)

// paint colours text for terminals that want it.
func paint(on bool, colour, text string) string {
	if !on || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
