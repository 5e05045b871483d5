package svn

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/snapshot/source/remote"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// Clone makes the working copy from upstream, in a directory that does not exist or is empty. It is built beside its
// place and renamed when it is whole. If the base is the working copy, Dir is restored in it.
func (s *Source) Clone(ctx context.Context) (out source.Outcome, err error) {
	defer func() { err = remote.RedactError(err) }()
	root, err := workcopy.ClonePlace(s.o.Dir)
	if err != nil {
		return source.Outcome{}, err
	}
	if base, err := s.restoreInBase(ctx, root); base || err != nil {
		if err != nil {
			return source.Outcome{}, err
		}
		return s.Update(ctx)
	}
	r := s.runAt(root)
	r.client = s.in(filepath.Dir(root)) // root need not exist
	r.out.Warnings = workcopy.SweepPrefix(filepath.Dir(root), workcopy.ClonePrefix(root), s.o.Step)
	temp, err := r.checkOut(ctx, s.o.URL)
	if err != nil {
		return source.Outcome{}, fmt.Errorf("clone into %q: %w", s.o.Dir, err)
	}
	defer disk.RemovePath(filepath.Dir(temp))
	return r.out, workcopy.PlaceClone(temp, root, s.o.Step)
}

// restoreInBase restores the directory at root if the base is a working copy that has it.
func (s *Source) restoreInBase(ctx context.Context, root string) (restored bool, err error) {
	if s.o.Base == "" || !disk.Exists(filepath.Join(s.o.Base, svnDir)) {
		return false, nil
	}
	r := s.runAt(root)
	if r.wcRoot, err = filepath.EvalSymlinks(s.o.Base); err != nil || r.rel() == "" {
		return false, err
	}
	base := s.in(r.wcRoot)
	_, err = base.local(ctx, "info", "--xml", "--", peg(r.rel(), ""))
	if hasCode(err, "155010") {
		return false, nil
	}
	if err == nil {
		err = r.write(ctx, "svn revert", func() error {
			_, err := base.local(ctx, "revert", "-q", "-R", "--", peg(r.rel(), ""))
			return err
		})
	}
	if err != nil {
		return false, fmt.Errorf("restore %q in the working copy %q: %w", s.o.Dir, s.o.Base, err)
	}
	return true, nil
}

// checkOut makes a whole working copy of upstream's newest revision beside root, in a directory of its own, and
// completes the outcome.
func (r *run) checkOut(ctx context.Context, rawURL string) (dir string, err error) {
	if _, err := parseSVNURL(rawURL); err != nil {
		return "", err
	}
	up, err := r.ask(ctx, wcInfo{URL: rawURL})
	if err != nil {
		return "", err
	}
	if err := r.refuseEmpty(ctx, up); err != nil {
		return "", err
	}
	temp, err := workcopy.NewCloneDir(r.root, r.o.Step)
	if err != nil {
		return "", err
	}
	dir = filepath.Join(temp, filepath.Base(r.root))
	f, err := r.fill(ctx, dir, up)
	if err != nil {
		return "", errors.Join(err, disk.RemovePath(temp))
	}
	r.out.Revision = f.info.revision()
	r.out.Changed = len(f.work.Files)
	r.o.Progress.Report("checkout", int64(r.out.Changed), int64(r.out.Changed))
	return dir, nil
}

// fill makes a directory and checks a revision out in it.
func (r *run) fill(ctx context.Context, dir string, up *upstream) (*findings, error) {
	if err := disk.MakeDir(dir, disk.DirMode); err != nil {
		return nil, err
	}
	fresh := r.runAt(dir)
	r.o.Progress.Report("checkout", 0, -1)
	err := disk.Labelled(r.o.Step, "svn checkout", func() error {
		_, err := fresh.client.remote(ctx, up.URL, "checkout", "-q", "-r", up.Revision, "--", peg(up.URL, up.Revision), ".")
		return err
	})
	if err != nil {
		return nil, err
	}
	f, err := fresh.inspect(ctx)
	if err != nil {
		return nil, err
	}
	if local := f.local(); len(local) > 0 {
		return nil, fmt.Errorf("the checkout is not exact: %s is another than upstream's", disk.QuotePath(local[0].path))
	}
	if err := f.whole(); err != nil {
		return nil, err
	}
	return f, fresh.conclude(f, up)
}

