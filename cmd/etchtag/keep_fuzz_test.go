package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/etch/etchtag/tagging"
)

// FuzzKept holds that of a file of kept tags with any contents one tag can be let go, and that all others stay as they are.
func FuzzKept(f *testing.F) {
	for _, seed := range []string{
		"# kept\netchautotag-20261122-0900 release 7\ntags/etchautotag-20261121-0900\tticket 4711 # for audit\r\n",
		"\ufeffetchautotag-20261122-0900\u00a0why", "etchautotag-20261122-0900\netchautotag-20261122-0900 again\n", "x y\x00z\n\xff\n", "",
	} {
		f.Add([]byte(seed))
	}
	s := &site{layout: tagging.Layout{Base: f.TempDir()}}
	read := func(t *testing.T, data []byte) map[string]string {
		if err := os.WriteFile(filepath.Join(s.layout.Base, "kept"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		kept, _, err := s.readKept()
		if err != nil {
			t.Fatal(err)
		}
		return kept
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := read(t, data)
		var names []string
		for name, reason := range kept {
			if _, err := tagging.ParseName(name); err != nil || reason == "" {
				t.Fatalf("%q keeps %q for %q", data, name, reason)
			}
			names = append(names, name)
		}
		if len(names) == 0 {
			return
		}
		slices.Sort(names)
		rest := read(t, withoutKept(data, names[:1]))
		if _, still := rest[names[0]]; still || len(rest) != len(kept)-1 {
			t.Fatalf("%q without %q keeps %q", data, names[0], rest)
		}
		for name, reason := range rest {
			if kept[name] != reason {
				t.Fatalf("%q without %q keeps %q for %q", data, names[0], name, reason)
			}
		}
	})
}
