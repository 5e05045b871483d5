package cvs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/remote"
	"golang.org/x/sys/unix"
)

// maxCVSPasses is how often the client is run until it finds nothing to do.
const maxCVSPasses = 6

// update brings the working copy to upstream's newest revision.
func (r *run) update(ctx context.Context) error {
	if !disk.Exists(filepath.Join(r.root, cvsDir)) {
		return errors.New("it is not a checkout of CVS")
	}
	record := readCVSRecord(r.root)
	if record != nil {
		r.out.Previous = record.revision.ID
		if record.branch == r.o.Branch && record.module == r.origin.module {
			found, err := inspectCVS(ctx, r.root, record)
			if ctx.Err() != nil {
				return err
			}
			if err == nil && found.admin.digest == record.digest {
				return r.advance(ctx, record, found)
			}
		}
	}
	return r.rebuild(ctx, record)
}

// advance updates a working copy in which nothing but files was changed since the record was made. Until upstream has
// said what it has, nothing is touched.
func (r *run) advance(ctx context.Context, record *treeRecord, found *findings) error {
	r.out.Warnings = append(r.out.Warnings, found.mounts.Warnings()...)
	edited, touched := found.changes(record)
	news, err := r.session.ask(ctx, r.root, r.sticky())
	if local := len(edited) > 0 || !found.exact(); err != nil && (local || isObstructed(err)) {
		return r.rebuildAfter(ctx, record, err) // which asks upstream once more, before anything is touched
	}
	if err != nil {
		return err
	}
	if news.vanished || !news.other && news.removed == len(found.admin.files) {
		return r.rebuild(ctx, record) // which fails, and has changed nothing, if upstream is gone or empty
	}
	if !news.any && found.exact() && len(edited)+len(touched) == 0 {
		r.finish(record)
		return nil
	}
	if err := r.clear(ctx, found, edited); err != nil {
		return err
	}
	if err := r.restore(touched); err != nil {
		return err
	}
	if news.any || len(edited) > 0 || !found.exact() {
		if err := r.runUpdate(ctx, r.root); err != nil {
			return r.rebuildAfter(ctx, record, err)
		}
	}
	before := &findings{admin: found.admin, files: record.files}
	fresh, err := r.complete(ctx, r.root, before, record)
	if err != nil {
		return err
	}
	r.out.Changed = fresh.differs(record) + len(edited)
	r.out.Rewritten = fresh.rewinds(record)
	r.finish(fresh)
	return nil
}

// isObstructed reports whether the client gave up because a directory stands where a file is to be, or the reverse.
func isObstructed(err error) bool {
	var failed *remote.ClientError
	return errors.As(err, &failed) &&
		(strings.Contains(failed.Text, "Is a directory") || strings.Contains(failed.Text, "Not a directory"))
}

// rebuildAfter rebuilds the working copy because the client could not update it, unless that was for want of time.
func (r *run) rebuildAfter(ctx context.Context, record *treeRecord, cause error) error {
	var failed *remote.ClientError
	if ctx.Err() != nil || errors.Is(cause, context.DeadlineExceeded) || !errors.As(cause, &failed) {
		return cause
	}
	if err := r.rebuild(ctx, record); err != nil {
		return fmt.Errorf("%w; checking it out anew failed, too: %w", cause, err)
	}
	return nil
}

func (r *run) runUpdate(ctx context.Context, root string) error {
	r.o.Progress.Report("checkout", 0, -1)
	args := append([]string{"update", "-d", "-P", "-C"}, r.sticky()...)
	return r.session.write(ctx, "run cvs update", root, args...)
}

