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
	files := []string{"/etc/nventory.conf"} // which all clients of nVentory share; the later one wins
	if home := getenv("HOME"); home != "" {
		files = append(files, filepath.Join(home, ".nventory.conf"))
	}
	kinds := maps.Clone(decide.LocalKinds)
	kinds["nventory"] = decide.Kind{
		New: func(_ *decide.Site, i config.Inventory, _ iter.Seq[inventory.Tree]) inventory.Inventory {
			return nventory.New(nventory.Options{Server: i.Server, ConfigFiles: files, Timeout: i.Timeout})
		},
		Files: func(*decide.Site, config.Inventory) []string { return files },
		Pins:  true,
	}
	return kinds
}
