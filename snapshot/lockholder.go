package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// LockHolder is the process that holds a lock.
type LockHolder struct {
	PID     int    // 0 if the process cannot be seen from here, as from inside a container
	Command string // its command line, or its name; empty if neither can be read
}

// FindLockHolder looks for the process that holds the lock file at path, without touching the lock: to try it would
// make a run fail that tries at the same moment. It returns false if nobody holds it. proc is where the kernel tells
// of processes and locks, /proc.
func FindLockHolder(proc, path string) (LockHolder, bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); errors.Is(err, fs.ErrNotExist) {
		return LockHolder{}, false, nil
	} else if err != nil {
		return LockHolder{}, false, fmt.Errorf("look at the lock %q: %w", path, err)
	}
	table, err := os.ReadFile(filepath.Join(proc, "locks"))
	if err != nil {
		return LockHolder{}, false, fmt.Errorf("look for the holder of the lock %q: %w", path, err)
	}
	pid, held := flockHolder(string(table), uint64(st.Dev), st.Ino)
	if !held {
		return LockHolder{}, false, nil
	}
	return LockHolder{PID: pid, Command: commandOf(proc, pid)}, true, nil
}

// flockHolder finds a held flock in the kernel's table of locks, in lines such as
//
//	1: FLOCK  ADVISORY  WRITE 4711 08:01:131146 0 EOF
//
// with the numbers of the process, the device and the inode. A line with an arrow is a process that waits.
func flockHolder(table string, dev, inode uint64) (pid int, held bool) {
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		if len(words) < 6 || words[1] != "FLOCK" {
			continue
		}
		var major, minor uint32
		var ino uint64
		if _, err := fmt.Sscanf(words[5], "%x:%x:%d", &major, &minor, &ino); err != nil || ino != inode {
			continue
		}
		// A file system without a device of its own, such as btrfs, can have another number here than stat gives.
		same := major == unix.Major(dev) && minor == unix.Minor(dev)
		if !same && (major != 0 || unix.Major(dev) != 0) {
			continue
		}
		n, _ := strconv.Atoi(words[4]) // 0 or -1 for one that cannot be seen
		pid, held = max(n, 0), true
		if same {
			return pid, held
		}
	}
	return pid, held
}

// commandOf returns the command line of a process, or its name.
func commandOf(proc string, pid int) string {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	for _, file := range []string{"cmdline", "comm"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		words := strings.TrimSpace(string(bytes.ReplaceAll(data, []byte{0}, []byte(" "))))
		if err == nil && words != "" {
			return words
		}
	}
	return ""
}
