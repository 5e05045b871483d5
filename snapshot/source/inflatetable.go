package source

import (
	"math/bits"
	"sync"
)

const (
	maxLitSymbols  = 288 // two of which no stream may have
	maxDistSymbols = 32  // the same
	litSymbols     = 286
	distSymbols    = 30
	endOfBlock     = 256
	precodes       = 19
	maxCodeLength  = 15

	// litBits, distBits and precodeBits are how many bits the first look-up takes. Longer codes need a second one.
	litBits     = 10
	distBits    = 8
	precodeBits = 7
	// litTableSize is a power of two that is not less than the 1334 entries that litBits can need, and the 402 that
	// distBits can.
	litTableSize = 2048
)

// huffmanTable decodes one kind of symbols. The lowest six bits of an entry are how many bits a symbol takes with
// its extra bits, four bits from bit 8 on how many without them; the upper half is the number to which the extra bits
// are added, or the literal.
type huffmanTable [litTableSize]uint32

const (
	entryLiteral = 1 << 31 // a byte
	entrySpecial = 1 << 15 // no byte, and no number
	entryTable   = 1 << 14 // special: the upper half is where a table of as many bits as bits 8 to 11 say begins
	entryEnd     = 1 << 13 // special: the end of the block
)

// second is the second look-up of a symbol, to which the entry e of the first leads.
func (t *huffmanTable) second(e uint32, bits uint64) uint32 {
	return t[(uint64(e>>16)+bits&(1<<(e>>8&15)-1))&(litTableSize-1)]
}

// symbolEntries is what symbols stand for, without the length of their codes.
type symbolEntries struct {
	lit  [maxLitSymbols]uint32
	dist [maxDistSymbols]uint32
	pre  [precodes]uint32 // of the symbols by which the lengths of codes are written
}

// entries are made when they are needed: the resolver, which inflates nothing, would wait for them at every start.
var entries = sync.OnceValue(func() *symbolEntries {
	e := &symbolEntries{lit: makeLitEntries(), dist: makeDistEntries()}
	for s := range e.pre {
		e.pre[s] = uint32(s) << 16
	}
	return e
})

func makeLitEntries() (e [maxLitSymbols]uint32) {
	for s := range endOfBlock {
		e[s] = entryLiteral | uint32(s)<<16
	}
	e[endOfBlock] = entrySpecial | entryEnd
	length := uint32(3)
	for s := endOfBlock + 1; s < litSymbols; s++ {
		extra := max(0, (s-261)/4)
		if s == litSymbols-1 {
			length, extra = maxMatch, 0
		}
		e[s] = length<<16 | uint32(extra)
		length += 1 << extra
	}
	for s := litSymbols; s < maxLitSymbols; s++ {
		e[s] = entrySpecial
	}
	return e
}

func makeDistEntries() (e [maxDistSymbols]uint32) {
	distance := uint32(1)
	for s := range distSymbols {
		extra := max(0, s/2-1)
		e[s] = distance<<16 | uint32(extra)
		distance += 1 << extra
	}
	for s := distSymbols; s < maxDistSymbols; s++ {
		e[s] = entrySpecial
	}
	return e
}

// build makes the table of a code whose lengths are given. It reports false if the lengths are those of no code. Like
// the standard library it takes a code without any symbol, or with one of a single bit, which fails when it is used.
func (t *huffmanTable) build(lengths []uint8, entries []uint32, tableBits int) bool {
	var counts [maxCodeLength + 1]int
	for _, n := range lengths {
		counts[n&maxCodeLength]++
	}
	used := len(lengths) - counts[0]
	space := 0 // of 1<<maxCodeLength
	var first [maxCodeLength + 2]int
	for n := 1; n <= maxCodeLength; n++ {
		space += counts[n] << (maxCodeLength - n)
		first[n+1] = first[n] + counts[n]
	}
	var sorted [maxLitSymbols]uint16 // by length, and then by symbol
	for s, n := range lengths {
		if n != 0 {
			sorted[first[n&maxCodeLength]] = uint16(s)
			first[n&maxCodeLength]++
		}
	}
	switch {
	case used == 0 || used == 1 && counts[1] == 1:
		for i := range 1 << tableBits {
			t[i] = entrySpecial
			if used == 1 && i&1 == 0 {
				t[i] = entries[sorted[0]] + 1<<8 + 1
			}
		}
		return true
	case space != 1<<maxCodeLength:
		return false
	}
	t.fill(&counts, sorted[:used], entries, tableBits)
	return true
}

