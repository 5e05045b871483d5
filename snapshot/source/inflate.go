package source

import (
	"encoding/binary"
	"errors"
	"hash/adler32"
	"slices"
)

// Almost all that is read of a repository is small and compressed, and its size is known before. The standard
// library's decoder of zlib streams (RFC 1950 and 1951) is made for streams of any length, which it reads byte by byte
// and of which it keeps a window; on git's objects it takes five times as long as one that has all of its input and
// room for all of its output. This one follows the design of libdeflate: a buffer of 64 bits that is filled eight
// bytes at a time, and tables that say in one look-up what a symbol stands for and how many bits it takes.

var (
	// errCutOff says that a stream goes on after its input. With more input it may be sound.
	errCutOff = errors.New("the compressed data is cut off")
	// errMalformed says that a stream is none, whatever follows.
	errMalformed = errors.New("the compressed data is malformed")
	// errWrongSize says that a sound stream does not hold as much as was announced.
	errWrongSize = errors.New("the compressed data has not the size that is announced")
	// errWrongSum says that the contents of a stream are not those that were compressed.
	errWrongSum = errors.New("the compressed data has another checksum")
)

const (
	// maxMatch is the size in bytes of the longest repetition that one symbol can stand for.
	maxMatch = 258
	// inflateSlack is the room behind the contents, in bytes, in which the last repetition may end, written in pieces of 16
	// bytes after two literals.
	inflateSlack = 2 + maxMatch + 16

	// maxDistBits is how many bits a distance takes, at most.
	maxDistBits = maxCodeLength + 13

	zlibHeaderSize  = 2
	zlibTrailerSize = 4
)

// compressedBound is how many bytes hold an object of that size, whatever compressed it, but for encoders that waste
// space. It bounds how much is read at once, not how much may be needed.
func compressedBound(size int) int { return size + size>>10 + 64 }

// inflater uncompresses one stream after the other, each in one go. Its zero value is ready. It serves one goroutine.
type inflater struct {
	lit, dist huffmanTable
	fixed     bool // lit and dist are those of the fixed codes
	lengths   [maxLitSymbols + maxDistSymbols]uint8

	src  []byte
	next int    // of src, what is not in bits yet
	bits uint64 // read from src but not used
	left uint   // how many bits are valid in bits
}

// inflate uncompresses the zlib stream that src begins with, of exactly size bytes, into buf, which it makes larger if
// needed. It returns the contents and how many bytes of src the stream has.
func (d *inflater) inflate(buf []byte, size int, src []byte) (data []byte, used int, err error) {
	buf = roomFor(buf, size)
	n, err := d.run(buf, size, src)
	if err != nil {
		return buf[:0], 0, err
	}
	if n != size {
		return buf[:0], 0, errWrongSize
	}
	data = buf[:size]
	d.next -= int(d.left / 8) // whole bytes that were read ahead
	if len(src)-d.next < zlibTrailerSize {
		return buf[:0], 0, errCutOff
	}
	if binary.BigEndian.Uint32(src[d.next:]) != adler32.Checksum(data) {
		return buf[:0], 0, errWrongSum
	}
	return data, d.next + zlibTrailerSize, nil
}

// head uncompresses no more than the first size bytes of a stream, and proves nothing.
func (d *inflater) head(buf []byte, size int, src []byte) ([]byte, error) {
	buf = roomFor(buf, size)
	n, err := d.run(buf, size, src)
	if err != nil && !errors.Is(err, errWrongSize) {
		return buf[:0], err
	}
	return buf[:min(n, size)], nil
}

// roomFor returns a buffer for size bytes and the slack.
func roomFor(buf []byte, size int) []byte {
	return slices.Grow(buf[:0], size+inflateSlack)[:size+inflateSlack]
}

