package object

import (
	"bytes"
	"crypto/sha1"
	"slices"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// FuzzPackDelta packs an object and a delta on it, and holds that the pack is refused or has what a plain reading of the
// format makes of them.
func FuzzPackDelta(f *testing.F) {
	base := bytes.Repeat([]byte("0123456789abcdef"), 16)
	f.Add(base, []byte{0x80, 0x02, 0x81, 0x02, 0x80 | 0x20, 1, 1, 'x'}, true)         // all of the base, and "x"
	f.Add(base, []byte{0x80, 0x02, 0x05, 0x80 | 0x01 | 0x10, 0xfb, 5}, false)         // its last five bytes
	f.Add(base, []byte{0x80, 0x02, 0x05, 0x80 | 0x01 | 0x10, 0xfc, 5}, false)         // one too many
	f.Add(base, []byte{0x80, 0x02, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10, 0x80}, false)  // of terabytes, it says
	f.Add(base, []byte{0x80, 0x02, 0x01, 0x00, 'x'}, true)                            // a reserved instruction
	f.Add([]byte("ab"), []byte{0x02, 0x03, 0x90, 2, 1, 'c', 1, 'd'}, true)            // more than it announces
	f.Add([]byte("ab"), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, true) // a number without an end
	f.Fuzz(func(t *testing.T, base, delta []byte, byOffset bool) {
		if len(base) == 0 || len(base) > 2000 || len(delta) < 4 || len(delta) > 2000 {
			return
		}
		var b bytes.Buffer
		b.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x02")
		at := b.Len()
		writePacked(t, &b, plumbing.BlobObject, nil, base)
		namer := newNamer()
		name := namer.name(plumbing.BlobObject, base)
		if distance := b.Len() - at; byOffset && distance < 0x80 {
			writePacked(t, &b, plumbing.OFSDeltaObject, []byte{byte(distance)}, delta)
		} else {
			writePacked(t, &b, plumbing.REFDeltaObject, name[:], delta)
		}
		sum := sha1.Sum(b.Bytes())
		names, err := indexBytes(t, append(b.Bytes(), sum[:]...))
		want, ok := patchPlainly(base, delta)
		if (err == nil) != ok {
			t.Fatalf("%q on %q: %v, and read plainly %v", delta, base, err, ok)
		}
		if h := namer.name(plumbing.BlobObject, want).String(); ok && !slices.Contains(names, h) {
			t.Fatalf("%q on %q makes %q, %s, which is not among %q", delta, base, want, h, names)
		}
	})
}

// patchPlainly applies a delta as gitformat-pack(5) describes it.
func patchPlainly(base, delta []byte) ([]byte, bool) {
	sourceSize, delta, ok := plainNumber(delta)
	targetSize, delta, more := plainNumber(delta)
	if !ok || !more || sourceSize != uint64(len(base)) {
		return nil, false
	}
	var out []byte
	for len(delta) > 0 {
		instruction := delta[0]
		delta = delta[1:]
		from := base
		offset, size := 0, int(instruction)
		switch {
		case instruction == 0:
			return nil, false
		case instruction < 0x80:
			from = delta
		default:
			var numbers [7]int // four bytes of the offset, three of the size
			for i := range numbers {
				if instruction&(1<<i) == 0 {
					continue
				}
				if len(delta) == 0 {
					return nil, false
				}
				numbers[i], delta = int(delta[0]), delta[1:]
			}
			offset = numbers[0] | numbers[1]<<8 | numbers[2]<<16 | numbers[3]<<24
			if size = numbers[4] | numbers[5]<<8 | numbers[6]<<16; size == 0 {
				size = 0x10000
			}
		}
		if offset+size > len(from) {
			return nil, false
		}
		out = append(out, from[offset:offset+size]...)
		if instruction < 0x80 {
			delta = delta[size:]
		}
	}
	return out, uint64(len(out)) == targetSize
}

// plainNumber reads a number of seven bits a byte, the lowest first.
func plainNumber(data []byte) (n uint64, rest []byte, ok bool) {
	for i, b := range data {
		if i > 8 {
			return 0, nil, false
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return n, data[i+1:], true
		}
	}
	return 0, nil, false
}
