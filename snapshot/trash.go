package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/etch/etchtag/tagging/tag"
)

// A tag that is to go is first put into the trash, and goes for good only once it is condemned: by then its manifest is
// gone. Whatever dies between the two leaves a whole tag there, which the next sweep gives back. A tag whose manifest is
// damaged, or which never had one, is told by the end of its name there.
const unrecorded = ".unrecorded"

// retire puts a tag out of sight in one step, and returns where it is now. A tag in which something is mounted stays.
func (e Env) retire(name string) (trash string, err error) {
	dir := e.Base.Dir(name)
	if info, err := os.Lstat(dir); err != nil {
		return "", err
	} else if !info.IsDir() {
		return "", fmt.Errorf("remove %s: it is no directory any more", dir)
	}
	if err := e.files().Unmounted(dir); err != nil {
		return "", fmt.Errorf("remove %s: %w", dir, err)
	}
	trash = filepath.Join(e.Base.Trash(), name)
	if !recorded(e.Base, name) {
		trash += unrecorded
	}
	return trash, e.files().RenameNoReplace("retire tag", dir, trash)
}

// giveBack is the opposite of retire.
func (e Env) giveBack(trash, name string) error {
	return e.files().RenameNoReplace("give tag back", trash, e.Base.Dir(name))
}

// condemn makes a retired tag one that never comes back, and forgets its records.
func (e Env) condemn(trash, name string) error {
	if strings.HasSuffix(trash, unrecorded) {
		if err := e.files().RenameNoReplace("condemn tag", trash, filepath.Join(e.Base.Trash(), name)); err != nil {
			return err
		}
	}
	if err := e.files().Remove("remove manifest", e.Base.Manifest(name)); err != nil {
		return err
	}
	return e.files().Remove("remove table", e.Base.Table(name))
}

// retired returns the tag that what bears a name in the trash is, if it is one that is not condemned.
func retired(l tag.Base, e fs.DirEntry) (name string, ok bool) {
	name, none := strings.CutSuffix(e.Name(), unrecorded)
	if _, err := tag.ParseName(name); err != nil || !e.IsDir() {
		return "", false
	}
	return name, (none || recorded(l, name)) && !exists(l.Dir(name)) // if it was made anew, the manifest is the new one's
}

// recorded reports whether there is a manifest of the tag that can be used.
func recorded(l tag.Base, name string) bool {
	header, err := tag.ReadHeader(l.Manifest(name))
	return err == nil && header.Name == name
}

// giveAllBack gives back the tags that a run has retired and, because it died, not condemned: somebody may need them. The
// next prune decides again.
func (e Env) giveAllBack() []error {
	trash, err := e.files().Open(e.Base.Trash())
	if err != nil {
		return []error{fmt.Errorf("sweep: %w", err)}
	}
	defer trash.Close()
	entries, err := fs.ReadDir(trash.FS(), ".")
	if err != nil {
		return []error{fmt.Errorf("sweep %q: %w", e.Base.Trash(), err)}
	}
	var failed []error
	for _, entry := range entries {
		if name, ok := retired(e.Base, entry); ok {
			failed = append(failed, e.giveBack(filepath.Join(e.Base.Trash(), entry.Name()), name))
		}
	}
	return slices.DeleteFunc(failed, func(err error) bool { return err == nil })
}

// emptyTrash deletes what is condemned, of the entries asked for.
func (e Env) emptyTrash(of func(fs.DirEntry) bool) []error {
	return e.sweepDir(e.Base.Trash(), func(entry fs.DirEntry) bool {
		_, ok := retired(e.Base, entry)
		return !ok && of(entry)
	})
}

// exists reports whether something bears the name. What cannot be seen may be there.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
