package tag

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
)

// Base says where things stand below an etch server's configuration base.
type Base struct {
	Path        string // an absolute path
	WorkingCopy string // relative to Path; empty means "trunk"
}

// Tags is the directory of the tags. It may be a symbolic link.
func (b Base) Tags() string { return filepath.Join(b.Path, "tags") }

// Dir is the directory of a tag.
func (b Base) Dir(name string) string { return filepath.Join(b.Tags(), name) }

// workDir is the name of our own directory among the tags.
const workDir = ".etchtag"

// Work is our own directory, on the same file system as the tags.
func (b Base) Work() string { return b.Dir(workDir) }

func (b Base) work(name string) string { return filepath.Join(b.Work(), name) }

// Manifest is the file that records a tag.
func (b Base) Manifest(name string) string { return filepath.Join(b.manifests(), name) }

func (b Base) manifests() string { return b.work("manifests") }

// Table is the file in which a tag's inventory stands compiled.
func (b Base) Table(name string) string { return filepath.Join(b.work("tables"), name) }

// FileTable is the file in which the inventory that is the file at path stands compiled.
func (b Base) FileTable(path string) string {
	sum := sha256.Sum256([]byte(filepath.Clean(path)))
	return b.work("inventory-" + hex.EncodeToString(sum[:16]))
}

// Stage is the directory in which tags are prepared.
func (b Base) Stage() string { return b.work("stage") }

// Etchtag is a link to the program that made the base. Nodetagger needs it for some inventories.
func (b Base) Etchtag() string { return b.work("etchtag") }

// Trash is the directory from which removed tags are deleted.
func (b Base) Trash() string { return b.work("trash") }

// Discarded is the directory in which local changes of the working copy are set aside.
func (b Base) Discarded() string { return b.work("discarded") }

// SnapshotLock is the lock of whoever makes or removes tags or updates the working copy.
func (b Base) SnapshotLock() string { return b.work("snapshot.lock") }

// TagstateLock is the lock of whoever edits tagstate, pins or the list of kept tags.
func (b Base) TagstateLock() string { return b.work("tagstate.lock") }

// Pins is the file of pins, "HOST PATH" a line.
func (b Base) Pins() string { return filepath.Join(b.Path, "pins") }

// Kept is the file of tags that are never pruned.
func (b Base) Kept() string { return filepath.Join(b.Path, "kept") }

// Killswitch is the file that makes the etch server refuse every client.
func (b Base) Killswitch() string { return filepath.Join(b.Path, "killswitch") }

// Trunk is the working copy. It may be a symbolic link.
func (b Base) Trunk() string { return filepath.Join(b.Path, b.TrunkPath()) }

// TrunkPath is the path of the working copy relative to the base.
func (b Base) TrunkPath() string {
	if b.WorkingCopy == "" {
		return "trunk"
	}
	return b.WorkingCopy
}
