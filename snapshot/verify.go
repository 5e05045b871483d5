package snapshot

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/etch/etchtag/snapshot/source"
	"github.com/etch/etchtag/tagging"
	"golang.org/x/sys/unix"
)

// DriftKind says in what way a tree differs from its manifest.
type DriftKind string

const (
	Changed DriftKind = "changed" // other contents, another link target, or another type
	Missing DriftKind = "missing"
	Extra   DriftKind = "extra"
	Moded   DriftKind = "mode"
)

// Drift is one difference between a tree and its manifest.
type Drift struct {
	Path string
	Kind DriftKind
}

func (d Drift) String() string { return fmt.Sprintf("%s: %q", d.Kind, d.Path) }

// Compare reads the tree at dir whole and returns every difference from its manifest, sorted by path. It
// follows no links below dir.
func Compare(dir string, m *tagging.Manifest, files FileMode) ([]Drift, error) {
	root, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	c := comparison{files: files, expected: map[string]tagging.ManifestEntry{}, dirs: map[string]bool{}}
	for _, e := range m.Entries {
		c.expected[e.Path] = e
		for d := path.Dir(e.Path); d != "." && !c.dirs[d]; d = path.Dir(d) {
			c.dirs[d] = true
		}
	}
	if err := c.dir(root, ""); err != nil {
		return nil, fmt.Errorf("compare %q with its manifest: %w", dir, err)
	}
	for p := range c.expected {
		c.add(p, Missing)
	}
	slices.SortFunc(c.drift, func(a, b Drift) int { return strings.Compare(a.Path, b.Path) })
	return c.drift, nil
}

type comparison struct {
	files    FileMode
	expected map[string]tagging.ManifestEntry // what was not met yet
	dirs     map[string]bool                  // the directories that the entries imply
	drift    []Drift
}

func (c *comparison) add(path string, kind DriftKind) {
	c.drift = append(c.drift, Drift{path, kind})
}

// dir compares the directory fd, which it closes, and what is below it.
func (c *comparison) dir(fd int, at string) error {
	f := os.NewFile(uintptr(fd), at)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.entry(fd, name, path.Join(at, name)); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparison) entry(fd int, name, p string) error {
	var st unix.Stat_t
	if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "stat", Path: p, Err: err}
	}
	want, listed := c.expected[p]
	delete(c.expected, p)
	if st.Mode&unix.S_IFMT == unix.S_IFDIR && (c.dirs[p] || want.Mode == byte(source.Directory)) {
		if st.Mode&0o7777 != 0o755 {
			c.add(p, Moded)
		}
		child, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: p, Err: err}
		}
		return c.dir(child, p)
	}
	if !listed {
		c.add(p, Extra)
		return nil
	}
	return c.file(fd, name, p, st, want)
}

// file compares what is no directory with its record.
func (c *comparison) file(fd int, name, p string, st unix.Stat_t, want tagging.ManifestEntry) error {
	var got [sha256.Size]byte
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK && want.Mode == byte(source.Symlink):
		target := make([]byte, max(st.Size, want.Size)+1)
		n, err := unix.Readlinkat(fd, name, target)
		if err != nil {
			return &os.PathError{Op: "readlink", Path: p, Err: err}
		}
		got = sha256.Sum256(target[:n])
	case st.Mode&unix.S_IFMT == unix.S_IFREG && want.Mode != byte(source.Symlink) && st.Size == want.Size:
		if os.FileMode(st.Mode&0o7777) != c.files.perm(source.Mode(want.Mode)) {
			c.add(p, Moded)
		}
		var err error
		if got, err = hashAt(fd, name); err != nil {
			return &os.PathError{Op: "read", Path: p, Err: err}
		}
	}
	if got != want.Hash {
		c.add(p, Changed)
	}
	return nil
}

// hashAt hashes the regular file name in the directory fd.
func hashAt(fd int, name string) (sum [sha256.Size]byte, err error) {
	n, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return sum, err
	}
	f := os.NewFile(uintptr(n), name)
	defer f.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		return sum, err
	}
	hash.Sum(sum[:0])
	return sum, nil
}
