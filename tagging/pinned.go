package tagging

import (
	"context"
	"fmt"
	"slices"

	"github.com/etch/etchtag/tagging/inventory"
)

// PinnedTags returns, for every tag that a pin leads to, the hosts that have such a pin, sorted. It knows the
// pins file and every inventory that can list its hosts; one that fails to is an error.
func (r *Resolver) PinnedTags(ctx context.Context) (map[string][]string, error) {
	pinned := map[string][]string{}
	tags := map[string]string{"": ""} // by path: most hosts have none, and to follow links takes its time
	add := func(host, path string) {
		tag, known := tags[path]
		if !known {
			tag = r.Layout.TagOf(path)
			tags[path] = tag
		}
		if tag != "" {
			pinned[tag] = append(pinned[tag], host)
		}
	}
	for _, pin := range r.Pins.All() {
		add(pin.Host, pin.Path)
	}
	for _, inv := range r.Inventories {
		lister, ok := inv.(inventory.Lister)
		if !ok {
			continue
		}
		err := lister.Hosts(ctx, func(host string, a inventory.Answer) bool {
			add(host, a.Pin)
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list the hosts of inventory %s: %w", inv.Name(), err)
		}
	}
	for tag, hosts := range pinned {
		slices.Sort(hosts)
		pinned[tag] = slices.Compact(hosts)
	}
	return pinned, nil
}
