package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/etch/etchtag/cmd/internal/decide"
	"github.com/etch/etchtag/cmd/internal/term"
	"github.com/etch/etchtag/tagging"
	"github.com/urfave/cli/v2"
)

func (a *app) hostsCommand() *cli.Command {
	return &cli.Command{
		Name:  "hosts",
		Usage: "list the hosts, with the ring, groups and pin of each and the tag that it gets",
		Description: "The hosts are those of the pins file and of all inventories that can list theirs, which are those\n" +
			"of the kinds " + listingKinds + "; each other inventory is asked for one host after the other.\n" +
			"If a host gets nothing, its line says why, and the exit status is 3.\n\n" +
			"Examples:\n   etchtag hosts\n   etchtag hosts --ring staging\n" +
			"   etchtag hosts --at 2026-11-22T09:30:00Z --json | jq -r '.hosts[] | select(.pin != \"\") | .host'",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "ring", Usage: "list only the hosts in the ring `NAME`"},
			atFlag(), jsonFlag(),
		},
		Action: a.hosts,
	}
}

// listingKinds are the kinds of inventories that can list their hosts.
const listingKinds = "etch, file and nventory"

func (a *app) hosts(c *cli.Context) error {
	if err := needArgs(c, 0, 0); err != nil {
		return err
	}
	_, hosts, err := a.reading(c)
	if err != nil {
		return err
	}
	wanted := func(*tagging.Decision) bool { return true }
	if c.IsSet("ring") {
		name := c.String("ring")
		if err := checkRing(hosts.Rings, name); err != nil {
			return err
		}
		wanted = func(d *tagging.Decision) bool { return d.Ring == name }
	}
	w := bufio.NewWriterSize(a.stdout, 1<<16)
	var list hostList = &hostTable{Columns: term.Columns{W: w}, colour: a.colours(a.stdout)}
	if c.Bool("json") {
		list = &hostsJSON{w: w}
	}
	shown, failed := 0, 0
	var writing error
	err = hosts.Each(c.Context, func(d *tagging.Decision) bool {
		if !wanted(d) {
			return true
		}
		if shown++; d.Failure != "" {
			failed++
		}
		writing = list.add(d)
		return writing == nil
	})
	if errors.Is(err, tagging.ErrNoLister) {
		err = fmt.Errorf("%w: those of the kinds %s can", err, listingKinds)
	}
	if err == nil && writing == nil {
		writing = list.End()
	}
	if err := errors.Join(err, writing, w.Flush()); err != nil {
		return err
	}
	if shown == 0 {
		a.log.Info("there are no such hosts")
	}
	if failed > 0 {
		return incomplete(fmt.Errorf("there is nothing for %s", term.Count(failed, "host")))
	}
	return nil
}

// checkRing returns an error unless there is a ring of that name.
func checkRing(rings tagging.Rings, name string) error {
	if slices.ContainsFunc(rings, func(r tagging.Ring) bool { return r.Name == name }) {
		return nil
	}
	return decide.Usagef("there is no ring %q; the rings are %s", name, strings.Join(ringNames(rings), ", "))
}

func ringNames(rings tagging.Rings) []string {
	names := make([]string, len(rings))
	for i, r := range rings {
		names[i] = r.Name
	}
	return names
}

// hostList writes what hosts get as it becomes known: there may be a million of them.
type hostList interface {
	add(d *tagging.Decision) error
	End() error
}

// hostTable is the list for people.
type hostTable struct {
	term.Columns
	colour bool
	begun  bool
}

func (t *hostTable) add(d *tagging.Decision) error {
	if !t.begun {
		t.begun = true
		heading := term.Row{Cells: []string{"HOST", "RING", "TAG", "PIN", "GROUPS"}}
		if t.colour {
			heading.Colour = term.Dim
		}
		if err := t.Columns.Add(heading); err != nil {
			return err
		}
	}
	tag := cmp.Or(d.Tag(), d.Path)
	groups := strings.Join(d.Groups, ",")
	line := term.Row{Cells: []string{term.Printable(d.Host), orDash(d.Ring), orDash(term.Printable(tag)), orDash(term.Printable(d.Pin)),
		orDash(term.Printable(groups))}}
	if d.Failure != "" {
		line.Cells = append(line.Cells, "gets nothing: "+term.Printable(d.Failure))
		if t.colour {
			line.Colour = term.Red
		}
	}
	return t.Columns.Add(line)
}

// hostsJSON is the list for programs: one document, with a line for each host. If the hosts cannot all be
// listed it has no end, so that nobody takes it for the whole.
type hostsJSON struct {
	w    io.Writer
	line bytes.Buffer
	some bool
}

type hostJSON struct {
	Host    string   `json:"host"`
	Ring    string   `json:"ring"`
	RingWhy string   `json:"ring_why"`
	Groups  []string `json:"groups"`
	Pin     string   `json:"pin"`
	PinFrom string   `json:"pin_from"`
	Path    string   `json:"path"`
	Failure string   `json:"failure"`
}

func (j *hostsJSON) add(d *tagging.Decision) error {
	j.line.Reset()
	if j.some {
		j.line.WriteString(",\n    ")
	} else {
		j.line.WriteString("{\n  \"hosts\": [\n    ")
	}
	j.some = true
	host := hostJSON{d.Host, d.Ring, d.RingWhy, d.Groups, d.Pin, d.PinFrom, d.Path, d.Failure}
	if host.Groups == nil {
		host.Groups = []string{}
	}
	e := json.NewEncoder(&j.line)
	e.SetEscapeHTML(false)
	if err := e.Encode(host); err != nil {
		return err
	}
	_, err := j.w.Write(bytes.TrimSuffix(j.line.Bytes(), []byte("\n")))
	return err
}

func (j *hostsJSON) End() error {
	text := "\n  ]\n}\n"
	if !j.some {
		text = "{\n  \"hosts\": []\n}\n"
	}
	_, err := io.WriteString(j.w, text)
	return err
}
