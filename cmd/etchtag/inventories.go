package main

import (
	"iter"
	"path/filepath"
	"strings"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/nventory"
)

// inventory builds one of the inventories of a resolver that decides for now.
func (s *site) inventory(i config.Inventory, r *tagging.Resolver, now time.Time) inventory.Inventory {
	inv := s.freshInventory(i, r, now)
	if i.Stale == 0 {
		return inv
	}
	return inventory.WithStale(inv, inventory.StaleOptions{Age: i.Stale, ID: s.Base.Path + " " + inv.Name(),
		Dir: s.Config.CacheDir, Now: s.app.now})
}

func (s *site) freshInventory(i config.Inventory, r *tagging.Resolver, now time.Time) inventory.Inventory {
	switch i.Kind {
	case "file":
		path := s.path(i.Path)
		return inventory.NewFile(path, s.Base.FileTable(path))
	case "nventory":
		return nventory.New(nventory.Options{Server: i.Server, ConfigFiles: nventoryFiles(s.app.getenv("HOME")),
			Timeout: i.Timeout})
	case "command":
		return inventory.NewCommand(s.program(i.Command), inventory.ProgramOptions{Timeout: i.Timeout, Alone: s.app.alone})
	case "nodegrouper":
		return inventory.NewNodegrouper(s.trees(i, r, now), inventory.ProgramOptions{Timeout: i.Timeout, Alone: s.app.alone})
	}
	return inventory.NewEtch(s.trees(i, r, now))
}

// trees are the copies of the configuration that an inventory may be read from, the best first.
func (s *site) trees(i config.Inventory, r *tagging.Resolver, now time.Time) iter.Seq[inventory.Tree] {
	if i.From == "trunk" {
		return tagging.WorkingTrees(s.Base)
	}
	return r.SettledTrees(now)
}

// program is a command of the configuration with the path of its program. A name without a slash is looked for in
// $PATH.
func (s *site) program(words []string) []string {
	if !strings.Contains(words[0], "/") {
		return words
	}
	return append([]string{s.path(words[0])}, words[1:]...)
}

// nventoryFiles are the configuration files that all clients of nVentory share; the later one wins.
func nventoryFiles(home string) []string {
	files := []string{"/etc/nventory.conf"}
	if home != "" {
		files = append(files, filepath.Join(home, ".nventory.conf"))
	}
	return files
}
