package term

import (
	"io"
	"strings"
	"unicode/utf8"
)

// Columns lays out a table of any length without holding it. It looks at the first rows to see how wide the
// Columns must be; if a later cell is wider, so is its column from there on.
type Columns struct {
	W      io.Writer
	held   []Row // the first rows, until there are enough
	widths []int
	line   strings.Builder // for reuse
	going  bool            // no more rows are held
}

// Row is one row of a table.
type Row struct {
	Cells  []string
	Colour string // of the whole row; empty for none
}

// sampleRows is how many rows are looked at before the first is written.
const sampleRows = 1000

// Add adds a row.
func (c *Columns) Add(r Row) error {
	for i, cell := range r.Cells {
		if i == len(c.widths) {
			c.widths = append(c.widths, 0)
		}
		if i < len(r.Cells)-1 { // nothing follows the last one
			c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
		}
	}
	if c.going {
		return c.write(r)
	}
	if c.held = append(c.held, r); len(c.held) == sampleRows {
		return c.End()
	}
	return nil
}

// End writes the rows that are held.
func (c *Columns) End() error {
	c.going = true
	for _, r := range c.held {
		if err := c.write(r); err != nil {
			return err
		}
	}
	c.held = nil
	return nil
}

func (c *Columns) write(r Row) error {
	cells := r.Cells
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
	_, err := io.WriteString(c.W, Paint(r.Colour != "", r.Colour, c.line.String())+"\n")
	return err
}
