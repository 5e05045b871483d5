package staged

import (
	"fmt"
	"os"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Layout says how the files of a tag relate to those of the one before.
type Layout string

const (
	// Auto makes every tag's files its own: no change of one can be seen in another. Blocks are
	// shared where the file system can do so safely.
	Auto Layout = "auto"
	// Hardlink makes unchanged files of two tags one file with two names, which takes less disk and
	// time. They are read-only, because whoever writes to one changes all.
	Hardlink Layout = "hardlink"
	// adopted is what a tag has that some other program made. No tag of ours is made so.
	adopted Layout = tag.Adopted
)

func (l Layout) known() bool { return l == Auto || l == Hardlink || l == adopted }

// perm is the mode of a tag's file on disk: readable by the etch server's user in any case.
func (l Layout) perm(mode source.Mode) os.FileMode {
	perm := os.FileMode(0o644)
	if mode == source.Executable {
		perm = 0o755
	}
	if l == Hardlink {
		perm &^= 0o222
	}
	return perm
}

// wrongMode says what is wrong with the mode, as the kernel has it, of something in a tag, or nothing if it is right.
// In an adopted tag it is only whether a file can be executed, and that it gives nobody another's rights.
func (l Layout) wrongMode(mode source.Mode, got uint32) string {
	perm := got & 0o7777
	switch {
	case mode == source.Symlink:
		return ""
	case l == adopted && mode == source.Directory:
		return ""
	case l == adopted && perm&(unix.S_ISUID|unix.S_ISGID) == 0 && (perm&0o111 != 0) == (mode == source.Executable):
		return ""
	case l == adopted:
		return fmt.Sprintf("%04o, but it was %s", perm, executableText[mode == source.Executable])
	}
	want := os.FileMode(0o755)
	if mode != source.Directory {
		want = l.perm(mode)
	}
	if perm == uint32(want) {
		return ""
	}
	return fmt.Sprintf("%04o, not %04o", perm, want)
}

var executableText = map[bool]string{true: "executable", false: "not executable"}
