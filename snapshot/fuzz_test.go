package snapshot

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// FuzzLastUpdate holds that the record of the last update is refused or read as it is written again.
func FuzzLastUpdate(f *testing.F) {
	f.Add(`{"time":"2026-11-22T09:00:05Z","revision":"r1","success":"2026-11-22T09:00:05Z"}` + "\n")
	f.Add(`{"time":"2026-11-22T09:05:05Z","revision":"r1","failure":"update the working copy: no route to host","success":"2026-11-22T09:00:05Z"}`)
	f.Add(`{"time":"2026-11-22T09:00:05`)
	f.Add(`{"time":"10000-01-01T00:00:00Z"}`)
	f.Add(`[]`)
	f.Add("")
	l := tag.Base{Path: f.TempDir()}
	m := Env{Base: l}
	if err := m.Prepare(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(lastUpdatePath(l), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := ReadLastUpdate(l)
		if err != nil {
			if u != (LastUpdate{}) || !strings.Contains(err.Error(), lastUpdatePath(l)) {
				t.Fatalf("%q: %+v with %v", text, u, err)
			}
			return
		}
		// A run that fails keeps what the last good one has left, whatever that is.
		failed := LastUpdate{Time: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Failure: "no route"}
		if err := m.recordUpdate(failed); err != nil {
			t.Fatalf("%q is read as %+v, and then cannot be replaced: %v", text, u, err)
		}
		again, err := ReadLastUpdate(l)
		if err != nil || again.Revision != strings.ToValidUTF8(u.Revision, "\uFFFD") || !again.Success.Equal(u.Success) || again.Failure != failed.Failure {
			t.Fatalf("%q is read as %+v, and after a failure as %+v, %v", text, u, again, err)
		}
	})
}

// FuzzLockHolder holds that whatever the kernel's table of locks has, a holder is one that stands in a line for the lock.
func FuzzLockHolder(f *testing.F) {
	f.Add("1: POSIX  ADVISORY  WRITE 3568 fd:00:2531452 0 EOF\n2: FLOCK  ADVISORY  WRITE 4711 08:01:131146 0 EOF\n"+
		"2: -> FLOCK  ADVISORY  WRITE 4712 08:01:131146 0 EOF\n3: OFDLCK ADVISORY  READ -1 00:06:1028 0 0\n", uint32(8), uint32(1), uint64(131146))
	f.Add("1: FLOCK ADVISORY WRITE -1 00:2a:7 0 EOF\n", uint32(0), uint32(0x2b), uint64(7))
	f.Add("", uint32(0), uint32(0), uint64(0))
	f.Fuzz(func(t *testing.T, table string, major, minor uint32, inode uint64) {
		major, minor = major&0xfff, minor&0xfffff
		dev := uint64(major&0xfff)<<8 | uint64(minor&0xff) | uint64(minor&^0xff)<<12
		pid, held := flockHolder(table, dev, inode)
		if pid < 0 || !held && pid != 0 {
			t.Fatalf("%q: %d, %v", table, pid, held)
		}
		// A line of our own before all others is found.
		line := fmt.Sprintf("1: FLOCK  ADVISORY  WRITE 77 %02x:%02x:%d 0 EOF\n", major, minor, inode)
		if pid, held := flockHolder(line+table, dev, inode); !held || pid != 77 {
			t.Fatalf("%q is not found: %d, %v", line, pid, held)
		}
		if held && !strings.Contains(table, "FLOCK") {
			t.Fatalf("%q is said to hold", table)
		}
	})
}
