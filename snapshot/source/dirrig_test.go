package source

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
)

// dirRig is a tree that rsync keeps like another.
type dirRig struct {
	t      *testing.T
	base   string
	master string
}

func TestDirConformance(t *testing.T) {
	t.Parallel()
	conform(t, served{"rsync", chief, true}, newDirRig)
}

func newDirRig(t *testing.T) rig {
	needProgram(t, "rsync")
	r := &dirRig{t: t, base: t.TempDir()}
	r.master = filepath.Join(r.base, "master")
	if err := os.Mkdir(r.master, 0o755); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *dirRig) can() abilities {
	return abilities{links: true, modes: true, modeChanges: true, emptyDirs: true, replaces: true}
}

func (r *dirRig) source(rigOptions) Source {
	return NewDir(DirOptions{Dir: r.dir(), TreeHash: testTreeHash, Sleep: noSleep})
}

func (r *dirRig) dir() string      { return filepath.Join(r.base, "trunk") }
func (r *dirRig) discards() string { return filepath.Join(r.base, "discarded") }

func (r *dirRig) commit(edits ...edit) {
	r.t.Helper()
	editTree(r.t, r.master, edits)
	out, err := exec.Command("rsync", "-a", "--checksum", "--delete", r.master+"/", r.dir()).CombinedOutput()
	if err != nil {
		r.t.Fatalf("rsync: %v\n%s", err, out)
	}
}

func (r *dirRig) upstream() listing { return listDir(r.t, r.master) }
func (r *dirRig) newest() string    { return "" }
func (r *dirRig) valve() *valve     { return nil }

func (r *dirRig) rewrite(...edit) { r.t.Fatal("a plain tree has no history") }

func (r *dirRig) deletePath() {
	r.t.Helper()
	if err := os.RemoveAll(r.dir()); err != nil {
		r.t.Fatal(err)
	}
}

// testTreeHash names a tree by all that is published of it.
func testTreeHash(entries []ExportedEntry) string {
	hash := sha256.New()
	for _, e := range entries {
		fmt.Fprintf(hash, "%c %q %x\n", e.Mode, e.Path, e.Hash)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// noSleep is for trees that hold still.
func noSleep(context.Context, time.Duration) error { return errors.New("the tree did not hold still") }
