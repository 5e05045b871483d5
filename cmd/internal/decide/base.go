package decide

import (
	"os"
	"path/filepath"
	"strings"
)

// StandardBase is the etch server's own default.
const StandardBase = "/etc/etchserver"

// FindBase finds the base that nobody names on the command line. The path that the program was called by counts if it is
// that of a link in a base; it is empty for a program that is not meant to be called so.
func FindBase(getenv func(string) string, called string) string {
	for _, variable := range []string{"ETCHTAG_BASE", "etchserverbase"} {
		if base := getenv(variable); base != "" {
			return base
		}
	}
	// A name without a directory was found in $PATH.
	if dir := filepath.Dir(called); strings.Contains(called, "/") && looksLikeBase(dir) {
		return dir
	}
	return StandardBase
}

// looksLikeBase keeps a link in /usr/local/bin from making that the base.
func looksLikeBase(dir string) bool {
	for _, name := range []string{"tags", "trunk", "etchtag.yml"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// CheckBase makes a base's path absolute, and proves that there is one: a mistyped base must not look like a
// new one.
func CheckBase(base string) (string, error) {
	base, err := filepath.Abs(base)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(base); err != nil {
		return "", Usagef("there is no base to work on: %w; etchtag init makes one", err)
	} else if !info.IsDir() {
		return "", Usagef("the base %s is no directory", base)
	}
	return base, nil
}

// ConfigFile is the configuration of a base, which need not exist.
func ConfigFile(base string) string { return filepath.Join(base, "etchtag.yml") }
