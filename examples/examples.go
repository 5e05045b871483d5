// Package examples holds the commented configuration that init writes, and the sample configuration tree
// that the demo is told with. The other files beside it are for administrators to copy.
package examples

import "embed"

// Config is a configuration in which every key stands with its default and what it means.
//
//go:embed etchtag.yml
var Config []byte

// Tree holds a small configuration tree of an etch server, below "tree". Every file in it is to be
// copied with the mode 0644, but those in Executables with 0755: embedding loses modes.
//
//go:embed all:tree
var Tree embed.FS

// Executables are the paths in Tree of the files that must be executable.
var Executables = []string{"tree/nodegrouper"}
