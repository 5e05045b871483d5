package git

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/etch/etchtag/snapshot/disk"
	"github.com/etch/etchtag/snapshot/source/git/repo"
	"github.com/etch/etchtag/snapshot/source/workcopy"
)

// sweep removes what dead runs left beside and in the repository: ours whenever they are found, git's
// own if no git is at work here. It must not run beside another update. stays is what sweepPrefix says.
func (g *Source) sweep() (stays []string, err error) {
	root, err := filepath.EvalSymlinks(g.o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the working copy: %w", err)
	}
	if err := g.restoreReplaced(root); err != nil {
		return nil, err
	}
	stays = append(workcopy.SweepPrefix(filepath.Dir(root), workcopy.ClonePrefix(root), g.o.Step), workcopy.SweepPrefix(root, rebuildPrefix, g.o.Step)...)
	layout, err := repo.Find(root)
	if err != nil {
		return stays, nil // open says what is wrong
	}
	objects := filepath.Join(layout.CommonDir, "objects")
	for _, dir := range []string{layout.GitDir, layout.CommonDir, objects} {
		stays = append(stays, workcopy.SweepPrefix(dir, disk.TempPrefix, g.o.Step)...)
	}
	if err := g.namePacks(filepath.Join(objects, "pack")); err != nil {
		return stays, err
	}
	left := append(staleLocks(layout), stalePacks(filepath.Join(objects, "pack"))...)
	if len(left) == 0 || gitRunsIn(root, layout.GitDir, layout.CommonDir) {
		return stays, nil
	}
	for _, file := range left {
		err := disk.Labelled(g.o.Step, "remove stale file", func() error { return disk.Remove(file) })
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return stays, fmt.Errorf("remove what a dead git left: %w", err)
		}
	}
	return stays, nil
}

// staleLocks lists lock files of refs and of the configuration. The index's is not among them.
func staleLocks(l repo.Location) []string {
	var found []string
	for _, name := range []string{"packed-refs", "config", "shallow", "HEAD"} {
		for _, dir := range []string{l.CommonDir, l.GitDir} {
			if lock := filepath.Join(dir, name+".lock"); disk.Exists(lock) {
				found = append(found, lock)
			}
			if l.CommonDir == l.GitDir {
				break
			}
		}
	}
	_ = filepath.WalkDir(filepath.Join(l.CommonDir, "refs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".lock") {
			found = append(found, path)
		}
		return nil
	})
	return found
}

// stalePacks lists packs that were being received.
func stalePacks(dir string) []string {
	var found []string
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "tmp_") {
			found = append(found, filepath.Join(dir, e.Name()))
		}
	}
	return found
}

// gitRunsIn reports whether a git process works in one of the directories, or may do so: the current
// directory of other users' processes may be hidden from us.
func gitRunsIn(dirs ...string) bool {
	processes, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, comm := range processes {
		name, err := os.ReadFile(comm)
		if err != nil || !strings.HasPrefix(string(name), "git") {
			continue
		}
		cwd, err := os.Readlink(filepath.Join(filepath.Dir(comm), "cwd"))
		if errors.Is(err, fs.ErrPermission) {
			return true
		}
		for _, dir := range dirs {
			if err == nil && (cwd == dir || strings.HasPrefix(cwd, dir+"/")) {
				return true
			}
		}
	}
	return false
}

// namePacks gives packs with names that only git understands, such as the loose-HASH.pack of "git
// maintenance", a second name that we find them by.
func (g *Source) namePacks(dir string) error {
	entries, _ := os.ReadDir(dir) // what reads the packs says what is wrong
	for _, e := range entries {
		stem, isPack := strings.CutSuffix(e.Name(), ".pack")
		dash := strings.LastIndexByte(stem, '-')
		if !isPack || dash < 0 || stem[:dash] == "pack" {
			continue
		}
		if _, err := repo.ParseHash(stem[dash+1:]); err != nil {
			continue
		}
		for _, kind := range []string{".idx", ".pack"} {
			err := disk.Labelled(g.o.Step, "link pack", func() error {
				return disk.Link(filepath.Join(dir, stem+kind), filepath.Join(dir, "pack"+stem[dash:]+kind))
			})
			if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("name a pack so that it is found: %w", err)
			}
		}
	}
	return nil
}
