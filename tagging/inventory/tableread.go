package inventory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// readBlock reads and proves one block. The result is valid until the next call.
func (t *table) readBlock(i uint64) ([]byte, error) {
	n, err := t.file.ReadAt(t.block[:], int64(i*tableBlock))
	if i == 0 && !bytes.HasPrefix(t.block[:n], []byte(tableMagic)) {
		return nil, damagedf("not a table")
	}
	if errors.Is(err, io.EOF) && n < tableBlock {
		return nil, damagedf("block %d is cut off", i)
	}
	if err != nil && n < tableBlock {
		return nil, err
	}
	if blockSum(i, t.block[:blockPayload]) != binary.LittleEndian.Uint32(t.block[blockPayload:]) {
		return nil, damagedf("checksum of block %d", i)
	}
	return t.block[:blockPayload], nil
}

// blockSum is the checksum of block i.
func blockSum(i uint64, payload []byte) uint32 {
	var number [8]byte
	binary.LittleEndian.PutUint64(number[:], i)
	return crc32.Update(crc32.ChecksumIEEE(number[:]), crc32.IEEETable, payload)
}

// setSum is the checksum of the set that begins at the given place.
func setSum(at uint32, body []byte) uint32 {
	var head [8]byte
	binary.LittleEndian.PutUint32(head[:], at)
	binary.LittleEndian.PutUint32(head[4:], uint32(len(body)))
	return crc32.Update(crc32.ChecksumIEEE(head[:]), crc32.IEEETable, body)
}

// hostBlock reads one block of hosts. The result is valid until the next block is read.
func (t *table) hostBlock(i uint64) (hostBlock, error) {
	payload, err := t.readBlock(i)
	if err != nil {
		return hostBlock{}, err
	}
	count := int(binary.LittleEndian.Uint16(payload))
	if count == 0 || 2+2*count > len(payload) {
		return hostBlock{}, damagedf("block %d has %d hosts", i, count)
	}
	return hostBlock{payload: payload, count: count}, nil
}

// entry reads what is said of the hosts whose set begins at the given place.
func (t *table) entry(at uint32) (entry, error) {
	words, err := t.set(at)
	if err != nil || t.kind == tableHosts {
		return entry{groups: words}, err
	}
	e, ok := entryOf(words)
	if !ok {
		return entry{}, damagedf("set at %d", at)
	}
	return e, nil
}

// set reads and proves the set of words that begins at the given place.
func (t *table) set(at uint32) ([]string, error) {
	var first [512]byte // most sets are shorter
	start := int64((1 + t.blocks) * tableBlock)
	if uint64(at)+setHeadLength > t.sets {
		return nil, damagedf("set at %d", at)
	}
	left := t.sets - uint64(at)
	read := first[:min(left, uint64(len(first)))]
	if err := t.readFull(read, start+int64(at)); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(read)
	sum := binary.LittleEndian.Uint32(read[4:])
	if uint64(length) > left-setHeadLength {
		return nil, damagedf("set at %d is %d bytes long", at, length)
	}
	body := read[setHeadLength:]
	if int(length) <= len(body) {
		body = body[:length]
	} else {
		body = make([]byte, length)
		if err := t.readFull(body, start+int64(at)+setHeadLength); err != nil {
			return nil, err
		}
	}
	if setSum(at, body) != sum {
		return nil, damagedf("checksum of the set at %d", at)
	}
	return decodeSet(string(body))
}

// readFull reads all of p.
func (t *table) readFull(p []byte, at int64) error {
	n, err := t.file.ReadAt(p, at)
	switch {
	case n == len(p):
		return nil
	case errors.Is(err, io.EOF):
		return damagedf("cut off at %d", at+int64(n))
	}
	return err
}

// appendSet encodes words.
func appendSet(body []byte, words []string) []byte {
	for _, word := range words {
		body = append(binary.AppendUvarint(body, uint64(len(word))), word...)
	}
	return body
}

// decodeSet is the opposite of appendSet.
func decodeSet(body string) ([]string, error) {
	var words []string
	for body != "" {
		length, n := binary.Uvarint([]byte(body[:min(len(body), binary.MaxVarintLen64)]))
		if n <= 0 || length > uint64(len(body)-n) {
			return nil, damagedf("words of a set")
		}
		words = append(words, body[n:n+int(length)])
		body = body[n+int(length):]
	}
	return words, nil
}

// hostBlock is the content of one block of hosts.
type hostBlock struct {
	payload []byte
	count   int
}

// at returns record i: a host and the place of its set.
func (b hostBlock) at(i int) (name []byte, set uint32, err error) {
	place := int(binary.LittleEndian.Uint16(b.payload[2+2*i:]))
	if place+recordLength > len(b.payload) {
		return nil, 0, damagedf("record at %d", place)
	}
	record := b.payload[place:]
	end := recordLength + int(record[4])
	if end > len(record) {
		return nil, 0, damagedf("record at %d", place)
	}
	return record[recordLength:end], binary.LittleEndian.Uint32(record), nil
}

// found says where a host is, seen from a block.
type found int

const (
	here   found = iota // in this block
	before              // in an earlier one or in none
	after               // in a later one or in none
	absent              // in none
)

// search looks for host in the block and returns the place of its set if it is here.
func (b hostBlock) search(host string) (found, uint32, error) {
	low, high := 0, b.count
	for low < high {
		middle := (low + high) / 2
		name, set, err := b.at(middle)
		if err != nil {
			return absent, 0, err
		}
		switch {
		case string(name) == host:
			return here, set, nil
		case string(name) < host:
			low = middle + 1
		default:
			high = middle
		}
	}
	switch low {
	case 0:
		return before, 0, nil
	case b.count:
		return after, 0, nil
	}
	return absent, 0, nil
}
