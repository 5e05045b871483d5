// Package inventory answers two questions about a host: which groups it is in, and whether somebody
// has pinned it to one tag. Each kind of inventory has a file of its own and passes the same
// conformance suite.
package inventory

import "context"

// Answer is what an inventory knows of a host. The zero Answer says that the host is unknown.
type Answer struct {
	Known   bool     // the inventory has the host
	Groups  []string // sorted, without repetition
	Pin     string   // a path relative to the base, or a bump; empty if the host has no pin
	PinFrom string   // where the pin is written: a file and line, or a server
	Notes   []string // how the answer was found, where that is not the usual way
}

// Inventory knows hosts.
type Inventory interface {
	// Name says which inventory this is, for traces and errors: its kind and where it reads from.
	Name() string
	// Lookup answers for one host, whose name is in lower case. An unknown host is not an error;
	// an inventory that cannot answer is.
	Lookup(ctx context.Context, host string) (Answer, error)
}

// Lister is an Inventory that can name all of its hosts.
type Lister interface {
	Inventory
	// Hosts calls yield for every known host in the order of their names, until yield returns false.
	Hosts(ctx context.Context, yield func(host string, a Answer) bool) error
}
