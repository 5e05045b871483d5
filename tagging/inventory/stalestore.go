package inventory

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxShardSize is how many records a shard may have. With 256 shards a user has up to 131,072 records, which
// take 512 MiB in blocks of 4 KiB, as nearly all records do.
const maxShardSize = 512

// answerStore keeps records as files DIR/UID/SHARD/REST, where UID is the user's number, and SHARD and REST are the
// first two digits of the record's name and the others. Only that user can write there, and whatever is
// not so is not trusted: all are opened relative to the directory before, without following links, and
// judged by what has been opened.
//
// Many processes can use it at once. A record appears by a rename, so a reader gets it whole or not at all.
type answerStore struct {
	dir       string
	shardSize int
	step      func(label string) error
}

// do performs the operation that label names on path, unless the step before it fails.
func (s *answerStore) do(label, path string, operate func() error) error {
	if s.step != nil {
		if err := s.step(label); err != nil {
			return fmt.Errorf("%s %s: %w", label, path, err)
		}
	}
	if err := operate(); err != nil {
		return fmt.Errorf("%s %s: %w", label, path, err)
	}
	return nil
}

// load returns a record's text. The error is fs.ErrNotExist if there is none.
func (s *answerStore) load(id string) ([]byte, error) {
	shard, err := s.openShard(id, false)
	if err != nil {
		return nil, err
	}
	defer shard.Close()
	f, err := openOwn(shard, id[2:], unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxRecord+1))
}

// save puts a record in the place of the one that there may be. If the shard is full, the records that
// have not been written for the longest time go.
func (s *answerStore) save(id string, data []byte) error {
	shard, err := s.openShard(id, true)
	if err != nil {
		return err
	}
	defer shard.Close()
	name := id[2:]
	var stat unix.Stat_t
	if err := unix.Fstatat(int(shard.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW); errors.Is(err, fs.ErrNotExist) {
		if err := s.makeRoom(shard); err != nil {
			return err
		}
	}
	temporary := "new-" + rand.Text()
	err = s.write(shard, temporary, data)
	if err == nil {
		err = s.do("rename answer", filepath.Join(shard.Name(), name), func() error {
			return unix.Renameat(int(shard.Fd()), temporary, int(shard.Fd()), name)
		})
	}
	if err != nil {
		_ = s.removeFrom(shard, temporary) // else it makes room some day
	}
	return err
}

// write makes a file with the given content.
func (s *answerStore) write(shard *os.File, name string, data []byte) error {
	path := filepath.Join(shard.Name(), name)
	var f *os.File
	err := s.do("create answer", path, func() error {
		fd, err := unix.Openat(int(shard.Fd()), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
		if err == nil {
			f = os.NewFile(uintptr(fd), path)
		}
		return err
	})
	if err != nil {
		return err
	}
	err = s.do("write answer", path, func() error { _, err := f.Write(data); return err })
	return errors.Join(err, f.Close())
}

// remove removes a record, if it is there.
func (s *answerStore) remove(id string) error {
	shard, err := s.openShard(id, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer shard.Close()
	return s.removeFrom(shard, id[2:])
}

func (s *answerStore) removeFrom(shard *os.File, name string) error {
	return s.do("remove answer", filepath.Join(shard.Name(), name), func() error {
		err := unix.Unlinkat(int(shard.Fd()), name, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// makeRoom removes the oldest files of a shard until another one fits in. Those that killed processes have left
// are among them.
func (s *answerStore) makeRoom(shard *os.File) error {
	names, err := shard.Readdirnames(-1)
	if err != nil {
		return err
	}
	excess := len(names) - s.shardSize + 1
	if excess <= 0 {
		return nil
	}
	written := make(map[string]int64, len(names)) // in nanoseconds
	for _, name := range names {
		var stat unix.Stat_t
		if err := unix.Fstatat(int(shard.Fd()), name, &stat, unix.AT_SYMLINK_NOFOLLOW); err == nil {
			written[name] = stat.Mtim.Nano()
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(written[a], written[b]) })
	for _, name := range names[:excess] {
		if err := s.removeFrom(shard, name); err != nil {
			return err
		}
	}
	return nil
}

// openShard opens the directory of a record, making it if asked to.
func (s *answerStore) openShard(id string, create bool) (*os.File, error) {
	// That directory may be a link, or anybody's: what is in it must be ours.
	dir, err := os.OpenFile(s.dir, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	user, err := s.openOwnDir(dir, strconv.Itoa(os.Geteuid()), create)
	if err != nil {
		return nil, err
	}
	defer user.Close()
	return s.openOwnDir(user, id[:2], create)
}

// openOwnDir opens a directory of ours, making it if asked to.
func (s *answerStore) openOwnDir(parent *os.File, name string, create bool) (*os.File, error) {
	f, err := openOwn(parent, name, unix.O_RDONLY|unix.O_DIRECTORY)
	if !create || !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	err = s.do("make directory", filepath.Join(parent.Name(), name), func() error {
		err := unix.Mkdirat(int(parent.Fd()), name, 0o700)
		if errors.Is(err, fs.ErrExist) { // another process was faster
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return openOwn(parent, name, unix.O_RDONLY|unix.O_DIRECTORY)
}

// openOwn opens a file or directory for reading, and refuses it if anybody else can have written it.
func openOwn(parent *os.File, name string, flags int) (*os.File, error) {
	path := filepath.Join(parent.Name(), name)
	fd, err := unix.Openat(int(parent.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	var stat unix.Stat_t
	err = unix.Fstat(fd, &stat)
	if err == nil {
		err = checkOwn(&stat, flags&unix.O_DIRECTORY != 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is not used: %w", path, err)
	}
	return f, nil
}

// checkOwn says why a file or directory may be somebody else's work.
func checkOwn(stat *unix.Stat_t, directory bool) error {
	switch {
	case int(stat.Uid) != os.Geteuid():
		return fmt.Errorf("it belongs to user %d, and we are %d", stat.Uid, os.Geteuid())
	case stat.Mode&0o022 != 0:
		return fmt.Errorf("others may write it: its mode is %04o", stat.Mode&0o7777)
	case directory:
		return nil
	case stat.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("it is no regular file")
	case stat.Nlink > 1: // it is 0 if the file was replaced right after it was opened
		return fmt.Errorf("it has %d names", stat.Nlink)
	}
	return nil
}
