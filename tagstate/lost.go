package tagstate

import (
	"slices"
	"strconv"
	"strings"
)

// Lost returns what has to be said in another file, in the order of the tags, so that no mark vanishes when a file that
// somebody has edited is replaced: the entries of edited whose states are neither those of before, which it was edited
// from, nor those of after, which replaces it.
//
// A word that is not a state keeps its tag from being served, and nobody may write it. So what it becomes is Bad, and the
// comment says what it was.
func Lost(before, edited, after *File) []Change {
	var lost []Change
	for tag, e := range edited.Entries {
		if e.State == before.Entries[tag].State || e.State == after.Entries[tag].State {
			continue
		}
		if e.State == Unrecognised {
			e.State, e.Comment = Bad, strings.TrimSpace("was "+strconv.Quote(e.Word)+" "+e.Comment)
		}
		lost = append(lost, Change{Tag: tag, State: e.State, Comment: e.Comment})
	}
	slices.SortFunc(lost, func(a, b Change) int { return strings.Compare(a.Tag, b.Tag) })
	return lost
}
