package tagging

import (
	"maps"
	"slices"
	"testing"

	"github.com/etch/etchtag/tagging/tag"
)

// FuzzKept holds that of a file of kept tags with any contents one tag can be let go and be kept again, and that all
// others stay as they are.
func FuzzKept(f *testing.F) {
	for _, seed := range []string{
		"# kept\netchautotag-20261122-0900 release 7\ntags/etchautotag-20261121-0900\tticket 4711 # for audit\r\n",
		"\ufeffetchautotag-20261122-0900\u00a0why", "etchautotag-20261122-0900\netchautotag-20261122-0900 again\n", "x y\x00z\n\xff\n", "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := parseKept("kept", data).Reasons
		for name, reason := range kept {
			if _, err := tag.ParseName(name); err != nil || reason == "" {
				t.Fatalf("%q keeps %q for %q", data, name, reason)
			}
		}
		if len(kept) == 0 {
			return
		}
		first := slices.Sorted(maps.Keys(kept))[:1]
		delete(kept, first[0])
		if rest := parseKept("kept", Release(data, first)).Reasons; !maps.Equal(rest, kept) {
			t.Fatalf("%q without %q keeps %q", data, first, rest)
		}
		kept[first[0]] = "another reason"
		if again := parseKept("kept", Keep(data, first, " another\nreason ")).Reasons; !maps.Equal(again, kept) {
			t.Fatalf("%q with another reason for %q keeps %q", data, first, again)
		}
	})
}

func TestReleaseLeavesEveryOtherByte(t *testing.T) {
	t.Parallel()
	const one, two = "etchautotag-20261122-0900", "etchautotag-20261122-1000"
	for data, want := range map[string]string{
		"\ufeff" + one + " why\r\n\r\n# all\n" + two: "\ufeff\r\n# all\n" + two,
		"# " + one + "\r" + one + "\rtags/" + one:    "# " + one + "\r",
		two + "\n" + one:       two + "\n",
		two + " " + one + "\n": two + " " + one + "\n",
	} {
		if got := string(Release([]byte(data), []string{one})); got != want {
			t.Errorf("%q becomes %q, want %q", data, got, want)
		}
	}
}
