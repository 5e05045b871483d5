package snapshot

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/tagging/tag"
)

// Needs knows who needs which tags: rings, people, tags that inherit a mark. Whom to ask takes minutes was asked when it
// was made; what people write can be read again at any time.
type Needs interface {
	// Read reads what people have written, and says who needs which of the tags at now: the reasons by tag. While
	// unknown is not empty, any tag may be needed besides. It fails if what is written cannot be read.
	Read(tags *tag.Index, now time.Time) (by map[string][]string, unknown []string, err error)
	// Changed reports whether people may have written something since Read began.
	Changed() bool
}

// links returns the symbolic links in the tags' directory that lead to tags: the name of one by each tag.
func (m *Manager) links() (map[string]string, error) {
	entries, err := os.ReadDir(m.Base.Tags())
	if err != nil {
		return nil, err
	}
	links := map[string]string{}
	for _, e := range entries {
		if e.Type() != fs.ModeSymlink {
			continue
		}
		if tag := m.Base.TagOf(filepath.Join(m.Base.Tags(), e.Name())); tag != "" {
			links[tag] = e.Name()
		}
	}
	return links, nil
}
