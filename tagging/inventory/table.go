package inventory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/etch/etchtag/tagging/inventory/parse"
	"github.com/etch/etchtag/tagstate/lines"
)

// The table is what an inventory's files say, compiled so that a lookup reads a few pages of it,
// whatever the fleet's size. All numbers are little-endian.
//
//	block 0         header: magic, version, kind, number of host blocks, bytes of sets, and the identity
//	                of the file that the table was made of: size, time of modification, time of change,
//	                inode, device (all zero for the files of a tree, which do not change)
//	blocks 1 to n   hosts in the order of their names: count, the places of that many records in the
//	                block, and the records: where the host's set begins, length of the name, name
//	sets            sets of words: length, checksum, and for each word its length and its bytes
//
// A set has the groups of the hosts that point to it; in a table of kind tablePins the pin and its line in
// decimal come first, both empty if there is no pin. A table of kind tableFault has no hosts and one set,
// the mistake in the files: file, line, problem.
//
// Each block is tableBlock bytes long and ends with a checksum of its number and the rest of it; the
// checksum of a set covers where it begins, its length and its words. So whatever a lookup reads is
// proved, and nothing else needs to be read.
//
// The version changes if the format does, and also if the same files come to mean something else.
const (
	tableMagic   = "etchtab\n"
	tableVersion = 1
	tableBlock   = 4096
	tableHosts   = 0
	tableFault   = 1
	tablePins    = 2

	blockPayload  = tableBlock - 4
	recordLength  = 4 + 1 // without the name
	setHeadLength = 4 + 4
	maxSets       = 256 << 20 // bytes
)

// errDamaged is wrapped in all errors about a table that is not as it was written.
var errDamaged = errors.New("damaged")

// errOutdated is the error about a table that is whole, but of another file or of another state of it.
var errOutdated = errors.New("made of the file as it was before")

func damagedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errDamaged, fmt.Sprintf(format, args...))
}

// table is an open table.
type table struct {
	file   io.ReaderAt
	kind   uint32
	blocks uint64 // of hosts
	sets   uint64 // bytes
	block  [tableBlock]byte
}

// openTable opens the table at path, which must be made of source, for use by read.
func openTable(path string, source identity, read func(*table) error) error {
	f, err := lines.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	t, err := newTable(f, info.Size(), source)
	if err != nil {
		return err
	}
	return read(t)
}

// newTable reads a table's header. Its error is a Fault if the files that the table was compiled from
// have one.
func newTable(file io.ReaderAt, size int64, source identity) (*table, error) {
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
	t.kind = number.Uint32(fields[4:])
	t.blocks, t.sets = number.Uint64(fields[8:]), number.Uint64(fields[16:])
	if t.blocks > uint64(size)/tableBlock || t.sets > maxSets ||
		(1+t.blocks)*tableBlock+t.sets != uint64(size) {
		return nil, damagedf("%d bytes long", size)
	}
	if decodeIdentity(fields[24:]) != source {
		return nil, errOutdated
	}
	switch t.kind {
	case tableHosts, tablePins:
		return t, nil
	case tableFault:
		return nil, t.fault()
	}
	return nil, damagedf("kind %d", t.kind)
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
	return parse.Faultf(words[0], line, "%s", words[2])
}

// lookup returns the entry of one host.
func (t *table) lookup(host string) (e entry, known bool, err error) {
	low, high := uint64(1), t.blocks+1 // the host is in one of these, without high, or in none
	for low < high {
		middle := low + (high-low)/2
		records, err := t.hostBlock(middle)
		if err != nil {
			return entry{}, false, err
		}
		i, set, err := records.search(host)
		switch {
		case err != nil:
			return entry{}, false, err
		case i == before:
			high = middle
		case i == after:
			low = middle + 1
		case i == absent:
			return entry{}, false, nil
		default:
			e, err := t.entry(set)
			return e, err == nil, err
		}
	}
	return entry{}, false, nil
}

// maxShared is how many entries a listing keeps for the hosts that share one.
const maxShared = 1 << 14

// hosts calls yield for all hosts in the order of their names, until it returns false. Hosts with equal
// entries may share their groups.
func (t *table) hosts(yield func(host string, e entry) bool) error {
	shared := make(map[uint32]entry)
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
			e, found := shared[set]
			if !found {
				if e, err = t.entry(set); err != nil {
					return err
				}
				if len(shared) == maxShared {
					clear(shared)
				}
				shared[set] = e
			}
			if !yield(string(name), e) {
				return nil
			}
		}
	}
	return nil
}
