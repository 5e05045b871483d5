package main

import (
	"iter"
	"maps"
	"path/filepath"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/nventory"
)

// kinds are all kinds of inventories.
func (a *app) kinds() decide.Kinds {
	kinds := maps.Clone(decide.LocalKinds)
	kinds["nventory"] = func(_ *decide.Site, i config.Inventory, _ iter.Seq[inventory.Tree]) inventory.Inventory {
		return nventory.New(nventory.Options{Server: i.Server, ConfigFiles: nventoryFiles(a.getenv("HOME")), Timeout: i.Timeout})
	}
	return kinds
}

// nventoryFiles are the configuration files that all clients of nVentory share; the later one wins.
func nventoryFiles(home string) []string {
	files := []string{"/etc/nventory.conf"}
	if home != "" {
		files = append(files, filepath.Join(home, ".nventory.conf"))
	}
	return files
}
