package tagging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Killswitch is the file that makes the etch server refuse every client, and tell them its contents. It
// needs no configuration and no lock, and works on a full disk.
type Killswitch struct {
	Path string // tag.Base.Killswitch

	// Step, if not nil, is called before each operation that changes something, with a label such as
	// "create killswitch". The operation fails with the error that it returns.
	Step func(label string) error
}

// KillswitchState is what the etch server would see.
type KillswitchState struct {
	On      bool
	Message string    // the contents without the last line end; of very long ones the beginning
	Since   time.Time // when it was turned on: the time of the file, which Killswitch.On leaves as it was
	Owner   uint32    // the user who turned it on: the owner of the file
}

// ErrKillswitchMessage is wrapped by the error of Killswitch.On if the killswitch is on, but not as it
// should be: without its message, not readable, or not sure to be there after a power cut.
var ErrKillswitchMessage = errors.New("the killswitch is on, but not all of it could be done")

// ErrKillswitchOff is wrapped by the error of Killswitch.Off if the killswitch is off, but not sure to stay so.
var ErrKillswitchOff = errors.New("the killswitch is off, but a power cut may turn it on again")

// maxMessage bounds what is read of a killswitch file, in bytes.
const maxMessage = 64 << 10

// Status says whether the killswitch is on. It is on if anything is at its path: the server refuses clients
// also if that is empty, unreadable or a directory. A symbolic link that leads nowhere does not count. An
// error with On set means that the message could not be read.
func (k Killswitch) Status() (KillswitchState, error) {
	info, err := os.Stat(k.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return KillswitchState{}, nil
	}
	if err != nil {
		return KillswitchState{}, fmt.Errorf("look for the killswitch: %w", err)
	}
	s := KillswitchState{On: true, Since: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Owner = st.Uid
	}
	if !info.Mode().IsRegular() {
		return s, nil // to open a fifo would wait for a writer
	}
	f, err := os.Open(k.Path)
	if err != nil {
		return s, fmt.Errorf("read the killswitch's message: %w", err)
	}
	defer f.Close()
	message, err := io.ReadAll(io.LimitReader(f, maxMessage))
	s.Message = strings.TrimSuffix(string(message), "\n")
	if err != nil {
		return s, fmt.Errorf("read the killswitch's message: %w", err)
	}
	return s, nil
}

