package attr

import (
	"bufio"
	"bytes"
	"io"
	"regexp"
	"testing"
	"testing/iotest"
)

// FuzzLineEnds holds that line ends are converted as a regular expression would do it, in whatever pieces the contents
// come, and that the way back gives what was there.
func FuzzLineEnds(f *testing.F) {
	for _, seed := range []string{"a\nb\n", "a\r\nb\n", "\r\r\n\n", "\n", "a\r", "\x00\n", "", "text\x1a"} {
		f.Add([]byte(seed), uint8(1))
	}
	loneLF := regexp.MustCompile("(^|[^\r])\n")
	f.Fuzz(func(t *testing.T, data []byte, cut uint8) {
		at := min(int(cut), len(data))
		var converted bytes.Buffer
		w := &crlfWriter{w: &converted}
		var stats, atOnce TextStats
		for _, piece := range [][]byte{data[:at], data[at:]} {
			if n, err := w.Write(piece); n != len(piece) || err != nil {
				t.Fatal(n, err)
			}
			stats.Write(piece)
		}
		atOnce.Write(data)
		want := string(data)
		for loneLF.MatchString(want) { // matches do not overlap, so of "\n\n" one at a time
			want = loneLF.ReplaceAllString(want, "$1\r\n")
		}
		if converted.String() != want {
			t.Fatalf("%q becomes %q, not %q", data, &converted, want)
		}
		if stats != atOnce {
			t.Fatalf("%q in two pieces is %+v, at once %+v", data, stats, atOnce)
		}
		if !stats.convertible() {
			return
		}
		back, err := io.ReadAll(&LfReader{bufio.NewReader(iotest.OneByteReader(&converted))})
		if err != nil || !bytes.Equal(back, data) {
			t.Fatalf("%q comes back as %q, %v", data, back, err)
		}
	})
}
