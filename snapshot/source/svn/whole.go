package svn

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source"
	"golang.org/x/sys/unix"
)

// An external that is not pinned to a revision is brought here after the tree that defines it, and from anywhere. So the
// tree's revision does not say which of the external's belongs to it, and an update that ends between the two leaves a
// mixture that looks whole to svn. Therefore each update that has brought all of it records what it is then.

const (
	// svnRecordName is the name of the record, in the directory in which svn keeps what it knows.
	svnRecordName   = "etchtag-whole"
	svnRecordHeader = "etchtag-svn 1\n"
	// maxSVNRecord bounds what is read of a record, in bytes.
	maxSVNRecord = 16 << 20
)

// places lists where externals are checked out, files too, sorted.
func (f *findings) places() []string {
	places := slices.Clone(f.externals)
	for _, s := range f.status {
		if s.Here.FileExternal {
			places = append(places, s.Path)
		}
	}
	slices.Sort(places)
	return places
}

// floats reports whether there are externals that the tree's revision does not determine.
func (f *findings) floats() bool {
	return slices.ContainsFunc(f.defined, func(e external) bool { return !e.pinned() })
}

// state says what is checked out: of the tree and of each external, which revision last changed it. It stays the same
// when upstream's number grows by what changes nothing here, and when the repositories are reached by other URLs.
func (f *findings) state() string {
	var b strings.Builder
	b.WriteString(f.info.state("."))
	for _, place := range f.places() {
		b.WriteString(f.infos[place].state(place))
	}
	return b.String()
}

func (i wcInfo) state(place string) string {
	return fmt.Sprintf("%q %s %s %q\n", place, cmp.Or(i.Commit.Revision, i.Revision), i.UUID, strings.TrimPrefix(i.URL, i.Root))
}

// proveWhole fails with a MixedError unless all that is checked out came together.
func (r *run) proveWhole(f *findings) error {
	err := f.whole()
	if err == nil && f.floats() {
		err = r.proveRecorded(f)
	}
	if err != nil {
		return &source.MixedError{Dir: r.o.Dir, Err: err}
	}
	return nil
}

// proveRecorded fails unless what is checked out is what the last update that brought all of it has recorded.
func (r *run) proveRecorded(f *findings) error {
	when, state, err := r.readWhole()
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("no update has recorded yet that its externals belong together")
	case err != nil:
		return fmt.Errorf("read what the last update has recorded: %w", err)
	case state != f.state():
		return fmt.Errorf("it and its externals are not what came together last, by %s: an update failed or was interrupted",
			when.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	return nil
}

// recordWhole records that all that is checked out came together.
func (r *run) recordWhole(f *findings) error {
	if !f.floats() {
		return nil
	}
	if _, state, err := r.readWhole(); err == nil && state == f.state() {
		return nil
	}
	text := svnRecordHeader + "whole " + r.o.Now().UTC().Format(time.RFC3339) + "\n" + f.state()
	if err := disk.Replace(svnRecordName, r.adminDir(), r.wholeFile(), []byte(text), 0o644, r.o.Step); err != nil {
		return fmt.Errorf("record what was brought here: %w", err)
	}
	return nil
}

// readWhole reads the record: the state, and when it was recorded.
func (r *run) readWhole() (when time.Time, state string, err error) {
	file, err := disk.OpenFileAt(unix.AT_FDCWD, r.wholeFile())
	if err != nil {
		return when, "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSVNRecord))
	if err != nil {
		return when, "", err
	}
	text, known := strings.CutPrefix(string(data), svnRecordHeader)
	line, state, _ := strings.Cut(text, "\n")
	when, err = time.Parse("whole "+time.RFC3339, line)
	if !known || err != nil {
		return when, "", fmt.Errorf("%q is not a record of ours", r.wholeFile())
	}
	return when, state, nil
}

// adminDir is where svn keeps what it knows of the working copy.
func (r *run) adminDir() string { return filepath.Join(r.wcRoot, svnDir) }

func (r *run) wholeFile() string { return filepath.Join(r.adminDir(), svnRecordName) }
