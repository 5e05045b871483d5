package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/tagging/tag"
	"golang.org/x/sys/unix"
)

// Debris is something that the next snapshot or prune will sweep, unless it belongs to a run that is at work.
type Debris struct {
	Path    string
	Since   time.Time // when it came to stand there
	Mounted []string  // the paths at which something is mounted in it, for which no run sweeps it
}

// FindDebris lists what the next run will sweep. It takes no lock and changes nothing. The error joins those of the
// directories that cannot be read, and what is found in the others is returned with it: two of them are closed to
// everyone but the user who makes tags.
func FindDebris(l tag.Base) (found []Debris, err error) {
	for _, p := range append(debrisPlaces(l), debrisPlace{l.Trash(), everything}) {
		debris, lookErr := p.look(l)
		if lookErr != nil && !errors.Is(lookErr, fs.ErrNotExist) && !errors.Is(lookErr, disk.ErrReplaced) {
			err = errors.Join(err, fmt.Errorf("look for debris: %w", lookErr))
		}
		found = append(found, debris...)
	}
	return found, err
}

// look lists the debris in one place.
func (p debrisPlace) look(l tag.Base) (found []Debris, err error) {
	dir, err := disk.Files{Dir: l.Tags()}.Open(p.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	entries, err := fs.ReadDir(dir.FS(), ".")
	for _, e := range entries {
		if !p.debris(e) {
			continue
		}
		d := Debris{Path: filepath.Join(p.dir, e.Name())}
		var st unix.Stat_t
		if unix.Lstat(d.Path, &st) != nil {
			continue // it has gone meanwhile
		}
		d.Since = time.Unix(st.Ctim.Unix()) // a rename changes it too, unlike the other times
		mounted := disk.WithDirectory(dir, func(fd int) error { return disk.Mounted(fd, e.Name()) })
		if mounted, ok := errors.AsType[*disk.MountError](mounted); ok {
			d.Mounted = mounted.Points
		}
		found = append(found, d)
	}
	return found, err
}

// FindReplaced lists what stands in the places of our own directories and is none, such as a symbolic link. No run
// begins while there is something.
func FindReplaced(l tag.Base) (paths []string) {
	public, private := ownDirs(l)
	for _, dir := range append(public, private...) {
		if info, err := os.Lstat(dir); err == nil && !info.IsDir() {
			paths = append(paths, dir)
			if dir == l.Work() {
				break // the others are seen through it
			}
		}
	}
	return paths
}
