package disk

import (
	"fmt"
	"os"
	"strings"
)

// MaxPath and maxName are the longest path and component, in bytes, that Linux can name.
const (
	MaxPath = 4095
	MaxName = 255
)

// QuotePath quotes a path for a message, and shortens one that is very long.
func QuotePath(path string) string {
	if len(path) > 300 {
		return fmt.Sprintf("%q...%q", path[:100], path[len(path)-100:])
	}
	return fmt.Sprintf("%q", path)
}

// SplitPath splits a path before its last component.
func SplitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// IsAtOrBelow reports whether a path is that of a directory or of something in it.
func IsAtOrBelow(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// Exists reports whether something bears a name, be it a link that leads nowhere.
func Exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// Refused is the error about a path of a tree that cannot be published.
func Refused(path string, err error) error {
	return fmt.Errorf("the tree's entry %s is refused: %w", QuotePath(path), err)
}

// MaxNamed is how many of the files set aside a warning names.
const MaxNamed = 5

// ParentDirs adds all directories above path to set.
func ParentDirs(set map[string]bool, path string) {
	for {
		i := strings.LastIndexByte(path, '/')
		if i < 0 || set[path[:i]] {
			return
		}
		path = path[:i]
		set[path] = true
	}
}
