package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging"
	"golang.org/x/sys/unix"
)

// FileMode says how the files of a tag relate to those of the one before.
type FileMode string

const (
	// Auto makes every tag's files its own: no change of one can be seen in another. Blocks are
	// shared where the file system can do so safely.
	Auto FileMode = "auto"
	// Hardlink makes unchanged files of two tags one file with two names, which takes less disk and
	// time. They are read-only, since whoever writes to one changes all.
	Hardlink FileMode = "hardlink"
	// adopted is what a tag has that some other program made. No tag of ours is made so.
	adopted FileMode = tagging.Adopted
)

func (m FileMode) known() bool { return m == Auto || m == Hardlink || m == adopted }

// perm is the mode of a tag's file on disk: readable by the etch server's user in any case.
func (m FileMode) perm(mode source.Mode) os.FileMode {
	perm := os.FileMode(0o644)
	if mode == source.Executable {
		perm = 0o755
	}
	if m == Hardlink {
		perm &^= 0o222
	}
	return perm
}

// wrongMode says what is wrong with the mode, as the kernel has it, of something in a tag, or nothing if it is right.
// In an adopted tag it is only whether a file can be executed, and that it gives nobody another's rights.
func (m FileMode) wrongMode(mode source.Mode, got uint32) string {
	perm := got & 0o7777
	switch {
	case mode == source.Symlink:
		return ""
	case m == adopted && mode == source.Directory:
		return ""
	case m == adopted && perm&(unix.S_ISUID|unix.S_ISGID) == 0 && (perm&0o111 != 0) == (mode == source.Executable):
		return ""
	case m == adopted:
		return fmt.Sprintf("%04o, but it was %s", perm, executableText[mode == source.Executable])
	}
	want := os.FileMode(0o755)
	if mode != source.Directory {
		want = m.perm(mode)
	}
	if perm == uint32(want) {
		return ""
	}
	return fmt.Sprintf("%04o, not %04o", perm, want)
}

var executableText = map[bool]string{true: "executable", false: "not executable"}

// previousTag is a published tag from which files can be taken that have not changed since. All
// methods work on nil, which has nothing to take.
type previousTag struct {
	root     *os.File
	revision string
	files    map[string]tagging.ManifestEntry // by path
	ids      map[string]string                // the source's ID of each file's contents, by path; only of a store's tree
}

// openPrevious opens the newest tag of a store's from which unchanged files can be taken for the next tree. Not to
// have one costs time and disk, nothing else.
func (m *Manager) openPrevious(ctx context.Context, store source.Store, next source.Tree) *previousTag {
	p := m.openNewest(func(h tagging.Header) bool { return h.Source == store.Kind() })
	if p == nil {
		return nil
	}
	tree := next
	if p.revision != next.Revision().ID {
		var err error
		if tree, err = store.Tree(ctx, source.Revision{ID: p.revision}); err != nil {
			p.close()
			return nil
		}
	}
	entries := tree.Entries()
	p.ids = make(map[string]string, len(entries))
	for _, e := range entries {
		p.ids[e.Path] = e.ID
	}
	return p
}

// openNewest opens the newest tag with a manifest whose header is accepted, if it can be had.
func (m *Manager) openNewest(accept func(tagging.Header) bool) *previousTag {
	index, err := tagging.ReadIndex(m.Layout)
	if err != nil {
		return nil
	}
	for _, t := range slices.Backward(index.Tags) {
		header, ok, err := t.Header()
		if t.Link || !ok || err != nil || !accept(header) {
			continue
		}
		manifest, err := tagging.ReadManifest(m.Layout.Manifest(t.Name))
		if err != nil {
			return nil
		}
		p, err := newPreviousTag(m.Layout.Dir(t.Name), manifest)
		if err != nil {
			return nil
		}
		return p
	}
	return nil
}

// newPreviousTag opens the tag in dir, whose manifest is m.
func newPreviousTag(dir string, m *tagging.Manifest) (*previousTag, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	p := &previousTag{
		root:     os.NewFile(uintptr(fd), dir),
		revision: m.Revision,
		files:    make(map[string]tagging.ManifestEntry, len(m.Entries)),
	}
	for _, e := range m.Entries {
		p.files[e.Path] = e
	}
	return p, nil
}

func (p *previousTag) close() {
	if p != nil {
		p.root.Close()
	}
}

// findHash returns the manifest's record of a file with the same contents and mode at the same path.
func (p *previousTag) findHash(e source.ExportedEntry) (tagging.ManifestEntry, bool) {
	if p == nil || e.Mode != source.Regular && e.Mode != source.Executable {
		return tagging.ManifestEntry{}, false
	}
	m, ok := p.files[e.Path]
	return m, ok && m.Mode == byte(e.Mode) && m.Size == e.Size && m.Hash == e.Hash
}

// find returns the manifest's record of a file that is the same in the previous tag as in e. What the source
// converts is not taken, nor what it had converted then, which its size tells.
func (p *previousTag) find(e source.Entry) (tagging.ManifestEntry, bool) {
	if p == nil || e.ID == "" || e.Converted || p.ids[e.Path] != e.ID {
		return tagging.ManifestEntry{}, false
	}
	m, ok := p.files[e.Path]
	return m, ok && m.Mode == byte(e.Mode) && m.Size == e.Size
}

// openDir opens a directory of the tag without following any link, or returns -1.
func (p *previousTag) openDir(path string) int {
	fd, err := openBeneath(int(p.root.Fd()), path)
	if err != nil {
		return -1
	}
	return fd
}

// openBeneath opens the directory path below the directory root. A symbolic link on the way is an error.
func openBeneath(root int, path string) (int, error) {
	if path == "" {
		path = "."
	}
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat2(root, path, &unix.OpenHow{
		Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	// Linux before 5.6, or a container that does not know the call: one step at a time.
	fd, err = unix.Openat(root, ".", flags, 0)
	for name := range strings.SplitSeq(path, "/") {
		if err != nil {
			break
		}
		var next int
		next, err = unix.Openat(fd, name, flags, 0)
		unix.Close(fd)
		fd = next
	}
	return fd, err
}

// openRegular opens the file name in the directory dir if it is a regular file of ours of that size and mode. Whom it
// belongs to could write to it, and with a link to all tags.
func openRegular(dir int, name string, size int64, perm os.FileMode) (rawFile, bool) {
	if dir < 0 {
		return -1, false
	}
	fd, err := unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, false
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	if err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size != size || st.Mode&0o7777 != uint32(perm) ||
		st.Uid != uint32(os.Geteuid()) {
		unix.Close(fd)
		return -1, false
	}
	return rawFile(fd), true
}
