package object

import "errors"

var errDelta = errors.New("the delta is malformed")

// A delta is the size of its base, the size of what it makes, and then instructions: to copy a part of the base, or to
// insert bytes of its own.

// deltaSizes reads what a delta begins with. The rest is its instructions.
func deltaSizes(delta []byte) (base, result int64, rest []byte, err error) {
	base, rest, err = deltaSize(delta)
	if err == nil {
		result, rest, err = deltaSize(rest)
	}
	return base, result, rest, err
}

func deltaSize(delta []byte) (size int64, rest []byte, err error) {
	for i, b := range delta {
		if i > 8 {
			break
		}
		size |= int64(b&0x7f) << (7 * i)
		if b&0x80 == 0 {
			return size, delta[i+1:], nil
		}
	}
	return 0, nil, errDelta
}

// applyDelta makes an object of its base and a delta. It is written into buf, which is made larger if needed. That is
// done when all instructions are known to be sound, so that no damaged number asks for memory.
func applyDelta(buf, base, delta []byte) ([]byte, error) {
	baseSize, size, rest, err := deltaSizes(delta)
	if err != nil || baseSize != int64(len(base)) {
		return nil, errDelta
	}
	total := int64(0)
	for todo := rest; len(todo) > 0; {
		from, n, own, err := deltaInstruction(&todo)
		if err != nil || own == nil && from+n > len(base) {
			return nil, errDelta
		}
		total += int64(n)
	}
	if total != size {
		return nil, errDelta
	}
	if buf == nil || int64(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:0]
	for len(rest) > 0 {
		from, n, own, _ := deltaInstruction(&rest) // it was sound a moment ago
		if own == nil {
			own = base[from : from+n]
		}
		buf = append(buf, own...)
	}
	return buf, nil
}

// deltaInstruction takes one instruction off a delta: to insert own, or if that is nil to copy n bytes of the base.
func deltaInstruction(rest *[]byte) (from, n int, own []byte, err error) {
	d := *rest
	op := d[0]
	d = d[1:]
	if op&0x80 == 0 {
		n = int(op)
		if n == 0 || n > len(d) {
			return 0, 0, nil, errDelta
		}
		*rest = d[n:]
		return 0, n, d[:n:n], nil
	}
	for bit := range 7 {
		if op>>bit&1 == 0 {
			continue
		}
		if len(d) == 0 {
			return 0, 0, nil, errDelta
		}
		if bit < 4 {
			from |= int(d[0]) << (8 * bit)
		} else {
			n |= int(d[0]) << (8 * (bit - 4))
		}
		d = d[1:]
	}
	if n == 0 {
		n = 1 << 16
	}
	*rest = d
	return from, n, nil, nil
}

// offsetVarint reads a number as packs have it; n is 0 if it is malformed.
func offsetVarint(data []byte) (v uint64, n int) {
	for n < len(data) && n < 9 {
		b := data[n]
		n++
		v += uint64(b & 0x7f)
		if b&0x80 == 0 {
			return v, n
		}
		v = (v + 1) << 7
	}
	return 0, 0
}
