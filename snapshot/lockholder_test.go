package snapshot

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestTheLockHolderIsFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	if _, held, err := FindLockHolder("/proc", f.Base.SnapshotLock()); held || err != nil {
		t.Errorf("without a lock: %v, %v", held, err)
	}
	release, err := f.lock(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	h, held, err := FindLockHolder("/proc", f.Base.SnapshotLock())
	if !held || h.PID != os.Getpid() || h.Command == "" || err != nil {
		t.Errorf("got %+v, %v, %v", h, held, err)
	}
	release()
	if _, held, err := FindLockHolder("/proc", f.Base.SnapshotLock()); held || err != nil {
		t.Errorf("released: %v, %v", held, err)
	}
	if _, _, err := FindLockHolder(t.TempDir(), f.Base.SnapshotLock()); err == nil {
		t.Error("without a table of locks there is no error")
	}
}

func TestTheTableOfLocksIsRead(t *testing.T) {
	t.Parallel()
	const dev = 8<<8 | 1 // 08:01
	line := func(kind, pid, where string) string {
		return fmt.Sprintf("1: %s  ADVISORY  WRITE %s %s 0 EOF\n", kind, pid, where)
	}
	for name, test := range map[string]struct {
		table string
		dev   uint64
		pid   int
		held  bool
	}{
		"held":                     {line("FLOCK", "11", "08:01:7"), dev, 11, true},
		"another file":             {line("FLOCK", "11", "08:01:70"), dev, 0, false},
		"another device":           {line("FLOCK", "11", "08:02:7"), dev, 0, false},
		"another kind":             {line("POSIX", "11", "08:01:7"), dev, 0, false},
		"one waits":                {"1: -> FLOCK  ADVISORY  WRITE 11 08:01:7 0 EOF\n", dev, 0, false},
		"out of sight":             {line("FLOCK", "0", "08:01:7"), dev, 0, true},
		"out of sight, old kernel": {line("FLOCK", "-1", "08:01:7"), dev, 0, true},
		"btrfs":                    {line("FLOCK", "11", "00:1f:7"), 0x2a, 11, true},
		"btrfs, the better match":  {line("FLOCK", "11", "00:2a:7") + line("FLOCK", "12", "00:1f:7"), 0x2a, 11, true},
		"nonsense":                 {"x\n\n1: FLOCK\n1: FLOCK  ADVISORY  WRITE x y 0 EOF\n", dev, 0, false},
	} {
		if pid, held := flockHolder(test.table, test.dev, 7); pid != test.pid || held != test.held {
			t.Errorf("%s: got %d, %v", name, pid, held)
		}
	}
}

func TestACommandIsNamedByWhatCanBeRead(t *testing.T) {
	t.Parallel()
	proc := t.TempDir()
	if got := commandOf(proc, 7); got != "" {
		t.Errorf("got %q", got)
	}
	dir := filepath.Join(proc, "7")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct{ name, data, want string }{
		{"comm", "etchtag\n", "etchtag"}, {"cmdline", "", "etchtag"}, {"cmdline", "etchtag\x00snapshot\x00", "etchtag snapshot"},
	} {
		if err := os.WriteFile(filepath.Join(dir, file.name), []byte(file.data), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := commandOf(proc, 7); got != file.want {
			t.Errorf("got %q, want %q", got, file.want)
		}
	}
}