// run uncompresses a stream up to its checksum. More than size bytes are errWrongSize; dst has them and the slack.
func (d *inflater) run(dst []byte, size int, src []byte) (n int, err error) {
	if len(src) < zlibHeaderSize {
		return 0, errCutOff
	}
	const deflate, maxWindow, presetDictionary = 8, 7, 0x20
	if src[0]&15 != deflate || src[0]>>4 > maxWindow || src[1]&presetDictionary != 0 ||
		binary.BigEndian.Uint16(src)%31 != 0 {
		return 0, errMalformed
	}
	d.src, d.next, d.bits, d.left = src, zlibHeaderSize, 0, 0
	defer func() { d.src = nil }()
	for final := false; !final; {
		header, err := d.take(3)
		if err != nil {
			return n, err
		}
		final = header&1 != 0
		switch header >> 1 {
		case 0:
			n, err = d.stored(dst, n, size)
		case 1:
			d.useFixed()
			n, err = d.block(dst, n, size)
		case 2:
			if err = d.readCodes(); err == nil {
				n, err = d.block(dst, n, size)
			}
		default:
			err = errMalformed
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// fill brings more bits, up to 56 and more if there are as many.
func (d *inflater) fill() {
	if len(d.src)-d.next >= 8 {
		d.bits |= binary.LittleEndian.Uint64(d.src[d.next:]) << (d.left & 63)
		d.next += int(63-d.left) >> 3
		d.left |= 56
		return
	}
	for d.left < 56 && d.next < len(d.src) {
		d.bits |= uint64(d.src[d.next]) << d.left
		d.next++
		d.left += 8
	}
}

// take returns the next n bits, at most 32.
func (d *inflater) take(n uint) (uint, error) {
	if d.left < n {
		if d.fill(); d.left < n {
			return 0, errCutOff
		}
	}
	v := uint(d.bits & (1<<n - 1))
	d.drop(n)
	return v, nil
}

// drop forgets n bits, as many as there are at most.
func (d *inflater) drop(n uint) {
	d.bits >>= n
	d.left -= n
}

// stored copies a block that is not compressed.
func (d *inflater) stored(dst []byte, n, size int) (int, error) {
	d.drop(d.left & 7)
	d.next -= int(d.left / 8)
	d.bits, d.left = 0, 0
	if len(d.src)-d.next < 4 {
		return n, errCutOff
	}
	count, check := binary.LittleEndian.Uint16(d.src[d.next:]), binary.LittleEndian.Uint16(d.src[d.next+2:])
	if count != ^check {
		return n, errMalformed
	}
	d.next += 4
	from := d.src[d.next:]
	wanted := min(int(count), size-n)
	if len(from) < wanted {
		return n, errCutOff
	}
	n += copy(dst[n:], from[:wanted])
	d.next += wanted
	if wanted < int(count) {
		return n, errWrongSize
	}
	return n, nil
}

// block uncompresses the symbols of a block. It does so quickly as long as there are eight bytes of input for each
// filling, and carefully at the end of it.
func (d *inflater) block(dst []byte, n, size int) (int, error) {
	n, end, err := d.quickly(dst, n, size)
	for !end && err == nil {
		n, end, err = d.carefully(dst, n, size)
	}
	return n, err
}

// quickly uncompresses symbols until the block ends or the input nearly does. The bits that it looks up are there
// without any question: two literals and a length take at most 40 bits of those that are at least 56 after each filling.
func (d *inflater) quickly(dst []byte, n, size int) (int, bool, error) {
	src, next, bits, left := d.src, d.next, d.bits, d.left
	lit, dist := &d.lit, &d.dist
	var end, malformed bool
	for last := len(src) - 16; n <= size && next <= last; {
		bits |= binary.LittleEndian.Uint64(src[next:]) << (left & 63)
		next += int(63-left) >> 3
		left |= 56
		e := lit[bits&(1<<litBits-1)]
		if e&entryLiteral != 0 {
			dst[n] = byte(e >> 16)
			n++
			bits, left = bits>>(e&63), left-uint(e&63)
			if e = lit[bits&(1<<litBits-1)]; e&entryLiteral != 0 {
				dst[n] = byte(e >> 16)
				n++
				bits, left = bits>>(e&63), left-uint(e&63)
				e = lit[bits&(1<<litBits-1)]
			}
		}
		if e&(entrySpecial|entryTable) == entrySpecial|entryTable {
			bits, left = bits>>litBits, left-litBits
			e = lit.second(e, bits)
		}
		if e&entryLiteral != 0 {
			dst[n] = byte(e >> 16)
			n++
			bits, left = bits>>(e&63), left-uint(e&63)
			continue
		}
		length := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits, left = bits>>(e&63), left-uint(e&63)
		if e&entrySpecial != 0 {
			end, malformed = e&entryEnd != 0, e&entryEnd == 0
			break
		}
		if left < maxDistBits {
			bits |= binary.LittleEndian.Uint64(src[next:]) << (left & 63)
			next += int(63-left) >> 3
			left |= 56
		}
		e = dist[bits&(1<<distBits-1)]
		if e&(entrySpecial|entryTable) == entrySpecial|entryTable {
			bits, left = bits>>distBits, left-distBits
			e = dist.second(e, bits)
		}
		back := int(e>>16) + int(bits&(1<<(e&63)-1)>>(e>>8&15))
		bits, left = bits>>(e&63), left-uint(e&63)
		if e&entrySpecial != 0 || back > n {
			malformed = true
			break
		}
		repeat(dst, n, back, length)
		n += length
	}
	d.next, d.bits, d.left = next, bits, left
	switch {
	case malformed:
		return n, false, errMalformed
	case n > size:
		return n, false, errWrongSize
	}
	return n, end, nil
}

// repeat writes length bytes at n that stand back bytes before, and some more. It may only be called where the slack
// begins behind n or not much before it.
func repeat(dst []byte, n, back, length int) {
	const piece = 16
	switch {
	case back >= piece:
		*(*[piece]byte)(dst[n:]) = *(*[piece]byte)(dst[n-back:])
		for i := piece; i < length; i += piece {
			*(*[piece]byte)(dst[n+i:]) = *(*[piece]byte)(dst[n-back+i:])
		}
	case back == 1:
		to, b := dst[n:n+length], dst[n-1]
		for i := range to {
			to[i] = b
		}
	default:
		to, from := dst[n:n+length], dst[n-back:]
		for i := range to {
			to[i] = from[i]
		}
	}
}

// carefully uncompresses one symbol, and knows where the input ends.
func (d *inflater) carefully(dst []byte, n, size int) (int, bool, error) {
	e, err := d.symbol(&d.lit, litBits)
	if err != nil {
		return n, false, err
	}
	switch {
	case e&entryLiteral != 0:
		if n >= size {
			return n, false, errWrongSize
		}
		dst[n] = byte(e >> 16)
		return n + 1, false, nil
	case e&entrySpecial != 0:
		return n, true, nil
	}
	extra, err := d.take(uint(e&63 - e>>8&15))
	if err != nil {
		return n, false, err
	}
	length := int(e>>16) + int(extra)
	if e, err = d.symbol(&d.dist, distBits); err != nil {
		return n, false, err
	}
	if extra, err = d.take(uint(e&63 - e>>8&15)); err != nil {
		return n, false, err
	}
	back := int(e>>16) + int(extra)
	if back > n {
		return n, false, errMalformed
	}
	repeat(dst, n, back, length)
	if n += length; n > size {
		return n, false, errWrongSize
	}
	return n, false, nil
}

// symbol reads one symbol without its extra bits.
func (d *inflater) symbol(t *huffmanTable, tableBits uint) (uint32, error) {
	d.fill()
	bits, before := d.bits, uint(0)
	e := t[bits&(1<<tableBits-1)]
	if e&(entryLiteral|entryTable) == entryTable {
		before = tableBits
		bits >>= tableBits
		e = t.second(e, bits)
	}
	length := before + uint(e>>8&15)
	malformed := e&(entryLiteral|entrySpecial|entryEnd) == entrySpecial
	if malformed {
		length = maxCodeLength // whatever the missing bits are
		if d.left >= length {
			return 0, errMalformed
		}
	}
	if d.left < length {
		return 0, errCutOff
	}
	d.drop(length)
	return e, nil
}
