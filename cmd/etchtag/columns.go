package main

import (
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// columns lays out a table of any length without holding it. It looks at the first rows to see how wide the
// columns must be; if a later cell is wider, so is its column from there on.
type columns struct {
	w      io.Writer
	held   []row // the first rows, until there are enough
	widths []int
	line   strings.Builder // for reuse
	going  bool            // no more rows are held
}

// row is one row of a table.
type row struct {
	cells  []string
	colour string // of the whole row; empty for none
}

// sampleRows is how many rows are looked at before the first is written.
const sampleRows = 1000

// add adds a row.
func (c *columns) add(r row) error {
	for i, cell := range r.cells {
		if i == len(c.widths) {
			c.widths = append(c.widths, 0)
		}
		if i < len(r.cells)-1 { // nothing follows the last one
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	if c.going {
		return c.write(r)
	}
	if c.held = append(c.held, r); len(c.held) == sampleRows {
		return c.end()
	}
	return nil
}

// end writes the rows that are held.
func (c *columns) end() error {
	c.going = true
	for _, r := range c.held {
		if err := c.write(r); err != nil {
			return err
		}
	}
	c.held = nil
	return nil
}

func (c *columns) write(r row) error {
	cells := r.cells
	for len(cells) > 0 && cells[len(cells)-1] == "" { // or else there would be blanks at the end
		cells = cells[:len(cells)-1]
	}
	c.line.Reset()
	for i, cell := range cells {
		c.line.WriteString(cell)
		if i < len(cells)-1 {
			for range c.widths[i] - utf8.RuneCountInString(cell) + 2 {
				c.line.WriteByte(' ')
			}
		}
	}
	_, err := io.WriteString(c.w, paint(r.colour != "", r.colour, c.line.String())+"\n")
	return err
}

// printable is text from outside as it may be shown on a terminal.
func printable(s string) string {
	if utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return s
	}
	return strconv.Quote(s)
}
