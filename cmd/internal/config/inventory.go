package config

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Inventory is one place that says which groups a host is in.
type Inventory struct {
	Kind    string        // a key of inventoryKeys
	Path    string        // of a file; a relative one starts at the base
	From    string        // of etch and nodegrouper: "settled" or "trunk"
	Server  string        // of nventory: a URL; empty for the one in nVentory's own configuration
	Command []string      // of a command: the program and the arguments that come before the host
	Timeout time.Duration // of those that ask a program or a server; 0 for their own default
	Stale   time.Duration // how long an answer serves when there is no new one; 0: not at all
}

// inventoryKeys says which keys each kind of inventory has besides kind and stale. The first ones listed as needed
// must be given.
var inventoryKeys = map[string]struct{ needed, optional []string }{
	"etch":        {optional: []string{"from"}},
	"nodegrouper": {optional: []string{"from", "timeout"}},
	"nventory":    {optional: []string{"server", "timeout"}},
	"command":     {needed: []string{"command"}, optional: []string{"timeout"}},
	"file":        {needed: []string{"path"}},
}

func (c *Config) readInventory(v value) {
	var inventories []Inventory
	if v.list(func(item value) {
		var i Inventory
		i.read(item)
		inventories = append(inventories, i)
	}) {
		c.Inventory = inventories
	}
}

func (i *Inventory) read(v value) {
	kinds := slices.Sorted(maps.Keys(inventoryKeys))
	keys := []field{
		{"kind", readText(&i.Kind, checkOneOf(kinds...))},
		{"path", readText(&i.Path, checkFilePath)},
		{"from", readText(&i.From, checkOneOf("settled", "trunk"))},
		{"server", readText(&i.Server, checkServer)},
		{"command", i.readCommand},
		{"timeout", readDuration(&i.Timeout, checkPositive)},
		{"stale", readDuration(&i.Stale, checkPositive)},
	}
	v.mapping(keys...)
	v.require("kind")
	has, known := inventoryKeys[i.Kind]
	if !known {
		return
	}
	for _, key := range keys {
		if !slices.Contains([]string{"kind", "stale"}, key.name) && !slices.Contains(has.needed, key.name) &&
			!slices.Contains(has.optional, key.name) {
			v.refuse(key.name, "is not for inventories of kind "+i.Kind+", but for "+kindsWith(key.name))
		}
	}
	v.require(has.needed...)
	if i.From == "" && slices.Contains(has.optional, "from") {
		i.From = "settled"
	}
}

// kindsWith lists the kinds of inventory that have a key.
func kindsWith(key string) string {
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(inventoryKeys)) {
		if has := inventoryKeys[kind]; slices.Contains(has.needed, key) || slices.Contains(has.optional, key) {
			kinds = append(kinds, kind)
		}
	}
	return strings.Join(kinds, " and ")
}

func (i *Inventory) readCommand(v value) {
	readTexts(&i.Command, checkPrintable)(v)
	if len(i.Command) == 0 || i.Command[0] == "" {
		v.fail("names no command")
	}
}

// checkServer accepts the URL of an nVentory server.
func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("is not the URL of a server, such as http://nventory.example.com/")
	}
	return checkPrintable(s)
}
