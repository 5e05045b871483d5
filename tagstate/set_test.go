package tagstate_test

import (
	"fmt"
	"testing"

	"github.com/etch/etchtag/tagstate/lines/linestest"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etch/etchtag/tagstate"
)

// words are what a file may say of a tag: "" is nothing at all.
var words = []string{"", "good", "oops", "bad", "badfwd"}

func file(path, word string) *tagstate.File {
	if word == "" {
		return tagstate.Parse(path, nil, linestest.Valid)
	}
	return tagstate.Parse(path, []byte(linestest.Tag(1)+" "+word+"\n"), linestest.Valid)
}

func TestMergeOfTwoFiles(t *testing.T) {
	// Rows: the earlier file; columns: the later one, both in the order of words. 1 and 2 say whose
	// entry counts, 0 that there is none.
	table := [5][5]int{
		{0, 2, 2, 2, 2},
		{1, 2, 2, 2, 2},
		{1, 1, 2, 2, 2},
		{1, 1, 1, 2, 2},
		{1, 1, 1, 2, 2},
	}
	for i, row := range table {
		for j, from := range row {
			a, b := file("a", words[i]), file("b", words[j])
			want := [...]tagstate.Entry{{}, a.Entries[linestest.Tag(1)], b.Entries[linestest.Tag(1)]}[from]
			if diff := cmp.Diff(want, tagstate.Merge(a, b).Get(linestest.Tag(1))); diff != "" {
				t.Errorf("%q then %q (-want +got):\n%s", words[i], words[j], diff)
			}
		}
	}
}

func TestMergeOfManyFilesIsDecidedByTheStrongestThenTheLatest(t *testing.T) {
	weight := map[tagstate.State]int{none: 0, good: 1, unrecognised: 2, bad: 3, badfwd: 3}
	rapid.Check(t, func(t *rapid.T) {
		var files []*tagstate.File
		var want tagstate.Entry
		for i, word := range rapid.SliceOf(rapid.SampledFrom(words)).Draw(t, "words") {
			f := file(fmt.Sprint(i), word)
			files = append(files, f, nil)
			if e := f.Entries[linestest.Tag(1)]; e.State != none && weight[e.State] >= weight[want.State] {
				want = e
			}
		}
		if got := tagstate.Merge(files...).Get(linestest.Tag(1)); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestSetTellsWhichFilesMarkATag(t *testing.T) {
	a := tagstate.Parse("a", []byte(linestest.Tag(1)+" bad\n"+linestest.Tag(3)+" good\nx\n"), linestest.Valid)
	b := tagstate.Parse("b", []byte(linestest.Tag(2)+" good\n"+linestest.Tag(1)+" good\ny\n"), linestest.Valid)
	s := tagstate.Merge(a, b)
	if diff := cmp.Diff([]tagstate.Entry{a.Entries[linestest.Tag(1)], b.Entries[linestest.Tag(1)]}, s.From(linestest.Tag(1))); diff != "" {
		t.Errorf("From (-want +got):\n%s", diff)
	}
	all := []tagstate.Entry{a.Entries[linestest.Tag(1)], b.Entries[linestest.Tag(2)], a.Entries[linestest.Tag(3)]}
	if diff := cmp.Diff(all, s.Entries()); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]tagstate.Warning{a.Warnings[0], b.Warnings[0]}, s.Warnings()); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
}

func TestANilSetSaysNothing(t *testing.T) {
	var s *tagstate.Set
	if s.Get(linestest.Tag(1)) != (tagstate.Entry{}) || s.Entries() != nil || s.From(linestest.Tag(1)) != nil || s.Warnings() != nil {
		t.Error("it says something")
	}
}
