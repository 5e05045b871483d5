package term

import (
	"io"
	"os"

	"golang.org/x/term"
)

// WantsColours reports whether w is a terminal whose user has not asked for plain text (https://no-color.org).
func WantsColours(w io.Writer, getenv func(string) string) bool {
	return IsTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
}

// IsTerminal reports whether w is a terminal, or an outlet to one.
func IsTerminal(w io.Writer) bool {
	if o, ok := w.(*Outlet); ok {
		w = o.to
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Colours of a terminal, as SGR parameters.
const (
	Bold   = "1"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
	Dim    = "2"
)

// Paint colours text for terminals that want it.
func Paint(on bool, colour, text string) string {
	if !on || text == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}
