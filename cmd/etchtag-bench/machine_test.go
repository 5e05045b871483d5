package main

import (
	"testing"
	"time"
)

func TestTheTypeOfAFileSystemIsThatOfItsDevice(t *testing.T) {
	const table = `24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
29 24 0:27 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684092k
31 24 0:28 / /mnt/a\040b rw shared:4 master:1 - btrfs /dev/vdb rw
`
	want := map[string]string{"254:0": "ext4", "0:27": "tmpfs", "0:28": "btrfs", "0:2": "", "1:1": ""}
	for device, want := range want {
		if got := mountedType(table, device); got != want {
			t.Errorf("%s is %q, not %q", device, got, want)
		}
	}
}

func TestTracedTimeIsASum(t *testing.T) {
	const trace = `71 syncfs(5)                      = 0 <0.250000>
72 fsync(5 <unfinished ...>
72 <... fsync resumed>)            = 0 <0.500000>
71 +++ exited with 0 +++
`
	if got := tracedTime(trace); got != 750*time.Millisecond {
		t.Errorf("%s", got)
	}
}
