// Package nventory asks an nVentory server which groups a host is in, and what it is pinned to.
//
// It is apart from the other kinds of inventories because it takes net/http, which costs every start of a program
// that has it.
package nventory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/etch/etchtag/tagging/inventory"
	"github.com/etch/etchtag/tagging/inventory/parse"
)

// Options say how to ask an nVentory server.
type Options struct {
	Server string // its URL, which wins over that of ConfigFiles

	// ConfigFiles are read in order, and a later one wins. None of them needs to be there. Their lines
	// have the form "key = value" with the keys server, proxy_server, ca_file and ca_path.
	ConfigFiles []string

	// Timeout is what one question may take, redirects included; 0: 5 s. To list all hosts is many
	// times the work for a server, so it may take 60 times as long.
	Timeout time.Duration
}

const (
	nventoryServer     = "http://nventory/" // where nothing else is configured
	nventoryTimeout    = 5 * time.Second
	nventoryListFactor = 60 // how many times the timeout of one question a list may take
)

// Inventory is the inventory that an nVentory server keeps: a host's node groups, inherited ones among
// them, and its config_mgmt_tag, which is its pin. White space around that is dropped.
//
// A host is asked for by its exact name. Anything but a clear answer is an error: a status other than 200, a
// document of another form, another host than the one that was asked for, or several of one name. So is one of
// more than 4 MiB a host, or 8 GiB in all. Node names compare in lower case.
//
// 301, 307 and 308 redirects are followed, five at most, and never from https to http. A user and password
// in the server's URL are sent to that host and port alone and stand in no error. If proxy_server is not
// configured, the environment's proxies are used. ca_file, and ca_path with all files in that directory, hold
// the certificates in PEM that are trusted in place of the system's.
type Inventory struct {
	timeout  time.Duration
	settings func() (*settings, error) // read once, at the first use
	limits   limits
}

var _ inventory.Lister = (*Inventory)(nil)

// New returns the inventory of a server. Neither the server nor the files are asked before the first
// use; then the files are read once.
func New(o Options) *Inventory {
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = nventoryTimeout
	}
	return &Inventory{
		timeout:  timeout,
		settings: sync.OnceValues(func() (*settings, error) { return readSettings(o) }),
		limits:   limits{node: 4 << 20, answer: 8 << 30, kept: 1 << 30},
	}
}

// Name implements Inventory. It has the server's URL, if that is known.
func (n *Inventory) Name() string {
	s, err := n.settings()
	if err != nil {
		return "nventory"
	}
	return "nventory " + s.server.String()
}

// Lookup implements Inventory.
func (n *Inventory) Lookup(ctx context.Context, host string) (inventory.Answer, error) {
	s, err := n.settings()
	if err != nil {
		return inventory.Answer{}, err
	}
	var a inventory.Answer
	err = s.ask(ctx, query(host), n.timeout, n.limits, func(node *answerNode) error {
		switch {
		case node.host != host:
			return fmt.Errorf("the answer is about %q, not about %q", node.host, host)
		case a.Known:
			return fmt.Errorf("the answer has several nodes that are called %q", host)
		}
		a = s.answer(parse.SortedSet(node.groups), node.pin)
		return nil
	})
	if err != nil {
		return inventory.Answer{}, err
	}
	return a, nil
}

// Hosts implements Lister. It asks the server once. What it keeps of a million hosts are some hundred
// megabytes, though the answer has several gigabytes. A host that is listed twice is an error, as it is in
// Lookup.
func (n *Inventory) Hosts(ctx context.Context, yield func(host string, a inventory.Answer) bool) error {
	s, err := n.settings()
	if err != nil {
		return err
	}
	l := newListing(n.limits.kept)
	if err := s.ask(ctx, all, nventoryListFactor*n.timeout, n.limits, l.add); err != nil {
		return err
	}
	if err := l.sort(); err != nil {
		return s.failed(all, err)
	}
	for _, row := range l.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !yield(row.host, s.answer(l.lists.Union(row.list), row.pin)) {
			return nil
		}
	}
	return nil
}

// answer makes the answer for a host that is known.
func (s *settings) answer(groups []string, pin string) inventory.Answer {
	a := inventory.Answer{Known: true, Groups: groups, Pin: pin}
	if pin != "" {
		a.PinFrom = "config_mgmt_tag in nVentory " + s.server.String()
	}
	return a
}
