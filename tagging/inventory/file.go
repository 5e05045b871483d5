package inventory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"go.yaml.in/yaml/v3"
)

// File is the inventory that is one YAML file, a mapping HOST: {groups: [...], tag: PATH}. Both keys may
// be left out; a single group needs no list; a tag that is empty is no pin. A host without a value is
// known and in no group.
//
// Names of hosts compare in lower case. One that is spelled in two ways has the groups of both; two
// different pins for it are a mistake, because neither could be preferred. A file that is not there is an
// error: it has been asked for by name.
type File struct {
	path  string
	table string
}

var _ Lister = (*File)(nil)

// NewFile returns the inventory in the file at path. Lookup and Hosts read the table instead that
// RefreshFileTable has made of it, as long as it is of the very file that is there; otherwise they read
// the file in full, and a note says why. With an empty table they always read the file.
func NewFile(path, table string) *File { return &File{path: path, table: table} }

// Name implements Inventory.
func (f *File) Name() string { return "file " + f.path }

// Lookup implements Inventory. It costs a few page reads if there is a table of the file.
func (f *File) Lookup(ctx context.Context, host string) (Answer, error) {
	var a Answer
	err := f.read(ctx, fileReader{
		table: func(t *table) error {
			e, known, err := t.lookup(host)
			if known {
				a = e.answer(f.path)
			}
			return err
		},
		content: func(c *fileContent, notes []string) {
			if e, known := c.entry(host); known {
				a = e.answer(f.path)
			}
			a.Notes = notes
		},
	})
	if err != nil {
		return Answer{}, err
	}
	return a, nil
}

// Hosts implements Lister.
func (f *File) Hosts(ctx context.Context, yield func(host string, a Answer) bool) error {
	var last string     // the host that was yielded last, if any
	var cancelled error // why there shall be no more
	next := func(host string, e entry, notes []string) bool {
		if cancelled = ctx.Err(); cancelled != nil {
			return false
		}
		last = host
		a := e.answer(f.path)
		a.Notes = notes
		return yield(host, a)
	}
	err := f.read(ctx, fileReader{
		table: func(t *table) error {
			return t.hosts(func(host string, e entry) bool { return next(host, e, nil) })
		},
		// If the table turns out to be damaged half-way, the file gives the rest.
		content: func(c *fileContent, notes []string) {
			c.each(func(host string, e entry) bool { return host <= last || next(host, e, notes) })
		},
	})
	if err != nil {
		return err
	}
	return cancelled
}

// fileReader asks the same of a table and of the file that it was compiled from.
type fileReader struct {
	table   func(t *table) error // fails only if the table is of no use
	content func(c *fileContent, notes []string)
}

// read reads the file's table, or else the file.
func (f *File) read(ctx context.Context, r fileReader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var notes []string
	if f.table != "" {
		err := f.openTable(r.table)
		if err == nil {
			return nil
		}
		if fault, ok := errors.AsType[*parse.Fault](err); ok {
			return fault
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("there is none yet")
		}
		notes = []string{fmt.Sprintf("the file's table is not used (%v): the file was read in full", err)}
	}
	text, err := parse.Text(f.path)
	if err != nil {
		return err
	}
	c, err := parseFile(f.path, text)
	if err != nil {
		return err
	}
	r.content(c, notes)
	return nil
}

// openTable opens the file's table for use by read, if it is of the very file that is there.
func (f *File) openTable(read func(*table) error) error {
	info, err := os.Stat(f.path)
	if err != nil {
		return err
	}
	return openTable(f.table, identityOf(info), read)
}

// fileContent is what a file says of all hosts.
type fileContent struct {
	path   string
	hosts  map[string]fileHost // by the name in lower case
	lists  *parse.Lists
	lineOf map[string]int // by the name as it is written
}

// fileHost is what a file says of one host.
type fileHost struct {
	groups  []int32 // indices into fileContent.lists.All
	pin     string
	pinLine int
}

// parseFile reads the text of the file at path.
func parseFile(path, text string) (*fileContent, error) {
	var c *fileContent
	err := parse.EachEntry(path, text, func() parse.Visitor {
		c = &fileContent{path: path, hosts: map[string]fileHost{}, lists: parse.NewLists(), lineOf: map[string]int{}}
		return c.addHost
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// entry returns what the file says of one host.
func (c *fileContent) entry(host string) (e entry, known bool) {
	h, known := c.hosts[host]
	if !known {
		return entry{}, false
	}
	return entry{groups: c.lists.Union(h.groups...), pin: h.pin, line: h.pinLine}, true
}

// each calls yield for all hosts in the order of their names, until it returns false.
func (c *fileContent) each(yield func(host string, e entry) bool) {
	for _, host := range slices.Sorted(maps.Keys(c.hosts)) {
		if e, _ := c.entry(host); !yield(host, e) {
			return
		}
	}
}

// addHost adds what an entry says of one host.
func (c *fileContent) addHost(key, value *yaml.Node) error {
	name, err := parse.KeyText(c.path, key)
	if err != nil {
		return err
	}
	if first, found := c.lineOf[name]; found {
		return parse.Faultf(c.path, key.Line, "%q stands here a second time; the first is in line %d", name, first)
	}
	c.lineOf[name] = key.Line
	host, err := parse.HostName(c.path, key.Line, name)
	if err != nil {
		return err
	}
	h := c.hosts[host]
	if err := c.addKeys(&h, name, value); err != nil {
		return err
	}
	c.hosts[host] = h
	return nil
}

// addKeys adds the keys of an entry to h.
func (c *fileContent) addKeys(h *fileHost, host string, value *yaml.Node) error {
	entry := parse.Target(value)
	if parse.IsNull(entry) {
		return nil
	}
	if entry.Kind != yaml.MappingNode {
		return parse.Faultf(c.path, value.Line, "host %q: a mapping with groups and tag is expected, not %s",
			host, parse.KindOf(entry))
	}
	seen := make(map[string]bool, 2)
	for i := 0; i < len(entry.Content); i += 2 {
		key, value := entry.Content[i], entry.Content[i+1]
		name, err := parse.KeyText(c.path, key)
		if err != nil {
			return err
		}
		if seen[name] {
			return parse.Faultf(c.path, key.Line, "host %q: key %q stands here a second time", host, name)
		}
		seen[name] = true
		switch name {
		case "groups":
			err = c.addGroups(h, value)
		case "tag":
			err = c.addPin(h, host, value)
		default:
			err = parse.Faultf(c.path, key.Line, "host %q: unknown key %q; groups and tag are possible", host, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// addGroups adds a list of groups to h.
func (c *fileContent) addGroups(h *fileHost, value *yaml.Node) error {
	list, err := c.lists.AddNode(c.path, value)
	h.groups = append(h.groups, list)
	return err
}

// addPin adds a pin to h.
func (c *fileContent) addPin(h *fileHost, host string, value *yaml.Node) error {
	n := parse.Target(value)
	if n.Kind != yaml.ScalarNode {
		return parse.Faultf(c.path, value.Line, "host %q: the tag must be a path, not %s", host, parse.KindOf(n))
	}
	if parse.IsNull(n) || n.Value == "" {
		return nil
	}
	if h.pin != "" && h.pin != n.Value {
		return parse.Faultf(c.path, value.Line, "host %q is pinned to %q here and to %q in line %d",
			host, n.Value, h.pin, h.pinLine)
	}
	if h.pin == "" {
		h.pin, h.pinLine = n.Value, value.Line
	}
	return nil
}
