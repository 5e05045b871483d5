package object

import (
	"bytes"
	"testing"

	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"pgregory.net/rapid"
)

func TestApplyDeltaMakesWhatTheDeltaWasMadeFor(t *testing.T) {
	t.Parallel()
	var buf []byte
	rapid.Check(t, func(rt *rapid.T) {
		base, want := texts.Draw(rt, "base"), texts.Draw(rt, "text")
		want = append(want, base[len(base)/3:]...)
		delta := packfile.DiffDelta(base, want)
		got, err := applyDelta(buf, base, delta)
		if err != nil || !bytes.Equal(got, want) {
			rt.Fatalf("%d bytes of %d, %v", len(got), len(want), err)
		}
		buf = got // the next is written over it
		if _, size, _, err := deltaSizes(delta); err != nil || size != int64(len(want)) {
			rt.Fatalf("its size is %d (%v), not %d", size, err, len(want))
		}
	})
}

func TestApplyDeltaRefusesWhatIsMalformed(t *testing.T) {
	t.Parallel()
	base := []byte("0123456789")
	for name, delta := range map[string]string{
		"nothing":                        "",
		"one size":                       "\x0a",
		"a size without an end":          "\x8a\x80\x80\x80\x80\x80\x80\x80\x80\x80",
		"another base":                   "\x09\x01\x01a",
		"too little":                     "\x0a\x02\x01a",
		"too much":                       "\x0a\x01\x02ab",
		"a copy from behind the base":    "\x0a\x02\x91\x09\x02",
		"a copy that is cut off":         "\x0a\x02\x91\x09",
		"an insertion that is cut off":   "\x0a\x02\x02a",
		"the instruction that is none":   "\x0a\x01\x00",
		"64 kB of a base that has fewer": "\x0a\x80\x80\x04\x80",
	} {
		if got, err := applyDelta(nil, base, []byte(delta)); err == nil {
			t.Errorf("%s: made %q", name, got)
		}
	}
	for delta, want := range map[string]string{"\x0a\x00": "", "\x0a\x03\x91\x02\x02\x01x": "23x"} {
		if got, err := applyDelta(nil, base, []byte(delta)); err != nil || got == nil || string(got) != want {
			t.Errorf("%q made %q, %v", delta, got, err)
		}
	}
}

func FuzzApplyDelta(f *testing.F) {
	f.Add([]byte("0123456789"), []byte("\x0a\x03\x91\x02\x02\x01x"))
	f.Fuzz(func(t *testing.T, base, delta []byte) {
		got, err := applyDelta(nil, base, delta)
		want, wantErr := packfile.PatchDelta(base, delta)
		if err == nil && len(delta) >= 4 && (wantErr != nil || !bytes.Equal(got, want)) {
			t.Fatalf("made %q (%v), want %q (%v)", got, err, want, wantErr)
		}
	})
}
