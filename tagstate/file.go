package tagstate

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/etch/etchtag/tagstate/lines"
)

const (
	// maxWarnings bounds what a file that is no tagstate file at all can cost.
	maxWarnings = 100

	// maxName is the longest name that a directory can have.
	maxName = 255
)

// File is what one file says.
type File struct {
	Path     string           // as it is shown in positions
	Entries  map[string]Entry // by tag
	Warnings []Warning        // in the order of the lines; of very many only the first
}

// Parse reads the contents of a tagstate file. path is used in positions only. valid returns an
// error for a name that is not the name of an aligned tag.
//
// A line is a tag's name, before which "tags/" may stand, a state, and a comment. The last line for
// a tag counts. A state that is missing, or is not one of the words good, bad and badfwd in lower
// case, makes its tag Unrecognised and is a warning, because somebody meant to say something. A line
// that begins with anything but a tag's name is a warning with the error of valid.
func Parse(path string, data []byte, valid func(name string) error) *File {
	f := &File{Path: path, Entries: make(map[string]Entry)}
	for line := range lines.Lines(data) {
		at := Position{File: path, Line: line.Number}
		tag := tagName(line.Key)
		if err := check(tag, valid); err != nil {
			f.warn(at, err.Error())
			continue
		}
		e := Entry{Tag: tag, State: state(line.Value), Word: line.Value, Comment: lines.Clean(line.Rest), Position: at}
		if e.State == Unrecognised {
			f.warn(at, unrecognised(e))
		}
		f.Entries[tag] = e
	}
	return f
}

func (f *File) warn(at Position, message string) {
	switch n := len(f.Warnings); {
	case n < maxWarnings:
		f.Warnings = append(f.Warnings, Warning{at, message})
	case n == maxWarnings:
		f.Warnings = append(f.Warnings, Warning{at, "there are more warnings from this line on"})
	}
}

// Load reads and parses the file at path. display is what positions show for it.
func Load(path, display string, valid func(name string) error) (*File, error) {
	data, err := lines.Read(path)
	if err != nil {
		return nil, err
	}
	return Parse(display, data, valid), nil
}

// tagName is the tag that the first word of a line names.
func tagName(key string) string { return strings.TrimPrefix(key, "tags/") }

// state is what the second word of a line means.
func state(word string) State {
	switch s := State(word); s {
	case Good, Bad, BadFwd:
		return s
	}
	return Unrecognised
}

// check is valid, safe for any first word that a file may have.
func check(name string, valid func(name string) error) error {
	if len(name) > maxName {
		return fmt.Errorf("%s is too long for the name of a tag", quote(name))
	}
	return valid(name)
}

func unrecognised(e Entry) string {
	if e.Word == "" {
		return fmt.Sprintf("%s has no state (good, bad or badfwd), so it is not acceptable", e.Tag)
	}
	return fmt.Sprintf("%s is not a state (good, bad or badfwd, in lower case), so %s is not acceptable",
		quote(e.Word), e.Tag)
}

// quote is text in quotes, shortened to what fits in a message.
func quote(text string) string {
	const most = 60
	if len(text) <= most {
		return fmt.Sprintf("%q", text)
	}
	cut := most
	for cut > most-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return fmt.Sprintf("%q...", text[:cut])
}
