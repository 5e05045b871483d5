package decide

import (
	"context"
	"fmt"
	"time"

	"github.com/etch/etchtag/cmd/internal/config"
	"github.com/etch/etchtag/tagging"
)

// Open reads what a base's configuration says of decisions, and no more. The path of the configuration is empty for the
// base's own, which need not exist.
func Open(base, file string, kinds Kinds, clock func() time.Time) (*Site, error) {
	base, err := CheckBase(base)
	if err != nil {
		return nil, err
	}
	named := file != ""
	if !named {
		file = ConfigFile(base)
	}
	c, err := config.LoadDecisive(file, named)
	if err != nil {
		return nil, Usage(err)
	}
	return NewSite(base, c, kinds, clock), nil
}

// Answer says which path below the base a host gets at now.
func (s *Site) Answer(ctx context.Context, host string, now time.Time) (path string, err error) {
	if err := tagging.ValidateHost(host); err != nil {
		return "", Usage(err)
	}
	hosts, err := s.Hosts(now)
	if err != nil {
		return "", fmt.Errorf("no tag for %s: %w", host, err)
	}
	d := hosts.Decide(ctx, host)
	if d.Failure != "" {
		return "", fmt.Errorf("no tag for %s: %s; etchtag explain %s shows why", host, d.Failure, host)
	}
	return d.Path, nil
}

// Nodetagger is the program of that name, as the etch server calls it. What follows its own name is exactly one argument,
// a host whatever it looks like.
type Nodetagger struct {
	Kinds  Kinds
	Getenv func(string) string
	Clock  func() time.Time
	Alone  bool // see Site
}

// Answer says what line, with the name by which the program was called, is to be answered.
func (n Nodetagger) Answer(ctx context.Context, line []string) (path string, err error) {
	if len(line) != 2 {
		return "", Usagef("nodetagger takes one argument, the host's name, not %d", len(line)-1)
	}
	s, err := Open(FindBase(n.Getenv, line[0]), "", n.Kinds, n.Clock)
	if err != nil {
		return "", err
	}
	s.Alone = n.Alone
	return s.Answer(ctx, line[1], n.Clock().UTC())
}
