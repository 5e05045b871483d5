package object

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	klauspost "github.com/klauspost/compress/zlib"
	"pgregory.net/rapid"
)

// deflated returns data as a zlib stream of a level of the standard library's.
func deflated(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := zlib.NewWriterLevel(&buf, level)
	if err == nil {
		_, err = w.Write(data)
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// standardInflate is what the standard library makes of a stream, and how many bytes of it it takes.
func standardInflate(stream []byte) (data []byte, used int, err error) {
	in := bytes.NewReader(stream)
	r, err := zlib.NewReader(in)
	if err != nil {
		return nil, 0, err
	}
	data, err = io.ReadAll(r)
	return data, len(stream) - in.Len(), err
}

// sameAsStandard fails the test unless the inflater takes a stream exactly when the standard library does, and for the
// same. It must not matter what follows the stream: in a pack that is the next object.
func sameAsStandard(t testing.TB, d *inflater, stream []byte) {
	t.Helper()
	want, wantUsed, wantErr := standardInflate(stream)
	for _, tail := range []int{0, 1, 40} {
		src := slices.Concat(stream, bytes.Repeat([]byte{0xa5}, tail))
		got, used, err := d.inflate(nil, len(want), src)
		if wantErr != nil {
			if err == nil && tail == 0 {
				t.Fatalf("a stream that is %q for the standard library gave %d bytes:\n% x", wantErr, len(got), stream)
			}
			continue
		}
		if err != nil || used != wantUsed || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes of %d, %d of the stream's %d, %v:\n% x", len(got), len(want), used, wantUsed, err, stream)
		}
		if head, err := d.head(nil, 10, src); err != nil || !bytes.Equal(head, want[:min(10, len(want))]) {
			t.Fatalf("its first bytes are %q, %v", head, err)
		}
		if _, _, err := d.inflate(nil, len(want)+1, src); err == nil {
			t.Fatalf("a byte that was not there was not missed")
		}
		if len(want) > 0 {
			if _, _, err := d.inflate(nil, len(want)-1, src); !errors.Is(err, errWrongSize) {
				t.Fatalf("a byte too much: %v", err)
			}
		}
	}
	if wantErr == nil {
		endsWhereItDoes(t, stream, want)
	}
}

// endsWhereItDoes fails the test unless a stream that is too large to be held in memory is read to its end and no
// further.
func endsWhereItDoes(t testing.TB, stream, want []byte) {
	t.Helper()
	in := bufio.NewReader(io.MultiReader(bytes.NewReader(stream), strings.NewReader("the next object")))
	z, err := klauspost.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
	}
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "the next object" {
		t.Fatalf("behind the stream stands %q, %v:\n% x", rest, err, stream)
	}
}

// texts draws contents of many kinds: few symbols and many, short repetitions and long ones, far and near.
var texts = rapid.Custom(func(t *rapid.T) []byte {
	letters := rapid.IntRange(1, 256).Draw(t, "letters")
	word := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) byte {
		return byte(rapid.IntRange(0, letters-1).Draw(t, "letter"))
	}), 0, 40)
	words := rapid.SliceOfN(word, 1, 30).Draw(t, "words")
	var text []byte
	for range rapid.IntRange(0, 300).Draw(t, "count") {
		w := rapid.SampledFrom(words).Draw(t, "word")
		for range rapid.SampledFrom([]int{1, 1, 1, 2, 50}).Draw(t, "times") {
			text = append(text, w...)
		}
	}
	return text
})

func TestInflaterReadsWhatTheStandardLibraryWrites(t *testing.T) {
	t.Parallel()
	d := &inflater{}
	rapid.Check(t, func(rt *rapid.T) {
		level := rapid.IntRange(flate.HuffmanOnly, flate.BestCompression).Draw(rt, "level")
		sameAsStandard(t, d, deflated(t, texts.Draw(rt, "text"), level))
	})
	for _, size := range []int{0, 1, 65_535, 65_536, 1 << 20} {
		for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
			sameAsStandard(t, d, deflated(t, []byte(gittest.SomeBytes(size)), level))
			sameAsStandard(t, d, deflated(t, bytes.Repeat([]byte("ab"), size/2), level))
		}
	}
}

