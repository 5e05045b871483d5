// Package tagstate reads, merges and edits the files in which people say which tags are good and
// which are not.
//
// A file has one entry a line: a tag's name, a state, and a comment. Reading forgives everything
// that cannot be misunderstood (line ends, byte-order marks, bytes that are not UTF-8), and turns
// what can be into a warning that names file and line. Nothing that somebody wrote about a tag is
// ever read as "good" by mistake: a word that is not a state makes its tag unacceptable.
package tagstate

import "fmt"

// State is what people have said of a tag.
type State string

const (
	None         State = ""             // nobody has said anything
	Good         State = "good"         // checked, and to be preferred by rings that require it
	Bad          State = "bad"          // roll back to an older tag
	BadFwd       State = "badfwd"       // roll forward to a newer tag
	Unrecognised State = "unrecognised" // something was said, but not in these words
)

// Position is a line of a file.
type Position struct {
	File string
	Line int // counted from 1
}

// String gives the form that editors and compilers understand, "file:line".
func (p Position) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Entry is what one file, or several merged, say of a tag.
type Entry struct {
	Tag     string
	State   State
	Word    string // the state as it was written; differs from State when Unrecognised
	Comment string
	Position
}

// Warning is something in a file that somebody should look at.
type Warning struct {
	Position
	Message string
}

// String is the warning as it is shown to people.
func (w Warning) String() string { return w.Position.String() + ": " + w.Message }
