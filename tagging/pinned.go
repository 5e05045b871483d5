package tagging

import (
	"context"
	"fmt"
	"slices"

	"github.com/etch/etchtag/tagging/inventory"
)

// PinnedTags returns, for every tag that a pin leads to, the hosts that have such a pin, sorted. It knows the
// pins file and every inventory that can list its hosts; one that fails to is an error.
func (h *Hosts) PinnedTags(ctx context.Context) (map[string][]string, error) {
	listed, err := h.ListPins(ctx)
	if err != nil {
		return nil, err
	}
	return h.pinnedTags(listed, h.Pins), nil
}

// ListPins asks every inventory that can list its hosts, which may take minutes, for pins: the hosts by the path that
// they are pinned to. One that fails to is an error.
func (h *Hosts) ListPins(ctx context.Context) (hosts map[string][]string, err error) {
	hosts = map[string][]string{}
	for _, inv := range h.Inventories {
		lister, ok := inv.(inventory.Lister)
		if !ok {
			continue
		}
		err := lister.Hosts(ctx, func(host string, a inventory.Answer) bool {
			if a.Pin != "" {
				hosts[a.Pin] = append(hosts[a.Pin], host)
			}
			return true
		})
		if err != nil {
			return nil, fmt.Errorf("list the hosts of inventory %s: %w", inv.Name(), err)
		}
	}
	return hosts, nil
}

// pinnedTags joins what inventories have listed with the pins file, by the tags that the paths lead to.
func (r *Resolver) pinnedTags(listed map[string][]string, pins *Pins) map[string][]string {
	byPath := make(map[string][]string, len(listed)) // to follow links takes its time
	for path, hosts := range listed {
		byPath[path] = slices.Clip(hosts)
	}
	for _, pin := range pins.All() {
		byPath[pin.Path] = append(byPath[pin.Path], pin.Host)
	}
	pinned := map[string][]string{}
	for path, hosts := range byPath {
		if tag := r.Base.TagOf(path); tag != "" {
			pinned[tag] = append(pinned[tag], hosts...)
		}
	}
	for tag, hosts := range pinned {
		slices.Sort(hosts)
		pinned[tag] = slices.Compact(hosts)
	}
	return pinned
}
