package svn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// maxPasses is how often a working copy is put right before we give up: others may be at work in it.
const maxPasses = 4

// Update brings the working copy to upstream's newest revision, exactly: what is local is set aside and undone.
// Nothing is changed unless upstream can be reached, that of each external, too, and has what is followed. A working copy that is damaged, and one
// whose upstream was rewritten (another repository at the same URL, or one restored from an older backup), is
// checked out anew beside the old one and then exchanged for it.
//
// If the base is the working copy, that is meant of Dir alone. What upstream changed or added outside Dir is updated,
// but nothing is removed or overwritten there, and a local edit or a conflict is an error, before anything is changed.
// An edit of a file that IsTagstate accepts is a warning, as long as upstream has not changed that file, too.
func (s *Source) Update(ctx context.Context) (out source.Outcome, err error) {
	r, err := s.begin()
	if err != nil {
		return source.Outcome{}, err
	}
	defer func() {
		r.nextDiscard()
		out = r.out
		if err != nil {
			err = remote.RedactError(fmt.Errorf("update the working copy %q: %w", s.o.Dir, err))
		}
	}()
	r.out.Warnings = slices.Concat(workcopy.SweepPrefix(filepath.Dir(r.root), workcopy.ClonePrefix(r.root), s.o.Step),
		workcopy.SweepPrefix(r.adminDir(), disk.TempPrefix, s.o.Step))
	err = r.update(ctx)
	if isSVNDamage(err) && ctx.Err() == nil {
		err = r.checkOutAnew(ctx, err)
	}
	return r.out, err
}

func (r *run) update(ctx context.Context) error {
	info, err := r.client.info(ctx)
	if err != nil {
		return err
	}
	if reason := r.foreign(info); reason != "" {
		return errors.New(reason)
	}
	if info.URL, err = r.relocate(ctx, info); err != nil {
		return err
	}
	r.out.Previous = info.Revision
	var up *upstream
	var first *findings
	var lookErr, askErr error
	_ = sideBySide(
		func() error { first, lookErr = r.look(ctx); return nil },
		func() error { up, askErr = r.ask(ctx, info); return nil },
	)
	if askErr != nil || lookErr != nil {
		// What is damaged is checked out anew, which takes an upstream that answers.
		return errors.Join(askErr, lookErr)
	}
	if err := r.compare(ctx, first, up); err != nil {
		return err
	}
	if up.rewritten != "" {
		return r.followRewritten(ctx, first, up)
	}
	outside, err := r.lookOutside(ctx)
	if err != nil {
		return err
	}
	f, err := r.makeExact(ctx, first, up)
	if err != nil {
		return err
	}
	if err := r.updateOutside(ctx, outside, up); err != nil {
		return err
	}
	r.out.Revision = f.info.revision()
	r.out.Changed += fileChanges(r.before, f.work)
	r.out.Warnings = append(r.out.Warnings, f.work.Mounts.Warnings()...)
	return nil
}

// relocate makes the working copy follow the URL that is configured, if it is another spelling of the one that it
// follows. svn proves that it is the same repository.
func (r *run) relocate(ctx context.Context, info wcInfo) (string, error) {
	if r.o.URL == "" || r.inBase() || !differentUser(info.URL, r.o.URL) {
		return info.URL, nil
	}
	err := r.write(ctx, "svn relocate", func() error {
		_, err := r.client.remote(ctx, r.o.URL, "relocate", "--", r.o.URL, ".")
		return err
	})
	if err != nil {
		return "", err
	}
	info, err = r.client.info(ctx)
	return info.URL, err
}

// look inspects the working copy, after cleaning up what an interrupted svn left, if need be.
func (r *run) look(ctx context.Context) (f *findings, err error) {
	err = r.unlocked(ctx, func() error {
		f, err = r.inspect(ctx)
		return err
	})
	return f, err
}

// write runs something that changes the working copy.
func (r *run) write(ctx context.Context, label string, run func() error) error {
	return disk.Labelled(r.o.Step, label, func() error { return r.unlocked(ctx, run) })
}

// unlocked does something once more if it fails because an interrupted svn has left a lock or an unfinished operation.
func (r *run) unlocked(ctx context.Context, do func() error) error {
	err := do()
	if !isLocked(err) {
		return err
	}
	if file := filepath.Join(r.wcRoot, svnDir, "wc.db"); isOpen(file) {
		return fmt.Errorf("another process is at work in the working copy: %w", err)
	}
	err = disk.Labelled(r.o.Step, "svn cleanup", func() error {
		_, err := r.in(r.wcRoot).local(ctx, "cleanup", "--include-externals", "--", ".")
		return err
	})
	if err == nil {
		err = do()
	}
	if hasCode(err, "155037") {
		return &stuckError{err}
	}
	return err
}

// isOpen reports whether a process has a file open, as far as we may see.
func isOpen(file string) bool {
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && target == file {
			return true
		}
	}
	return false
}

// upstream is what upstream has.
type upstream struct {
	wcInfo           // of the newest revision
	same      bool   // nothing below the URL has changed since the working copy's revision
	asked     bool   // it was asked about the externals
	news      bool   // it has something new of them
	rewritten string // why what is checked out is no revision of upstream's any more
}