// On makes the etch server refuse every client. It makes the file first and writes the message after: on a
// full disk it is the message that fails. To a killswitch that is on already it adds the message, unless that is
// there: who was first goes on being heard. It returns what it found.
//
// It takes no lock: a message is added at the end by one call of the kernel, so that of two that come at the same
// time none is lost.
//
// A symbolic link is replaced by a file, never followed: what it points to is not ours, and the server may
// not be able to see it. A file with another name is replaced by a copy. A directory counts as on, and cannot
// have a message.
//
// If the killswitch is on after an error, that wraps ErrKillswitchMessage.
func (k Killswitch) On(message string) (found KillswitchState, err error) {
	f, err := k.create()
	created := err == nil
	if errors.Is(err, fs.ErrExist) {
		found, _ = k.Status() // a message that cannot be read does not keep ours from being written
		if err = k.detach(found.Message); err == nil && message != "" {
			// Without O_NONBLOCK to open a fifo that has just come would wait for a reader.
			f, err = os.OpenFile(k.Path, os.O_RDWR|os.O_APPEND|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		}
	}
	if err == nil && f != nil {
		err = errors.Join(k.fill(f, created, message), f.Close())
	}
	if err == nil {
		return found, nil
	}
	if s, _ := k.Status(); s.On {
		return found, fmt.Errorf("%w: %w", ErrKillswitchMessage, err)
	}
	return found, fmt.Errorf("turn the killswitch on: %w", err)
}

// create makes an empty file. The error matches fs.ErrExist if something is there already.
func (k Killswitch) create() (f *os.File, err error) {
	err = k.do("create killswitch", func() error {
		f, err = os.OpenFile(k.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o644)
		return err
	})
	return f, err
}

// detach puts a file of its own in the place of one that can be changed under another name, and of what is neither a
// file nor a directory.
func (k Killswitch) detach(contents string) error {
	info, err := os.Lstat(k.Path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch file := info.Mode().IsRegular(); {
	case info.IsDir(), file && ok && st.Nlink == 1:
		return nil
	case file:
		return k.replace(contents)
	}
	return k.replace("")
}

// replace puts a file with these contents in the place of whatever is there, in one step.
func (k Killswitch) replace(contents string) (err error) {
	k.sweep()
	var temporary string
	defer func() {
		if err != nil && temporary != "" {
			os.Remove(temporary)
		}
	}()
	if err := k.do("write killswitch copy", func() (err error) {
		temporary, err = k.writeTemporary(contents)
		return err
	}); err != nil {
		return err
	}
	if err := k.do("sync killswitch copy", func() error { return syncFile(temporary) }); err != nil {
		return err
	}
	if err := k.do("rename killswitch copy", func() error { return os.Rename(temporary, k.Path) }); err != nil {
		return err
	}
	return k.sync()
}

// fill makes the file readable for the server, adds a message if there is one, and makes what is new durable.
func (k Killswitch) fill(f *os.File, created bool, message string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	var errs []error
	if created || info.Mode()&0o444 != 0o444 {
		errs = append(errs, k.do("chmod killswitch", func() error { return f.Chmod(0o644) }))
	}
	if created {
		errs = append(errs, k.sync())
	}
	if message != "" {
		errs = append(errs, k.add(f, strings.TrimSuffix(message, "\n")+"\n", info.ModTime()))
	}
	return errors.Join(errs...)
}

// add adds a message to the file, unless it stands there, and leaves the file's time as it was.
func (k Killswitch) add(f *os.File, message string, since time.Time) error {
	old, err := io.ReadAll(io.LimitReader(f, maxMessage))
	if err != nil {
		return err
	}
	if strings.Contains("\n"+string(old), "\n"+message) {
		return nil
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		message = "\n" + message // as an editor, or a full disk, has left it
	}
	return errors.Join(
		k.do("write killswitch message", func() error { _, err := f.WriteString(message); return err }),
		k.do("sync killswitch message", f.Sync),
		k.do("date killswitch", func() error { return os.Chtimes(k.Path, time.Time{}, since) }),
	)
}

// temporaryPattern is the name of a copy that is not in its place yet.
const temporaryPattern = ".killswitch-*"

// writeTemporary writes a new file that everybody may read, and returns its name also if it fails.
func (k Killswitch) writeTemporary(contents string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(k.Path), temporaryPattern)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(contents)
	return f.Name(), errors.Join(err, f.Chmod(0o644), f.Close())
}

// Off lets the etch server serve again. It removes the file and what dead runs left of its copies. If it
// was off already, that is no error. If it is off after an error, that wraps ErrKillswitchOff.
func (k Killswitch) Off() error {
	err := k.do("remove killswitch", func() error {
		err := syscall.Unlink(k.Path) // os.Remove would remove an empty directory
		if errors.Is(err, syscall.EISDIR) {
			return fmt.Errorf("%s is a directory: as long as it is there the etch server refuses every client; "+
				"look what is in it, and remove it by hand", k.Path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return &fs.PathError{Op: "unlink", Path: k.Path, Err: err}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("turn the killswitch off: %w", err)
	}
	k.sweep()
	if err := k.sync(); err != nil {
		return fmt.Errorf("%w: %w", ErrKillswitchOff, err)
	}
	return nil
}

// sweep removes what dead runs left of their copies. What stays is in nobody's way.
func (k Killswitch) sweep() {
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(k.Path), temporaryPattern))
	for _, name := range left {
		_ = k.do("sweep killswitch", func() error { return os.Remove(name) })
	}
}

// sync makes the killswitch's name, or its absence, survive a power cut.
func (k Killswitch) sync() error {
	return k.do("sync base", func() error { return syncFile(filepath.Dir(k.Path)) })
}

// syncFile makes the contents of a file, or the names in a directory, durable.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// do runs one operation that changes something.
func (k Killswitch) do(label string, operation func() error) error {
	if k.Step != nil {
		if err := k.Step(label); err != nil {
			return fmt.Errorf("%s: %w", label, err)
		}
	}
	return operation()
}
