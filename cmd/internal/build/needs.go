package build

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/etch/etchtag/snapshot"
	"github.com/etch/etchtag/tagging"
	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/tag"
)

// needs knows who needs which tags, for those who remove some.
type needs struct {
	*Site
	listed  map[string][]string // the pins of inventories
	lacking error               // why they are not known
	read    inventory.Watch     // what people write, since it was read
}

var _ snapshot.Needs = (*needs)(nil)

// Needs implements snapshot.Site: it asks the inventories for their pins, as of now.
func (s *Site) Needs(ctx context.Context, now time.Time) snapshot.Needs {
	n := &needs{Site: s}
	hosts, err := s.Hosts(now)
	if err == nil {
		n.listed, err = hosts.ListPins(ctx)
	}
	n.lacking = err
	return n
}

// Read implements snapshot.Needs.
func (n *needs) Read(tags *tag.Index, now time.Time) (by map[string][]string, unknown []string, err error) {
	written := []string{n.Base.Pins(), n.Base.Kept()}
	for _, path := range n.Config.Tagstate {
		written = append(written, filepath.Join(n.Base.Path, path))
	}
	n.read = inventory.WatchFiles(n.Clock(), written...)
	states, err := n.States()
	if err != nil {
		return nil, nil, err
	}
	pins, pinsErr := tagging.LoadPins(n.Base.Pins())
	kept, keptErr := tagging.LoadKept(n.Base.Kept())
	found := n.Resolver(states, tags).At(now).Needs(n.listed, pins, kept)
	for _, lack := range []struct {
		what string
		err  error
	}{{"who is pinned", n.lacking}, {"who is pinned", pinsErr}, {"what is kept", keptErr}} {
		if lack.err != nil {
			found.Unknown = append(found.Unknown, fmt.Sprintf("%s is not known: %v", lack.what, lack.err))
		}
	}
	return found.By, found.Unknown, nil
}

// Changed implements snapshot.Needs.
func (n *needs) Changed() bool { return n.read.Changed() }
