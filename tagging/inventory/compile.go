package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/etch/etchtag/tagging/inventory/parse"
)

// CompileTo writes the table of the tree in the directory dir to w: what etch's files there say, sorted
// so that a lookup does not read them. The same files give the same bytes. If the files have a mistake, it
// is returned as a *Fault, and w gets a table that says so: with it a lookup passes over the tree at
// once, without reading files that it cannot use. After any other error what w has got is no table.
func CompileTo(w io.Writer, dir string) error {
	f, err := readFleet(dir)
	if fault, ok := errors.AsType[*parse.Fault](err); ok {
		if err := writeFault(w, fault, identity{}); err != nil {
			return fmt.Errorf("write the table of %s: %w", dir, err)
		}
		return fault
	}
	if err != nil {
		return err
	}
	b := newTableBuilder()
	if err := b.addFleet(f); err != nil {
		return fmt.Errorf("compile the table of %s: %w", dir, err)
	}
	if err := b.writeTo(w, tableHosts, identity{}); err != nil {
		return fmt.Errorf("write the table of %s: %w", dir, err)
	}
	return nil
}

// writeFault writes the table of files that have a mistake.
func writeFault(w io.Writer, fault *parse.Fault, source identity) error {
	b := newTableBuilder()
	if _, err := b.addSet([]string{fault.File, strconv.Itoa(fault.Line), fault.Problem}); err != nil {
		return err
	}
	return b.writeTo(w, tableFault, source)
}

// tableBuilder collects a table in memory.
type tableBuilder struct {
	blocks  []byte   // that are full, without the header
	places  []uint16 // of the records of the block that is being filled, from the first record
	records []byte
	sets    []byte
	setAt   map[string]uint32 // by the encoded set
	body    []byte            // for reuse
}

func newTableBuilder() *tableBuilder { return &tableBuilder{setAt: map[string]uint32{}} }

// addFleet adds all hosts.
func (b *tableBuilder) addFleet(f *fleet) (err error) {
	setOf := make(map[int32]uint32, len(f.nodes.lists.All)) // by the list of groups in the file
	f.hosts(func(host string, rows []row) bool {
		set, found := setOf[rows[0].list]
		if !found || len(rows) > 1 {
			if set, err = b.addSet(f.groups(rows)); err != nil {
				return false
			}
		}
		if len(rows) == 1 {
			setOf[rows[0].list] = set
		}
		b.addHost(host, set)
		return true
	})
	return err
}

// addSet adds a set of words, if it is not there yet, and returns its place.
func (b *tableBuilder) addSet(words []string) (uint32, error) {
	b.body = appendSet(b.body[:0], words)
	if at, found := b.setAt[string(b.body)]; found {
		return at, nil
	}
	if len(b.sets)+setHeadLength+len(b.body) > maxSets {
		return 0, fmt.Errorf("what is said of the hosts takes more than %d MiB", maxSets>>20)
	}
	at := uint32(len(b.sets))
	b.sets = binary.LittleEndian.AppendUint32(b.sets, uint32(len(b.body)))
	b.sets = binary.LittleEndian.AppendUint32(b.sets, setSum(at, b.body))
	b.sets = append(b.sets, b.body...)
	b.setAt[string(b.body)] = at
	return at, nil
}

// addHost adds a host, which must follow the last one in the order of names.
func (b *tableBuilder) addHost(name string, set uint32) {
	if 2+2*(len(b.places)+1)+len(b.records)+recordLength+len(name) > blockPayload {
		b.endBlock()
	}
	b.places = append(b.places, uint16(len(b.records)))
	b.records = binary.LittleEndian.AppendUint32(b.records, set)
	b.records = append(append(b.records, byte(len(name))), name...)
}

// endBlock writes out the block that is being filled, if there is anything in it.
func (b *tableBuilder) endBlock() {
	if len(b.places) == 0 {
		return
	}
	var block [tableBlock]byte
	payload := binary.LittleEndian.AppendUint16(block[:0], uint16(len(b.places)))
	first := uint16(2 + 2*len(b.places))
	for _, place := range b.places {
		payload = binary.LittleEndian.AppendUint16(payload, first+place)
	}
	copy(block[first:], b.records)
	number := uint64(1 + len(b.blocks)/tableBlock)
	b.blocks = append(b.blocks, sealBlock(&block, number)...)
	b.places, b.records = b.places[:0], b.records[:0]
}

// sealBlock writes the checksum of a block with the given number.
func sealBlock(block *[tableBlock]byte, number uint64) []byte {
	binary.LittleEndian.PutUint32(block[blockPayload:], blockSum(number, block[:blockPayload]))
	return block[:]
}

// writeTo writes the table, which was made of source.
func (b *tableBuilder) writeTo(w io.Writer, kind uint32, source identity) error {
	b.endBlock()
	var header [tableBlock]byte
	fields := append(header[:0], tableMagic...)
	fields = binary.LittleEndian.AppendUint32(fields, tableVersion)
	fields = binary.LittleEndian.AppendUint32(fields, kind)
	fields = binary.LittleEndian.AppendUint64(fields, uint64(len(b.blocks)/tableBlock))
	fields = binary.LittleEndian.AppendUint64(fields, uint64(len(b.sets)))
	source.append(fields)
	for _, part := range [][]byte{sealBlock(&header, 0), b.blocks, b.sets} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
