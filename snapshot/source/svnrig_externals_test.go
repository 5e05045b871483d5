package source

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	r.mucc("propset", "svn:externals", "svn://"+r.server.address+"/vendor/trunk "+joinedAt, "trunk")
	return r
}

func TestSVNExternalsConformance(t *testing.T) {
	t.Parallel()
	conform(t, served{"svnserve", joined, false}, func(t *testing.T) rig { return newJoinedRig(t) })
}

func (r *joinedRig) can() abilities {
	can := r.svnRig.can()
	can.rewrite, can.history = neverRewritten, false
	return can
}

// commit records a revision of each repository in which something is edited.
func (r *joinedRig) commit(edits ...edit) {
	r.t.Helper()
	var own, vendors []edit
	for _, e := range edits {
		path, ok := strings.CutPrefix(e.path, joinedAt+"/")
		if !ok {
			own = append(own, e)
			continue
		}
		e.path, e.to = path, strings.TrimPrefix(e.to, joinedAt+"/")
		vendors = append(vendors, e)
	}
	if len(vendors) > 0 {
		r.vendor.commit(vendors...)
	}
	if len(own) > 0 {
		r.svnRepo.commit(own...)
	}
}
