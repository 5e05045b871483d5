package build

import (
	"iter"
	"maps"
	"path/filepath"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/nventory"
)

// Kinds are all kinds of inventories.
func Kinds(getenv func(string) string) decide.Kinds {
	kinds := maps.Clone(decide.LocalKinds)
	kinds["nventory"] = func(_ *decide.Site, i config.Inventory, _ iter.Seq[inventory.Tree]) inventory.Inventory {
		return nventory.New(nventory.Options{Server: i.Server, ConfigFiles: NventoryFiles(getenv("HOME")), Timeout: i.Timeout})
	}
	return kinds
}

// NventoryFiles are the configuration files that all clients of nVentory share; the later one wins.
func NventoryFiles(home string) []string {
	files := []string{"/etc/nventory.conf"}
	if home != "" {
		files = append(files, filepath.Join(home, ".nventory.conf"))
	}
	return files
}
