package term

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// NewLog writes what is not a result: one line each, for people or, as JSON, for programs. An outlet says in the same form
// that messages were lost.
func NewLog(w io.Writer, format string, level slog.Level, colour bool) (*slog.Logger, error) {
	log, err := newLogger(w, format, level, colour)
	if messages, ok := w.(*Outlet); ok && err == nil {
		messages.tell = func(lost int, why error) []byte {
			var line bytes.Buffer
			if log, err := newLogger(&line, format, level, colour); err == nil {
				log.Warn(describeLost(lost, why))
			}
			return line.Bytes()
		}
	}
	return log, err
}

func newLogger(w io.Writer, format string, level slog.Level, colour bool) (*slog.Logger, error) {
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})), nil
	case "text":
		return slog.New(&lineHandler{w: w, level: level, colour: colour, mu: new(sync.Mutex)}), nil
	}
	return nil, fmt.Errorf("--log-format %q: it is text or json", format)
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
		prefix = Paint(h.colour, Red, "error: ")
	case r.Level >= slog.LevelWarn:
		prefix = Paint(h.colour, Yellow, "warning: ")
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

// describeLost says that messages were lost.
func describeLost(lost int, why error) string {
	text := Count(lost, "message") + " before this one could not be written: "
	if why == nil {
		return text + "nobody was reading"
	}
	return text + why.Error()
}
