package health

import (
	"errors"
	"io/fs"
	"strings"
)

// Level says how bad a finding is. Only a warning or a problem is a reason to be called in the night, so what lasts
// and cannot be helped, or goes by itself, is a note.
type Level int

// The levels, the better ones first.
const (
	OK Level = iota
	Note
	Warning
	Problem
)

var levelNames = map[Level]string{OK: "ok", Note: "note", Warning: "warning", Problem: "PROBLEM"}

// String is the level as people read it: a problem must not be overlooked.
func (l Level) String() string { return levelNames[l] }

// MarshalText writes the level for programs.
func (l Level) MarshalText() ([]byte, error) { return []byte(strings.ToLower(levelNames[l])), nil }

// Finding is one line of the status.
type Finding struct {
	Level Level  `json:"level"`
	What  string `json:"what"`
	Says  string `json:"says"`
	Do    string `json:"do,omitempty"`
}

// cannotSee is the finding for what could not be read: for want of permission it is no more than a note, because
// somebody else can see it.
func cannotSee(what string, err error) Finding {
	if errors.Is(err, fs.ErrPermission) {
		return Finding{Note, what, "cannot be seen: " + err.Error(), "ask as the user who makes tags"}
	}
	return Finding{Warning, what, err.Error(), "see why it cannot be read"}
}
