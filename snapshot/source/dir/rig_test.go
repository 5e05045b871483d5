package dir

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// dirRig is a tree that rsync keeps like another.
type dirRig struct {
	t      *testing.T
	base   string
	master string
}

func TestDirConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Conform(t, sourcetest.Served{Name: "rsync", Role: sourcetest.Chief, Large: true}, newDirRig)
}

func newDirRig(t *testing.T) sourcetest.Rig {
	testbed.NeedProgram(t, "rsync")
	r := &dirRig{t: t, base: t.TempDir()}
	r.master = filepath.Join(r.base, "master")
	if err := os.Mkdir(r.master, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *dirRig) Can() sourcetest.Abilities {
	return sourcetest.Abilities{Links: true, Modes: true, ModeChanges: true, EmptyDirs: true, Replaces: true}
}

func (r *dirRig) Source(sourcetest.RigOptions) source.Source {
	return New(Options{Dir: r.Dir(), TreeHash: testTreeHash, Sleep: noSleep})
}

func (r *dirRig) Dir() string      { return filepath.Join(r.base, "trunk") }
func (r *dirRig) Discards() string { return filepath.Join(r.base, "discarded") }

func (r *dirRig) Commit(edits ...testbed.Edit) {
	r.t.Helper()
	testbed.EditTree(r.t, r.master, edits)
	out, err := exec.Command("rsync", "-a", "--checksum", "--delete", r.master+"/", r.Dir()).CombinedOutput()
	if err != nil {
		r.t.Fatalf("rsync: %v\n%s", err, out)
	}
}

func (r *dirRig) Upstream() testbed.Listing { return testbed.ListDir(r.t, r.master) }
func (r *dirRig) Newest() string            { return "" }
func (r *dirRig) Valve() *testbed.Valve     { return nil }

func (r *dirRig) Rewrite(...testbed.Edit) { r.t.Fatal("a plain tree has no history") }

func (r *dirRig) DeletePath() {
	r.t.Helper()
	if err := os.RemoveAll(r.Dir()); err != nil {
		r.t.Fatal(err)
	}
}

// testTreeHash names a tree by all that is published of it.
func testTreeHash(entries []source.ExportedEntry) string {
	hash := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(hash, "%c %q %x\n", e.Mode, e.Path, e.Hash)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// noSleep is for trees that hold still.
func noSleep(context.Context, time.Duration) error { return errors.New("the tree did not hold still") }