// followRewritten takes over an upstream that was rewritten.
func (r *run) followRewritten(ctx context.Context, f *findings, up *upstream) error {
	for range maxPasses { // the first one may only find names that keep svn from looking further
		local := f.local()
		if len(local) == 0 {
			break
		}
		if err := r.clear(ctx, f, local, r.newest(ctx, up)); err != nil {
			return err
		}
		var err error
		if f, err = r.look(ctx); err != nil {
			return err
		}
	}
	if err := r.replace(ctx, up.URL, false); err != nil {
		return fmt.Errorf("upstream was rewritten: %s: %w", up.rewritten, err)
	}
	r.out.Rewritten = true
	r.warn("upstream was rewritten: %s; the working copy was checked out anew", up.rewritten)
	return nil
}

// checkOutAnew replaces a working copy that is damaged.
func (r *run) checkOutAnew(ctx context.Context, why error) error {
	rawURL := r.o.URL
	if rawURL == "" {
		if info, err := r.client.info(ctx); err == nil {
			rawURL = info.URL
		}
	}
	if rawURL == "" {
		return fmt.Errorf("the working copy is damaged, and there is no saying where it came from: configure its URL: %w", why)
	}
	if err := r.replace(ctx, rawURL, true); err != nil {
		return fmt.Errorf("the working copy is damaged: %w; checking it out anew: %w", why, err)
	}
	r.warn("the working copy was checked out anew, because the old one is damaged: %v", remote.Redact(why.Error()))
	return nil
}

// replace checks the working copy out anew beside the old one, and exchanges them. The old one is set aside.
func (r *run) replace(ctx context.Context, rawURL string, passOn bool) error {
	if r.inBase() {
		return fmt.Errorf("the base %q is the working copy and has to be checked out anew by hand, because what else stands "+
			"in it must stay", r.o.Base)
	}
	if err := disk.MountedAt(r.root); err != nil {
		return fmt.Errorf("exchange the working copy for a fresh one: %w", err)
	}
	fresh, err := r.checkOut(ctx, rawURL)
	if err != nil {
		return err
	}
	defer disk.RemovePath(filepath.Dir(fresh))
	if passOn {
		if err := r.passOnOld(ctx, fresh); err != nil {
			return err
		}
	}
	if err := disk.Labelled(r.o.Step, "sync working copy", func() error { return disk.SyncFS(fresh) }); err != nil {
		return err
	}
	return r.discard.Exchange(fresh, r.root)
}

// passOnOld tells BeforeReplace of the files of the working copy that are not the same in the fresh one. What they were
// checked out as is not known.
func (r *run) passOnOld(ctx context.Context, fresh string) error {
	if r.o.BeforeReplace == nil {
		return nil
	}
	w, err := walkSVN(ctx, r.root)
	if err != nil {
		return err
	}
	for i := range w.found.Files {
		f := &w.found.Files[i]
		if !f.IsRegular() || f.Stat.Size > workcopy.MaxPassedOn {
			continue
		}
		local, upstream := readSmall(filepath.Join(r.root, f.Path)), readSmall(filepath.Join(fresh, f.Path))
		if local == nil || upstream != nil && bytes.Equal(local, upstream) {
			continue
		}
		if err := r.o.BeforeReplace(f.Path, nil, local, upstream); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) warn(format string, args ...any) {
	r.out.Warnings = append(r.out.Warnings, fmt.Sprintf(format, args...))
}
