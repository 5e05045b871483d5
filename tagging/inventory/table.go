package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// The table is what etch's files in one tree say, compiled so that a lookup reads a few pages of it,
// whatever the fleet's size. All numbers are little-endian.
//
//	block 0         header: magic, version, kind, number of host blocks, bytes of sets
//	blocks 1 to n   hosts in the order of their names: count, the places of that many records in the
//	                block, and the records: where the host's set begins, length of the name, name
//	sets            sets of groups: length, checksum, and for each group its length and its name
//
// Each block is tableBlock bytes long and ends with a checksum of its number and the rest of it; the
// checksum of a set covers where it begins, its length and its groups. So whatever a lookup reads is
// proved, and nothing else needs to be read. A table of kind tableFault has no hosts and one "set" that
// is the mistake in the files.
const (
	tableMagic   = "etchtab\n"
	tableVersion = 1
	tableBlock   = 4096
	tableHosts   = 0
	tableFault   = 1

	blockPayload  = tableBlock - 4
	recordLength  = 4 + 1 // without the name
	setHeadLength = 4 + 4
	maxSets       = 256 << 20 // bytes
)

// errDamaged is wrapped in all errors about a table that is not as it was written.
var errDamaged = errors.New("damaged")

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// table is an open table.
type table struct {
	file   io.ReaderAt
	blocks uint64 // of hosts
	sets   uint64 // bytes
	block  [tableBlock]byte
}

// openTable opens the table at path for use by read.
func openTable(path string, read func(*table) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t, err := newTable(f, info.Size())
	if err != nil {
		return err
	}
	return read(t)
}

// newTable reads a table's header. Its error is a Fault if the files that the table was compiled from
// have one.
func newTable(file io.ReaderAt, size int64) (*table, error) {
	t := &table{file: file}
	header, err := t.readBlock(0)
	if err != nil {
		return nil, err
	}
	number := binary.LittleEndian
	fields := header[len(tableMagic):]
	if version := number.Uint32(fields); version != tableVersion {
		return nil, fmt.Errorf("format version %d, not %d", version, tableVersion)
	}
	kind := number.Uint32(fields[4:])
	t.blocks, t.sets = number.Uint64(fields[8:]), number.Uint64(fields[16:])
	if t.blocks > uint64(size)/tableBlock || t.sets > maxSets ||
		(1+t.blocks)*tableBlock+t.sets != uint64(size) {
		return nil, damagedf("%d bytes long", size)
	}
	switch kind {
	case tableHosts:
		return t, nil
	case tableFault:
		return nil, t.fault()
	}
	return nil, damagedf("kind %d", kind)
}

// fault returns the mistake that the table consists of.
func (t *table) fault() error {
	words, err := t.set(0)
	if err != nil {
		return err
	}
	if len(words) != 3 {
		return damagedf("fault of %d words", len(words))
	}
	line, err := strconv.Atoi(words[1])
	if err != nil {
		return damagedf("fault in line %q", words[1])
	}
	return faultf(words[0], line, "%s", words[2])
}

// lookup returns the groups of one host.
func (t *table) lookup(host string) (groups []string, known bool, err error) {
	low, high := uint64(1), t.blocks+1 // the host is in one of these, without high, or in none
	for low < high {
		middle := low + (high-low)/2
		records, err := t.hostBlock(middle)
		if err != nil {
			return nil, false, err
		}
		i, set, err := records.search(host)
		switch {
		case err != nil:
			return nil, false, err
		case i == before:
			high = middle
		case i == after:
			low = middle + 1
		case i == absent:
			return nil, false, nil
		default:
			groups, err := t.set(set)
			return groups, err == nil, err
		}
	}
	return nil, false, nil
}

// hosts calls yield for all hosts in the order of their names, until it returns false.
func (t *table) hosts(yield func(host string, groups []string) bool) error {
	for i := uint64(1); i <= t.blocks; i++ {
		records, err := t.hostBlock(i)
		if err != nil {
			return err
		}
		for j := range records.count {
			name, set, err := records.at(j)
			if err != nil {
				return err
			}
			groups, err := t.set(set)
			if err != nil {
				return err
			}
			if !yield(string(name), groups) {
				return nil
			}
		}
	}
	return nil
}
