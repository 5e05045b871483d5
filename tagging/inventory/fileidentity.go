package inventory

import (
	"encoding/binary"
	"io/fs"
	"syscall"
	"time"
)

// identity tells the states of a file apart without reading it: who writes to the file or puts another in
// its place changes it. The zero identity is that of no file.
type identity struct {
	size     int64
	modified int64 // nanoseconds since 1970
	changed  int64 // the same; the kernel's own account, which no program can set
	inode    uint64
	device   uint64
}

func identityOf(info fs.FileInfo) identity {
	s := info.Sys().(*syscall.Stat_t)
	return identity{size: s.Size, modified: s.Mtim.Nano(), changed: s.Ctim.Nano(),
		inode: s.Ino, device: uint64(s.Dev)}
}

// The longest ticks of the clocks by which file systems mark changes: that of the kernel, and that of file
// systems with whole seconds only, which FAT has.
const (
	tick       = 10 * time.Millisecond
	coarseTick = 2 * time.Second
)

// certainAt reports whether every change that is made to the file from now on will show in its identity.
// The clock of a file system goes in ticks: of a file that was changed in the present one, another
// change may leave the same time.
func (i identity) certainAt(now time.Time) bool {
	rest := tick
	if i.changed%int64(time.Second) == 0 {
		rest = coarseTick
	}
	return i.changed+int64(rest) <= now.UnixNano()
}

// append encodes the identity.
func (i identity) append(b []byte) []byte {
	for _, n := range [...]uint64{uint64(i.size), uint64(i.modified), uint64(i.changed), i.inode, i.device} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// decodeIdentity is the opposite of append.
func decodeIdentity(b []byte) identity {
	number := func(n int) uint64 { return binary.LittleEndian.Uint64(b[8*n:]) }
	return identity{size: int64(number(0)), modified: int64(number(1)), changed: int64(number(2)),
		inode: number(3), device: number(4)}
}
