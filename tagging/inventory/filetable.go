package inventory

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"github.com/google/renameio/v2"
	"golang.org/x/sys/unix"
)

// RefreshFileTable makes the table of the file at path, for a File that is given both, unless there is
// one already that is whole and of the very file that is there. The table is replaced in one durable step,
// so that lookups go on meanwhile. Whoever may read the file may read it, and nobody else.
//
// A mistake in the file is returned as a *Fault, each time, and the table says so too: lookups then fail at
// once, without reading a file that they cannot use. After any other error they read the file in full. One
// such error is a file that was changed this very moment: if it were changed again, that might not show.
//
// Step, if not nil, is called before each operation that changes something, with a label such as "create
// file table". The operation fails with the error that it returns. The caller sees to it that nobody sweeps
// the table's directory meanwhile.
func RefreshFileTable(path, tablePath string, step func(label string) error) (rebuilt bool, err error) {
	err = NewFile(path, tablePath).openTable(func(t *table) error {
		return t.hosts(func(string, entry) bool { return true }) // proves all that a lookup might read
	})
	if err == nil {
		return false, nil
	}
	if fault, ok := errors.AsType[*parse.Fault](err); ok {
		return false, fault
	}
	fault, err := fileTable{path, tablePath, step, touch}.replace()
	switch {
	case err != nil:
		return false, fmt.Errorf("make the table of %s: %w", path, err)
	case fault != nil:
		return true, fault
	}
	return true, nil
}

// fileTable is a table that is being made.
type fileTable struct {
	path  string // of the file
	table string
	step  func(label string) error
	now   func(temporary *os.File) (time.Time, error) // by the clock of file systems
}

// replace makes the table and puts it in its place.
func (t fileTable) replace() (fault *parse.Fault, err error) {
	var dir *os.Root
	var f *renameio.PendingFile
	err = t.do("create file table", func() (err error) {
		if dir, err = openOwnRoot(filepath.Dir(t.table)); err != nil {
			return err
		}
		f, err = renameio.NewPendingFile(filepath.Base(t.table), renameio.WithRoot(dir), renameio.WithStaticPermissions(0o600))
		return err
	})
	if dir != nil {
		defer dir.Close()
	}
	if err != nil {
		return nil, err
	}
	defer f.Cleanup()
	now, err := t.awaitTick(f.File)
	if err != nil {
		return nil, err
	}
	text, info, err := parse.File(t.path)
	if err != nil {
		return nil, err
	}
	source := identityOf(info)
	if !source.certainAt(now) {
		return nil, errors.New("the time of the file's last change is not past yet, so that another one might not show")
	}
	err = t.do("write file table", func() error {
		if fault, err = compileFile(f, t.path, text, source); err != nil {
			return err
		}
		return share(f.File, info)
	})
	if err != nil {
		return nil, err
	}
	if err := t.do("rename file table", f.CloseAtomicallyReplace); err != nil {
		return nil, err
	}
	return fault, t.do("sync file table", func() error { return syncDir(dir) })
}

// awaitTick waits for the tick of the clock in which the file was changed to be over, but not for long, and
// returns the present.
func (t fileTable) awaitTick(temporary *os.File) (now time.Time, err error) {
	for range 4 {
		if now, err = t.now(temporary); err != nil {
			return now, err
		}
		info, err := os.Stat(t.path)
		if err != nil || identityOf(info).certainAt(now) {
			return now, err
		}
		time.Sleep(tick)
	}
	return now, nil
}

// touch returns the present by the clock of file systems.
func touch(temporary *os.File) (time.Time, error) {
	present := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if err := unix.UtimesNanoAt(int(temporary.Fd()), "", present, unix.AT_EMPTY_PATH); err != nil {
		return time.Time{}, &fs.PathError{Op: "touch", Path: temporary.Name(), Err: err}
	}
	info, err := temporary.Stat()
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// do runs one operation that changes something.
func (t fileTable) do(label string, operation func() error) error {
	if t.step != nil {
		if err := t.step(label); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	if err := operation(); err != nil {
		return fmt.Errorf("%s: %w", label, err)
	}
	return nil
}

// compileFile writes the table of a file with this text. A mistake in the file is not an error.
func compileFile(to io.Writer, path, text string, source identity) (*parse.Fault, error) {
	w := bufio.NewWriterSize(to, 1<<16)
	content, err := parseFile(path, text)
	fault, ok := errors.AsType[*parse.Fault](err)
	switch {
	case ok:
		err = writeFault(w, fault, source)
	case err == nil:
		b := newTableBuilder()
		if err = b.addFile(content); err == nil {
			err = b.writeTo(w, tablePins, source)
		}
	}
	if err != nil {
		return nil, err
	}
	return fault, w.Flush()
}

// addFile adds all hosts.
func (b *tableBuilder) addFile(c *fileContent) (err error) {
	c.each(func(host string, e entry) bool {
		var set uint32
		if set, err = b.addSet(e.words()); err != nil {
			return false
		}
		b.addHost(host, set)
		return true
	})
	return err
}

// share lets those read f who may read the file that info describes.
func share(f *os.File, info fs.FileInfo) error {
	mode := fs.FileMode(0o644)
	if info.Mode()&0o004 == 0 {
		mode = 0o600 | info.Mode()&0o040
		s := info.Sys().(*syscall.Stat_t)
		err := f.Chown(int(s.Uid), int(s.Gid))
		if errors.Is(err, fs.ErrPermission) {
			mode, err = 0o600, nil // its group is another one, and lookups of others read the file
		}
		if err != nil {
			return err
		}
	}
	return f.Chmod(mode)
}

// openOwnRoot opens a directory that is ours, and so no symbolic link: others may be able to write to the one above it,
// and put a link there that leads us elsewhere. On the way to that one links are the administrator's.
func openOwnRoot(path string) (*os.Root, error) {
	above, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer above.Close()
	seen, err := above.Lstat(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	root, err := above.OpenRoot(filepath.Base(path))
	if err != nil {
		return nil, err
	}
	opened, err := root.Stat(".")
	if err == nil && !os.SameFile(seen, opened) {
		err = &fs.PathError{Op: "open", Path: path, Err: errors.New("is a link, where a directory of ours belongs: remove it")}
	}
	if err != nil {
		root.Close()
		return nil, err
	}
	return root, nil
}

// syncDir makes the names in a directory survive a power cut.
func syncDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
