package term

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

func TestMessagesCannotCommandATerminal(t *testing.T) {
	var screen bytes.Buffer
	log, err := NewLog(&screen, "text", slog.LevelInfo, false)
	if err != nil {
		t.Fatal(err)
	}
	log.Error("upstream: \x1b[2J\rno ç\x7f\u009b\xff\nand\tmore", "why", errors.New("\a"))
	if got, want := screen.String(), "etchtag: error: upstream: \\x1b[2J\\rno ç\\x7f\\u009b\uFFFD\n  and\tmore why=\\a\n"; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
