package checkout

import (
	"crypto/sha1" // identifies an index, proves nothing
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/go-git/go-git/v5/plumbing"
)

const (
	// StateName is the file in the git directory that says what the index stands for.
	StateName = "etchtag-state"
	// JournalName is the file in the git directory that exists while the working copy is being changed.
	JournalName = "etchtag-journal"
	// maxJournal bounds the commits that interrupted runs leave in the journal.
	maxJournal = 32
)

// syncState says which commit an index stands for, so that an unchanged working copy is known to be so
// without reading any object.
type syncState struct {
	index      [sha1.Size]byte // of the index file
	commit     plumbing.Hash
	attributes [sha1.Size]byte // of all that decides on conversions
	objects    [sha1.Size]byte // storeSignature of the objects, among which all of the commit's are
}

func (s syncState) String() string {
	return fmt.Sprintf("index %x\ncommit %s\nattributes %x\nobjects %x\n", s.index, s.commit, s.attributes, s.objects)
}

// ReadState reads the state file. One that is missing or damaged says nothing: it is a shortcut.
func ReadState(path string) (syncState, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return syncState{}, nil
	}
	if err != nil {
		return syncState{}, fmt.Errorf("read what the index stands for: %w", err)
	}
	var s syncState
	fields := map[string][]byte{"index": s.index[:], "commit": s.commit[:], "attributes": s.attributes[:],
		"objects": s.objects[:]}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		into := fields[key]
		if raw, err := hex.DecodeString(value); err == nil && len(raw) == len(into) {
			copy(into, raw)
			delete(fields, key)
		}
	}
	if len(fields) > 0 {
		return syncState{}, nil
	}
	return s, nil
}

// readJournal returns the commits that interrupted runs were bringing the working copy to.
func readJournal(path string) ([]plumbing.Hash, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal of an interrupted update: %w", err)
	}
	var commits []plumbing.Hash
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if plumbing.IsHash(line) {
			commits = append(commits, plumbing.NewHash(line))
		}
	}
	return commits, nil
}

// journalText is what the journal is to hold once target is under way too.
func journalText(before []plumbing.Hash, target plumbing.Hash) string {
	commits := slices.DeleteFunc(slices.Clone(before), func(h plumbing.Hash) bool { return h == target })
	commits = append(commits, target)
	var text strings.Builder
	for _, h := range commits[max(0, len(commits)-maxJournal):] {
		fmt.Fprintf(&text, "%s\n", h)
	}
	return text.String()
}

// replaceFile replaces a small file of the git directory atomically and durably.
func (w *Worktree) replaceFile(name, text string) error {
	return disk.Replace(name, w.GitDir, w.file(name), []byte(text), 0o644, w.Step)
}

// StoreIsWhole reports whether the object store is as it was when all that the index stands for was last
// proved to be in it.
func StoreIsWhole(state syncState, commonDir string) bool {
	now, err := object.StoreSignature(commonDir)
	return err == nil && now == state.objects
}
