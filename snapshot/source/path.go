package source

import (
	"fmt"
	"os"
	"strings"
)

// maxPath and maxName are the longest path and component, in bytes, that Linux can name.
const (
	maxPath = 4095
	maxName = 255
)

// quotePath quotes a path for a message, and shortens one that is very long.
func quotePath(path string) string {
	if len(path) > 300 {
		return fmt.Sprintf("%q...%q", path[:100], path[len(path)-100:])
	}
	return fmt.Sprintf("%q", path)
}

// splitPath splits a path before its last component.
func splitPath(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// isAtOrBelow reports whether a path is that of a directory or of something in it.
func isAtOrBelow(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
