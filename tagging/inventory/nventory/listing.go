package nventory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// listing is what a server's list of all nodes says.
type listing struct {
	rows  []row
	lists *parse.Lists
	kept  int64 // the bytes that rows and lists take, roughly
	limit int64 // of kept
}

// row is one host.
type row struct {
	host string
	pin  string
	list int32 // of groups: index into listing.lists.All
}

func newListing(limit int64) *listing {
	return &listing{lists: parse.NewLists(), limit: limit}
}

// add adds a host.
func (l *listing) add(node *answerNode) error {
	const (
		rowSize    = 100 // with room to grow
		stringSize = 32  // of a group's name in a list and in the index of lists, apart from its bytes
	)
	l.kept += rowSize + int64(len(node.host)+len(node.pin))
	known := len(l.lists.All)
	list := l.lists.Add(parse.SortedSet(node.groups))
	if len(l.lists.All) > known {
		for _, group := range node.groups {
			l.kept += stringSize + 2*int64(len(group))
		}
	}
	if l.kept > l.limit {
		return fmt.Errorf("the answer is too large: its first %d hosts take %d bytes of memory", len(l.rows)+1, l.kept)
	}
	l.rows = append(l.rows, row{host: node.host, pin: node.pin, list: list})
	return nil
}

// sort brings the hosts into the order of their names, and fails if one is there twice.
func (l *listing) sort() error {
	slices.SortFunc(l.rows, func(a, b row) int { return strings.Compare(a.host, b.host) })
	for i := 1; i < len(l.rows); i++ {
		if l.rows[i].host == l.rows[i-1].host {
			return fmt.Errorf("the answer has several nodes that are called %q", l.rows[i].host)
		}
	}
	return nil
}
