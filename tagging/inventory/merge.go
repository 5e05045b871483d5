package inventory

import (
	"context"
	"fmt"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// Pin is a wish that one host be served one path.
type Pin struct {
	Path string // relative to the base, or a bump; never empty
	From string // where the pin is written
}

// Merged is what several inventories know of one host.
type Merged struct {
	Known  bool     // at least one of them knows the host
	Groups []string // of all of them; sorted, without repetition
	Pins   []Pin    // in the order of the inventories: the first wins unless it is a bump that has ended
	Notes  []string // each begins with the name of its inventory
}

// Merge asks every inventory for host, in order. One that fails, fails the whole: to leave it out could
// move the host to another ring. The error names it.
func Merge(ctx context.Context, inventories []Inventory, host string) (Merged, error) {
	var m Merged
	for _, inv := range inventories {
		a, err := inv.Lookup(ctx, host)
		if err != nil {
			return Merged{}, fmt.Errorf("look up %q in inventory %s: %w", host, inv.Name(), err)
		}
		m.Known = m.Known || a.Known
		m.Groups = append(m.Groups, a.Groups...)
		if a.Pin != "" {
			m.Pins = append(m.Pins, Pin{Path: a.Pin, From: a.PinFrom})
		}
		for _, note := range a.Notes {
			m.Notes = append(m.Notes, inv.Name()+": "+note)
		}
	}
	m.Groups = parse.SortedSet(m.Groups)
	return m, nil
}