// complete finishes what the client has written at root: it runs the client until nothing is new any more, so that the
// tree is one that the repository had at one moment, and records it. before is what stood there, and its record, if
// there was any.
func (r *run) complete(ctx context.Context, root string, before *findings, record *treeRecord) (*treeRecord, error) {
	known := record
	var date time.Time
	if record != nil {
		date = record.revision.Time
	}
	for range maxCVSPasses {
		stamp, err := r.stampOf(root)
		if err != nil {
			return nil, err
		}
		found, err := inspectCVS(ctx, root, known)
		if err == nil && len(found.admin.files) == 0 {
			err = errors.New("upstream has no files at all: it is not followed")
		}
		if err == nil {
			err = r.checkEntries(found.admin)
		}
		if err != nil {
			return nil, err
		}
		calm := before != nil && before.admin.digest == found.admin.digest
		edited := found.unlike(before)
		if calm && found.exact() && len(edited) == 0 {
			return r.record(root, found, record, stamp, date)
		}
		if err := r.clearIn(ctx, root, found, edited); err != nil {
			return nil, err
		}
		if !calm {
			if date.IsZero() {
				date = found.newest()
			}
			if date, err = r.newestCommit(ctx, root, date, found.changedSince(before)); err != nil {
				return nil, err
			}
		}
		if err := r.runUpdate(ctx, root); err != nil {
			return nil, err
		}
		before, known = found, &treeRecord{files: found.files, stamp: stamp}
	}
	return nil, fmt.Errorf("upstream or the working copy was changed again and again while it was updated")
}

// record writes the record of what was found at root, unless the one that is there says the same.
func (r *run) record(root string, found *findings, old *treeRecord, stamp int64, date time.Time) (*treeRecord, error) {
	if old != nil && old.digest == found.admin.digest && found.untouched(old) {
		return old, nil
	}
	if err := disk.Labelled(r.o.Step, "sync working copy", func() error { return disk.SyncFS(root) }); err != nil {
		return nil, err
	}
	fresh := &treeRecord{
		revision: newCVSRevision(date, found.admin.entries),
		module:   r.origin.module, port: r.origin.root.port, branch: r.o.Branch,
		digest: found.admin.digest, stamp: stamp, files: found.files,
	}
	var err error
	if fresh.root, err = readCVSLine(root, "Root"); err != nil {
		return nil, err
	}
	if fresh.repository, err = readCVSLine(root, "Repository"); err != nil {
		return nil, err
	}
	return fresh, fresh.write(root, r.o.Step)
}

// differs counts the files that are not alike in two records.
func (r *treeRecord) differs(old *treeRecord) int {
	count := 0
	for i := range r.files {
		if was := old.find(r.files[i].path); was == nil || !was.sameTree(&r.files[i]) {
			count++
		}
	}
	for i := range old.files {
		if r.find(old.files[i].path) == nil {
			count++
		}
	}
	return count
}

// stampOf returns the present time, as the file system of root tells it.
func (r *run) stampOf(root string) (stamp int64, err error) {
	err = disk.Labelled(r.o.Step, "take time", func() error {
		f, err := disk.NewTemp(filepath.Join(root, cvsDir), disk.TempPrefix+"*")
		if err != nil {
			return err
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		stamp = st.Ctim.Nano()
		return errors.Join(err, f.Close(), disk.Remove(f.Name()))
	})
	if err != nil {
		return 0, fmt.Errorf("take the time of the working copy's file system: %w", err)
	}
	return stamp, nil
}

// restore gives files that were only touched the mode and time that they had, so that the client takes them for
// unedited.
func (r *run) restore(touched []*recordedFile) error {
	top, err := os.Open(r.root)
	if err != nil {
		return err
	}
	defer top.Close()
	d := disk.Dirs{Root: int(top.Fd())}
	defer d.Close()
	for _, f := range touched {
		dir, name := disk.SplitPath(f.path)
		fd, err := d.At(dir)
		if err == nil {
			err = disk.Labelled(r.o.Step, "restore mode and time", func() error { return restoreAt(fd, name, f) })
		}
		if err != nil {
			return fmt.Errorf("restore the mode and time of %s: %w", disk.QuotePath(f.path), err)
		}
	}
	return nil
}

func restoreAt(dir int, name string, f *recordedFile) error {
	file, err := disk.OpenFileAt(dir, name)
	if err != nil {
		return err
	}
	defer file.Close()
	t := unix.NsecToTimespec(f.mtime)
	return errors.Join(disk.ChmodOpen(int(file.Fd()), f.mode&0o7777),
		disk.SetTimes(int(file.Fd()), "", []unix.Timespec{t, t}))
}
