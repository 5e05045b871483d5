package svn

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/sourcetest"
	"github.com/etch/etchtag/snapshot/testbed"
)

// joinedRig is an upstream of two repositories behind one valve: what is below source/etc is an external, which is always
// its repository's newest.
type joinedRig struct {
	*svnRig
	vendor *svnRepo
}

const joinedAt = "source/etc"

func newJoinedRig(t *testing.T) *joinedRig {
	t.Helper()
	r := &joinedRig{&svnRig{svnRepo: newSVNRepo(t), base: t.TempDir()}, newSVNRepo(t)}
	if err := os.Symlink(r.vendor.dir, filepath.Join(filepath.Dir(r.svnRepo.dir), "vendor")); err != nil {
		t.Fatal(err)
	}
	r.serveSVN("")
	r.mucc("propset", "svn:externals", "svn://"+r.server.Address+"/vendor/trunk "+joinedAt, "trunk")
	return r
}

func TestSVNExternalsConformance(t *testing.T) {
	t.Parallel()
	sourcetest.Conform(t, sourcetest.Served{Name: "svnserve", Role: sourcetest.Joined}, func(t *testing.T) sourcetest.Rig { return newJoinedRig(t) })
}

func (r *joinedRig) Can() sourcetest.Abilities {
	can := r.svnRig.Can()
	can.Rewrite, can.History = sourcetest.NeverRewritten, false
	return can
}

// Commit records a revision of each repository in which something is edited.
func (r *joinedRig) Commit(edits ...testbed.Edit) {
	r.t.Helper()
	var own, vendors []testbed.Edit
	for _, e := range edits {
		path, ok := strings.CutPrefix(e.Path, joinedAt+"/")
		if !ok {
			own = append(own, e)
			continue
		}
		e.Path, e.To = path, strings.TrimPrefix(e.To, joinedAt+"/")
		vendors = append(vendors, e)
	}
	if len(vendors) > 0 {
		r.vendor.commit(vendors...)
	}
	if len(own) > 0 {
		r.svnRepo.commit(own...)
	}
}
