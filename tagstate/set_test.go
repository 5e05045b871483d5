package tagstate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/etch/etchtag/tagstate"
)

// words are what a file may say of a tag: "" is nothing at all.
var words = []string{"", "good", "oops", "bad", "badfwd"}

func file(path, word string) *tagstate.File {
	if word == "" {
		return tagstate.Parse(path, nil, valid)
	}
	return tagstate.Parse(path, []byte(tag(1)+" "+word+"\n"), valid)
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
			want := [...]tagstate.Entry{{}, a.Entries[tag(1)], b.Entries[tag(1)]}[from]
			if diff := cmp.Diff(want, tagstate.Merge(a, b).Get(tag(1))); diff != "" {
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
			if e := f.Entries[tag(1)]; e.State != none && weight[e.State] >= weight[want.State] {
				want = e
			}
		}
		if got := tagstate.Merge(files...).Get(tag(1)); got != want {
			t.Fatalf("got %v, want %v", got, want)
		}
	})
}

func TestSetTellsWhichFilesMarkATag(t *testing.T) {
	a := tagstate.Parse("a", []byte(tag(1)+" bad\n"+tag(3)+" good\nx\n"), valid)
	b := tagstate.Parse("b", []byte(tag(2)+" good\n"+tag(1)+" good\ny\n"), valid)
	s := tagstate.Merge(a, b)
	if diff := cmp.Diff([]tagstate.Entry{a.Entries[tag(1)], b.Entries[tag(1)]}, s.From(tag(1))); diff != "" {
		t.Errorf("From (-want +got):\n%s", diff)
	}
	all := []tagstate.Entry{a.Entries[tag(1)], b.Entries[tag(2)], a.Entries[tag(3)]}
	if diff := cmp.Diff(all, s.Entries()); diff != "" {
		t.Errorf("Entries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]tagstate.Warning{a.Warnings[0], b.Warnings[0]}, s.Warnings()); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
}

func TestANilSetSaysNothing(t *testing.T) {
	var s *tagstate.Set
	if s.Get(tag(1)) != (tagstate.Entry{}) || s.Entries() != nil || s.From(tag(1)) != nil || s.Warnings() != nil {
		t.Error("it says something")
	}
}