// fill fills the table of a complete code. The codes come in the order of their lengths and symbols, their bits
// reversed as streams have them.
func (t *huffmanTable) fill(counts *[maxCodeLength + 1]int, sorted []uint16, entries []uint32, tableBits int) {
	n := 1
	for counts[n] == 0 {
		n++
	}
	code, end := uint(0), uint(1)<<n
	for n <= tableBits {
		for range counts[n] {
			t[code] = entries[sorted[0]] + uint32(n)<<8 + uint32(n)
			sorted = sorted[1:]
			if len(sorted) == 0 {
				for ; n < tableBits; n++ {
					copy(t[end:2*end], t[:end])
					end <<= 1
				}
				return
			}
			code = nextCode(code, n)
		}
		for n++; n <= tableBits; n++ {
			copy(t[end:2*end], t[:end])
			end <<= 1
			if counts[n] > 0 {
				break
			}
		}
	}
	t.fillLong(counts, sorted, entries, tableBits, code)
}

// fillLong fills the tables of the codes that are longer than tableBits.
func (t *huffmanTable) fillLong(counts *[maxCodeLength + 1]int, sorted []uint16, entries []uint32, tableBits int, code uint) {
	n := tableBits + 1
	for counts[n] == 0 {
		n++
	}
	remaining := counts[n]
	mask := uint(1)<<tableBits - 1
	prefix, start, end := ^uint(0), uint(0), uint(1)<<tableBits
	for {
		if code&mask != prefix {
			prefix, start = code&mask, end
			size := n - tableBits
			for space := remaining; space < 1<<size; {
				size++
				space = space<<1 + counts[tableBits+size]
			}
			end = start + 1<<size
			t[prefix] = uint32(start)<<16 | entrySpecial | entryTable | uint32(size)<<8 | uint32(tableBits)
		}
		own := uint32(n - tableBits)
		for i := start + code>>tableBits; i < end; i += 1 << own {
			t[i] = entries[sorted[0]] + own<<8 + own
		}
		if sorted = sorted[1:]; len(sorted) == 0 {
			return
		}
		code = nextCode(code, n)
		for remaining--; remaining == 0; remaining = counts[n] {
			n++
		}
	}
}

// nextCode returns the code of n bits after one that is not the last.
func nextCode(code uint, n int) uint {
	bit := uint(1) << (bits.Len(code^(1<<n-1)) - 1)
	return code&(bit-1) | bit
}

// useFixed makes the tables those of the fixed codes.
func (d *inflater) useFixed() {
	if d.fixed {
		return
	}
	lengths := d.lengths[:maxLitSymbols]
	for s := range lengths {
		switch {
		case s < 144:
			lengths[s] = 8
		case s < 256:
			lengths[s] = 9
		case s < 280:
			lengths[s] = 7
		default:
			lengths[s] = 8
		}
	}
	d.lit.build(lengths, entries().lit[:], litBits)
	lengths = d.lengths[:maxDistSymbols]
	for s := range lengths {
		lengths[s] = 5
	}
	d.dist.build(lengths, entries().dist[:], distBits)
	d.fixed = true
}

// precodeOrder is the order in which the lengths of the codes of code lengths are written.
var precodeOrder = [precodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the codes that a block begins with.
func (d *inflater) readCodes() error {
	d.fixed = false
	header, err := d.take(14)
	if err != nil {
		return err
	}
	lits, dists, pres := int(header&31)+257, int(header>>5&31)+1, int(header>>10)+4
	if lits > litSymbols || dists > distSymbols {
		return errMalformed
	}
	var lengths [precodes]uint8
	for _, s := range precodeOrder[:pres] {
		n, err := d.take(3)
		if err != nil {
			return err
		}
		lengths[s] = uint8(n)
	}
	if !d.lit.build(lengths[:], entries().pre[:], precodeBits) {
		return errMalformed
	}
	if err := d.readLengths(d.lengths[:lits+dists]); err != nil {
		return err
	}
	if !d.lit.build(d.lengths[:lits], entries().lit[:], litBits) ||
		!d.dist.build(d.lengths[lits:lits+dists], entries().dist[:], distBits) {
		return errMalformed
	}
	return nil
}

// readLengths reads the lengths of codes, for which lit is the table.
func (d *inflater) readLengths(lengths []uint8) error {
	for i := 0; i < len(lengths); {
		e, err := d.symbol(&d.lit, precodeBits)
		if err != nil {
			return err
		}
		symbol := uint8(e >> 16)
		if symbol < 16 {
			lengths[i] = symbol
			i++
			continue
		}
		value, times, extra := uint8(0), 3, uint(3)
		switch symbol {
		case 16:
			if i == 0 {
				return errMalformed
			}
			value, extra = lengths[i-1], 2
		case 18:
			times, extra = 11, 7
		}
		more, err := d.take(extra)
		if err != nil {
			return err
		}
		times += int(more)
		if times > len(lengths)-i {
			return errMalformed
		}
		for range times {
			lengths[i] = value
			i++
		}
	}
	return nil
}
