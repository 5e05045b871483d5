package svn

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/remote"
)

// askExternals finds out whether upstream has something new of the externals. It fails if one cannot be had at all, so
// that nothing is changed then: of an update that fails on the way, new files would stand beside old ones.
//
// Those that are not here, or not as they are defined, are not asked for: to bring them is what the update is for.
func (r *run) askExternals(ctx context.Context, f *findings) (news bool, err error) {
	bySite := map[string][]external{}
	for _, e := range f.defined {
		if here, ok := f.infos[e.path]; ok && e.is(here, f.infos[e.dir]) {
			bySite[here.Root] = append(bySite[here.Root], e)
		}
	}
	var found atomic.Bool
	var tasks []func() error
	for _, externals := range bySite { // one that is down is waited for once
		tasks = append(tasks, func() error {
			for _, e := range externals {
				isNew, err := r.askExternal(ctx, f, e)
				if err != nil {
					return err
				}
				if isNew {
					found.Store(true)
				}
			}
			return nil
		})
	}
	err = sideBySide(tasks...)
	return found.Load(), err
}

// askExternal finds out whether upstream has something new of one external, which is also what it is if upstream's newest
// revision does not have the external any more.
func (r *run) askExternal(ctx context.Context, f *findings, e external) (news bool, err error) {
	here := f.infos[e.path]
	revision := "HEAD"
	if e.pinned() {
		revision = here.Revision
	}
	there, err := r.client.remoteInfo(ctx, here.URL, revision, revision)
	if err == nil {
		return !e.pinned() && (there.UUID != here.UUID || there.Commit != here.Commit), nil
	}
	if ctx.Err() == nil && !r.isWanted(ctx, f, e) {
		return true, nil
	}
	return false, fmt.Errorf("ask upstream for the external %s, from %s, without which nothing is updated: %w",
		disk.QuotePath(e.path), remote.Redact(here.URL), err)
}

// isWanted reports whether upstream's newest revision still has an external as it is here, or cannot be asked. One that
// upstream has done away with because it cannot be had must not keep us from following.
func (r *run) isWanted(ctx context.Context, f *findings, e external) bool {
	above := f.infos[e.dir]
	out, err := r.client.remote(ctx, above.URL, "propget", "--xml", "-r", "HEAD", "svn:externals", "--", peg(above.URL, "HEAD"))
	if isGone(err) || hasCode(err, "150000", "200017") { // the directory, or the property, is not there
		return false
	}
	if err != nil {
		return true
	}
	values, err := parseProperties(out, above.URL)
	if err != nil {
		return true
	}
	now := parseExternals(e.dir, values["."])
	if !slices.ContainsFunc(now, func(n external) bool { return n.path == e.path && n.url == e.url }) {
		return false
	}
	// It may be an external's own, which may be gone itself.
	for _, outer := range f.defined {
		if outer.path == e.dir || strings.HasPrefix(e.dir, outer.path+"/") {
			return r.isWanted(ctx, f, outer)
		}
	}
	return true
}