// ask asks upstream what is newest.
func (r *run) ask(ctx context.Context, info wcInfo) (*upstream, error) {
	newest, err := r.client.remoteInfo(ctx, info.URL, "HEAD", "HEAD")
	if isGone(err) {
		return nil, fmt.Errorf("upstream does not have %s (any more): %w", remote.Redact(info.URL), err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask upstream %s: %w", remote.Redact(info.URL), err)
	}
	if newest.Kind != "dir" {
		return nil, fmt.Errorf("upstream's %s is not a directory (any more)", remote.Redact(info.URL))
	}
	return &upstream{wcInfo: newest}, nil
}

// compare finds out what upstream's newest revision is to the one that is checked out.
func (r *run) compare(ctx context.Context, f *findings, up *upstream) error {
	here := f.info
	had, has := number(here.Revision), number(up.Revision)
	switch {
	case here.UUID != up.UUID:
		up.rewritten = fmt.Sprintf("another repository is at its URL, %s instead of %s", up.UUID, here.UUID)
	case has < had:
		up.rewritten = fmt.Sprintf("its newest revision is %d, but %d was checked out: it was restored from a backup, it seems",
			has, had)
	case f.interrupted(): // the working copy does not know what it is
	case here.Commit == up.Commit:
		up.same = true
	case has == had || number(up.Commit.Revision) <= number(here.Commit.Revision):
		up.rewritten = otherCommit(had, up.wcInfo, here)
	default:
		then, err := r.client.remoteInfo(ctx, up.URL, here.Revision, here.Revision)
		if err != nil && !isGone(err) {
			return err
		}
		if then.Commit != here.Commit {
			up.rewritten = otherCommit(had, then, here)
		}
	}
	if up.same {
		return nil
	}
	return r.refuseEmpty(ctx, up)
}

func otherCommit(revision int64, upstream, here wcInfo) string {
	return fmt.Sprintf("its revision %d is another one: it was last changed by r%s of %s, what was checked out by r%s of %s",
		revision, upstream.Commit.Revision, upstream.Commit.Date, here.Commit.Revision, here.Commit.Date)
}

// refuseEmpty returns an error if there are no files at all upstream.
func (r *run) refuseEmpty(ctx context.Context, up *upstream) error {
	out, err := r.client.remote(ctx, up.URL, "list", "--", peg(up.URL, up.Revision))
	if err != nil {
		return fmt.Errorf("list upstream's revision %s: %w", up.Revision, err)
	}
	if len(out) == 0 {
		return fmt.Errorf("upstream's revision %s has no files at all: it is not followed", up.Revision)
	}
	return nil
}

// interrupted reports whether an update of the root itself was interrupted.
func (f *findings) interrupted() bool {
	for _, s := range f.status {
		if s.Path == "." && s.Here.Item == "incomplete" {
			return true
		}
	}
	return false
}

// makeExact makes the working copy exactly upstream's revision, or with no upstream the one that is checked out. f is what
// it is found to be. What it returns is what it has become.
func (r *run) makeExact(ctx context.Context, f *findings, up *upstream) (_ *findings, err error) {
	r.before = &workcopy.Copy{Files: slices.Clone(f.work.Files)}
	for range maxPasses {
		if up != nil && !up.asked && len(f.strange) == 0 {
			if up.news, err = r.askExternals(ctx, f); err != nil {
				return nil, err
			}
			up.asked = true
		}
		local := f.local()
		stale := up != nil && len(f.strange) == 0 && (f.whole() != nil || up.news || f.info.Revision != up.Revision && !up.same)
		if len(local) == 0 && !stale {
			return f, r.conclude(f, up)
		}
		if len(local) > 0 {
			if err := r.clear(ctx, f, local, r.newest(ctx, up)); err != nil {
				return nil, err
			}
		}
		if stale {
			if err := r.advance(ctx, f, up); err != nil {
				return nil, err
			}
			up.news = false
		}
		if f, err = r.look(ctx); err != nil {
			return nil, err
		}
	}
	if local := f.local(); len(local) > 0 {
		return nil, fmt.Errorf("it cannot be made exactly revision %s: %s goes on being another", f.info.Revision,
			disk.QuotePath(local[0].path))
	}
	return nil, errors.Join(fmt.Errorf("it cannot be made exactly revision %s", f.info.Revision), f.whole())
}

// conclude completes a working copy in which nothing is to be done any more.
func (r *run) conclude(f *findings, up *upstream) error {
	prove := r.proveWhole
	if up != nil { // all of it was brought here, or is what upstream has now
		prove = r.recordWhole
	}
	if err := prove(f); err != nil {
		return err
	}
	return r.setModes(f)
}

// advance runs svn update.
func (r *run) advance(ctx context.Context, f *findings, up *upstream) error {
	args := []string{"-r", up.Revision}
	if f.sparse {
		args = append(args, "--set-depth", "infinity")
	}
	for _, dir := range f.externals {
		if v := f.versions[dir]; v.switched || v.partial { // svn fetches it anew
			err := disk.Labelled(r.o.Step, "remove external", func() error { return disk.RemoveBeneath(r.root, dir) })
			if err != nil {
				return err
			}
		}
	}
	r.o.Progress.Report("checkout", 0, -1)
	return r.write(ctx, "svn update", func() error {
		if f.versions["."].switched { // which undoes it below, too
			args := append([]string{"--ignore-ancestry"}, args...)
			_, err := r.client.remote(ctx, up.URL, "switch", append(args, "--", peg(up.URL, up.Revision), ".")...)
			return err
		}
		_, err := r.client.remote(ctx, up.URL, "update", append(args, "--", ".")...)
		return err
	})
}

// number is a revision's number, as svn has written it.
func number(revision string) int64 {
	n, _ := strconv.ParseInt(revision, 10, 64)
	return n
}
