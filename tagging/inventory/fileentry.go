package inventory

import (
	"fmt"
	"strconv"
)

// entry is what is said of one host in a file or in its table.
type entry struct {
	groups []string // sorted, without repetition
	pin    string   // empty if the host has none
	line   int      // of the pin
}

// answer is the entry as one of the file at path.
func (e entry) answer(path string) Answer {
	a := Answer{Known: true, Groups: e.groups, Pin: e.pin}
	if e.pin != "" {
		a.PinFrom = fmt.Sprintf("%s:%d", path, e.line)
	}
	return a
}

// words is the entry as the set of a table of kind tablePins.
func (e entry) words() []string {
	line := ""
	if e.pin != "" {
		line = strconv.Itoa(e.line)
	}
	return append([]string{e.pin, line}, e.groups...)
}

// entryOf is the opposite of words; it is false if there is no such entry.
func entryOf(words []string) (e entry, ok bool) {
	if len(words) < 2 {
		return entry{}, false
	}
	e.pin = words[0]
	if len(words) > 2 {
		e.groups = words[2:]
	}
	if e.pin == "" {
		return e, words[1] == ""
	}
	line, err := strconv.Atoi(words[1])
	e.line = line
	return e, err == nil
}
