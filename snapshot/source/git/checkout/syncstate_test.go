package checkout

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/go-git/go-git/v5/plumbing"
)

// FuzzSyncState holds that of a file with any contents nothing is believed but what stands there in full.
func FuzzSyncState(f *testing.F) {
	whole := syncState{commit: plumbing.NewHash(gittest.HashA)}.String()
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)-1]))
	f.Add([]byte(gittest.HashA + "\n" + gittest.HashB + "\r\nx\n"))
	f.Add([]byte(""))
	name := filepath.Join(f.TempDir(), "state")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := ReadState(name)
		if err != nil {
			t.Fatal(err)
		}
		if s != (syncState{}) {
			lines := "\n" + strings.ToLower(string(data)) + "\n"
			for line := range strings.Lines(s.String()) {
				if !strings.Contains(lines, "\n"+line) {
					t.Fatalf("%q is read as %+v", data, s)
				}
			}
		}
		commits, err := readJournal(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range commits {
			if !strings.Contains(strings.ToLower(string(data)), c.String()) {
				t.Fatalf("%q has %s", data, c)
			}
		}
		if n := strings.Count(journalText(commits, plumbing.NewHash(gittest.HashA)), "\n"); n > maxJournal {
			t.Fatalf("the journal grows to %d lines", n)
		}
	})
}
