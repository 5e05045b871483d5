package tag

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// Base says where things stand below an etch server's configuration base.
type Base struct {
	Path        string // an absolute path
	WorkingCopy string // relative to Base; empty means "trunk"
}

// Tags is the directory of the tags. It may be a symbolic link.
func (l Base) Tags() string { return filepath.Join(l.Path, "tags") }

// Dir is the directory of a tag.
func (l Base) Dir(name string) string { return filepath.Join(l.Tags(), name) }

// workDir is the name of our own directory among the tags.
const workDir = ".etchtag"

// Work is our own directory, on the same file system as the tags.
func (l Base) Work() string { return l.Dir(workDir) }

func (l Base) work(name string) string { return filepath.Join(l.Work(), name) }

// Manifest is the file that records a tag.
func (l Base) Manifest(name string) string { return filepath.Join(l.manifests(), name) }

func (l Base) manifests() string { return l.work("manifests") }

// Table is the file in which a tag's inventory stands compiled.
func (l Base) Table(name string) string { return filepath.Join(l.work("tables"), name) }

// FileTable is the file in which the inventory that is the file at path stands compiled.
func (l Base) FileTable(path string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(path)))
	return l.work("inventory-" + hex.EncodeToString(sum[:16]))
}

// Stage is the directory in which tags are prepared.
func (l Base) Stage() string { return l.work("stage") }

// Etchtag is a link to the program that made the base. Nodetagger needs it for some inventories.
func (l Base) Etchtag() string { return l.work("etchtag") }

// Trash is the directory from which removed tags are deleted.
func (l Base) Trash() string { return l.work("trash") }

// Discarded is the directory in which local changes of the working copy are set aside.
func (l Base) Discarded() string { return l.work("discarded") }

// SnapshotLock is the lock of whoever makes or removes tags or updates the working copy.
func (l Base) SnapshotLock() string { return l.work("snapshot.lock") }

// TagstateLock is the lock of whoever edits tagstate, pins or the list of kept tags.
func (l Base) TagstateLock() string { return l.work("tagstate.lock") }

// Pins is the file of pins, "HOST PATH" a line.
func (l Base) Pins() string { return filepath.Join(l.Path, "pins") }

// Kept is the file of tags that are never pruned.
func (l Base) Kept() string { return filepath.Join(l.Path, "kept") }

// Killswitch is the file that makes the etch server refuse every client.
func (l Base) Killswitch() string { return filepath.Join(l.Path, "killswitch") }

// Trunk is the working copy. It may be a symbolic link.
func (l Base) Trunk() string { return filepath.Join(l.Path, l.TrunkPath()) }

func (l Base) TrunkPath() string {
	if l.WorkingCopy == "" {
		return "trunk"
	}
	return l.WorkingCopy
}
