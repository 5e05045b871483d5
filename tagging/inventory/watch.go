package inventory

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// Watch tells whether files may have been changed, replaced, made or removed after it began, without reading them.
type Watch struct {
	files   map[string]seen
	certain bool // whatever is done to them from then on will show
}

// seen is how a file was found: zero if there is none.
type seen struct {
	identity
	failed bool // it cannot be seen
}

// WatchFiles begins to watch files. Whoever reads them does that afterwards. A path may lead through links, and to
// nothing.
func WatchFiles(now time.Time, paths ...string) Watch {
	w := Watch{map[string]seen{}, true}
	for _, path := range paths {
		file := see(path)
		w.files[path] = file
		w.certain = w.certain && !file.failed && (file == seen{} || file.certainAt(now))
	}
	return w
}

func see(path string) seen {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if info, err = os.Lstat(path); errors.Is(err, fs.ErrNotExist) { // else it is a link that leads nowhere
			return seen{}
		}
	}
	if err != nil {
		return seen{failed: true}
	}
	return seen{identity: identityOf(info)}
}

// Changed reports whether any of the files may be different from what it was. One that was changed just before, so that
// another change might not show, may be.
func (w Watch) Changed() bool {
	for path, before := range w.files {
		if see(path) != before {
			return true
		}
	}
	return !w.certain
}
