package checkout

import (
	"context"
	"testing"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/etch/etchtag/snapshot/source/git/object"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
	"github.com/go-git/go-git/v5/plumbing"
)

// publishedAsArchived fails the test unless a commit comes out exactly as `git archive` has it.
func publishedAsArchived(t testbed.Failer, gitDir string, commit plumbing.Hash) {
	t.Helper()
	tree, err := NewTree(context.Background(), gitDir, source.Revision{ID: commit.String()})
	if err != nil {
		t.Fatalf("listing: %v", err)
	}
	sourcetest.Published(t, tree).Same(t, "what is published", gittest.Archived(t, gitDir, commit))
}

func openedObjects(t testing.TB, gitDir string) *object.Reader {
	t.Helper()
	o, err := object.Open(gitDir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	return o
}