func TestInflaterRefusesWhatTheStandardLibraryRefuses(t *testing.T) {
	t.Parallel()
	d := &inflater{}
	rapid.Check(t, func(rt *rapid.T) {
		level := rapid.IntRange(flate.HuffmanOnly, flate.BestCompression).Draw(rt, "level")
		stream := deflated(t, texts.Draw(rt, "text"), level)
		if rapid.Bool().Draw(rt, "cut") {
			stream = stream[:rapid.IntRange(0, len(stream)-1).Draw(rt, "end")]
		}
		for range rapid.IntRange(0, 4).Draw(rt, "flips") {
			if len(stream) > 0 {
				stream[rapid.IntRange(0, min(len(stream)-1, 200)).Draw(rt, "place")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			}
		}
		sameAsStandard(t, d, stream)
	})
}

// TestInflaterAsksForMore is for readers that guess how long a stream is.
func TestInflaterAsksForMore(t *testing.T) {
	t.Parallel()
	d := &inflater{}
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		text := []byte(strings.Repeat("some text and some more, ", 20) + gittest.SomeBytes(300))
		stream := deflated(t, text, level)
		for end := range stream {
			if _, _, err := d.inflate(nil, len(text), stream[:end]); !errors.Is(err, errCutOff) {
				t.Fatalf("level %d, cut at %d of %d: %v", level, end, len(stream), err)
			}
		}
	}
}

// TestInflaterSaysWhatIsWrong tells what more input may mend from what it does not.
func TestInflaterSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	stored := func(final byte, text string) []byte {
		n := uint16(len(text))
		return append([]byte{final, byte(n), byte(n >> 8), byte(^n), byte(^n >> 8)}, text...)
	}
	summed := func(text string) []byte {
		return binary.BigEndian.AppendUint32(stored(1, text), adler32.Checksum([]byte(text)))
	}
	header := []byte{0x78, 0x9c}
	var malformed flate.CorruptInputError
	for name, c := range map[string]struct {
		stream []byte
		want   error // nil: a malformed stream
	}{
		"empty":                     {nil, errCutOff},
		"half a header":             {header[:1], errCutOff},
		"another method":            {[]byte{0x77, 0x9d, 0, 0}, zlib.ErrHeader},
		"a window too large":        {[]byte{0x88, 0x98, 0, 0}, zlib.ErrHeader},
		"a header that is damaged":  {[]byte{0x78, 0x9d, 0, 0}, zlib.ErrHeader},
		"a dictionary":              {[]byte{0x78, 0xbb, 0, 0, 0, 0, 0}, zlib.ErrDictionary},
		"no block":                  {header, errCutOff},
		"a block of no kind":        {append(header, 7, 0, 0), nil},
		"no checksum":               {slices.Concat(header, stored(1, "abcd")), errCutOff},
		"a wrong checksum":          {slices.Concat(header, stored(1, "abcd"), []byte("none")), zlib.ErrChecksum},
		"sizes that do not agree":   {append(header, 1, 4, 0, 0, 0), nil},
		"more than is announced":    {slices.Concat(header, summed("abcde")), errWrongSize},
		"less than is announced":    {slices.Concat(header, summed("abc")), errWrongSize},
		"much more":                 {slices.Concat(header, summed(gittest.SomeBytes(60_000))), errWrongSize},
		"a repetition of nothing":   {append(header, 0x03, 0x02, 0, 0, 0, 0, 0, 0, 0), nil},
		"too many literals":         {append(header, 0xfd, 0xff, 0xff, 0, 0, 0), nil},
		"an empty code for lengths": {append(header, 0x05, 0, 0, 0, 0, 0, 0, 0), nil},
	} {
		d := &inflater{}
		_, _, err := d.inflate(nil, 4, c.stream)
		if c.want == nil && !errors.As(err, &malformed) || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if _, _, err := standardInflate(c.stream); err == nil && c.want != errWrongSize {
			t.Errorf("%s: the standard library takes it", name)
		}
		text := []byte("the next stream knows nothing of it")
		if got, _, err := d.inflate(nil, len(text), deflated(t, text, 6)); err != nil || !bytes.Equal(got, text) {
			t.Errorf("after %s: %q, %v", name, got, err)
		}
	}
}

func FuzzInflater(f *testing.F) {
	for level := flate.HuffmanOnly; level <= flate.BestCompression; level++ {
		f.Add(deflated(f, []byte(strings.Repeat("configuration ", 30)+gittest.SomeBytes(40)), level))
	}
	d := &inflater{}
	f.Fuzz(func(t *testing.T, stream []byte) {
		if len(stream) < 1<<16 {
			sameAsStandard(t, d, stream)
			fixed := slices.Concat([]byte{0x78, 0x9c}, stream) // past the header, which chance rarely hits
			sameAsStandard(t, d, fixed)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	for _, size := range []int{200, 2_000, 20_000} {
		var text []byte
		for i := 0; len(text) < size; i++ {
			text = fmt.Appendf(text, "server%d.example.com: port %d, weight %d # %s\n", i%7, i*37%1000, i, gittest.SomeBytes(300)[i%290:i%290+4])
		}
		text = text[:size]
		stream := append(deflated(b, text, zlib.DefaultCompression), make([]byte, 32)...)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			d := &inflater{}
			var buf []byte
			var err error
			for b.Loop() {
				if buf, _, err = d.inflate(buf, size, stream); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
