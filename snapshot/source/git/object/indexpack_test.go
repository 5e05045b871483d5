package object

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/etch/etchtag/snapshot/source/git/gittest"
	"github.com/go-git/go-git/v5/plumbing"
)

// packOf packs a whole repository and returns the files' common stem.
func packOf(r *gittest.TestRepo, args ...string) string {
	r.T.Helper()
	r.Git(append([]string{"repack", "-adfq", "--depth=50", "--window=20"}, args...)...)
	packs, _ := filepath.Glob(filepath.Join(r.Dir, ".git/objects/pack/*.pack"))
	if len(packs) != 1 {
		r.T.Fatalf("packs: %q", packs)
	}
	return strings.TrimSuffix(packs[0], ".pack")
}

func TestPackIndexIsTheOneThatGitMakes(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-c", "repack.useDeltaBaseOffset=true"}, {"-c", "repack.useDeltaBaseOffset=false"},
	} {
		r := gittest.NewTestRepo(t)
		r.Write("big", strings.Repeat("line\n", 1<<16))
		r.Grow(20)
		r.Git("tag", "-a", "-m", "annotated", "v1")
		r.Git(append(args, "repack", "-adfq")...)
		stem := strings.TrimSuffix(packOf(r), ".pack")
		want, err := os.ReadFile(stem + ".idx")
		if err != nil {
			t.Fatal(err)
		}
		pack, err := os.Open(stem + ".pack")
		if err != nil {
			t.Fatal(err)
		}
		defer pack.Close()
		index, err := indexPack(pack, plumbing.NewHash(stem[len(stem)-40:]))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(index.file, want) {
			t.Errorf("%v: the index is not git's", args)
		}
	}
}

// samplePack returns a small pack with deltas of both kinds.
func samplePack(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	blob := bytes.Repeat([]byte("0123456789abcdef"), 16)
	name := plumbing.ComputeHash(plumbing.BlobObject, blob)
	b.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x03")
	base := b.Len()
	writePacked(t, &b, plumbing.BlobObject, nil, blob)
	// copy all of the base, then insert "x"
	delta := []byte{0x80, 0x02, 0x81, 0x02, 0x80 | 0x20, 1, 1, 'x'}
	writePacked(t, &b, plumbing.OFSDeltaObject, []byte{byte(b.Len() - base)}, delta)
	delta[len(delta)-1] = 'y'
	writePacked(t, &b, plumbing.REFDeltaObject, name[:], delta)
	sum := sha1.Sum(b.Bytes())
	return append(b.Bytes(), sum[:]...)
}

func writePacked(t testing.TB, b *bytes.Buffer, kind plumbing.ObjectType, base, data []byte) {
	t.Helper()
	first := byte(kind)<<4 | byte(len(data)&15)
	if rest := len(data) >> 4; rest > 0 {
		b.Write([]byte{first | 0x80, byte(rest)})
	} else {
		b.WriteByte(first)
	}
	b.Write(base)
	b.Write(deflate(t, data))
}

// indexBytes indexes a pack that is given as bytes, and returns the names of its objects.
func indexBytes(t testing.TB, pack []byte) ([]string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pack")
	if err := os.WriteFile(file, pack, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	index, err := indexPack(f, plumbing.ZeroHash)
	if err != nil {
		return nil, err
	}
	var names []string
	for i := range index.count() {
		names = append(names, plumbing.Hash(index.name(i)).String())
	}
	return names, nil
}

func TestPackWithDeltasOfBothKindsIsIndexed(t *testing.T) {
	t.Parallel()
	names, err := indexBytes(t, samplePack(t))
	if err != nil {
		t.Fatal(err)
	}
	blob := bytes.Repeat([]byte("0123456789abcdef"), 16)
	for _, content := range [][]byte{blob, append(blob[:256:256], 'x'), append(blob[:256:256], 'y')} {
		if h := plumbing.ComputeHash(plumbing.BlobObject, content).String(); !strings.Contains(fmt.Sprint(names), h) {
			t.Errorf("%s is not among %q", h, names)
		}
	}
}

func TestEveryDamageOfAPackIsAnError(t *testing.T) {
	t.Parallel()
	pack := samplePack(t)
	for n := range len(pack) - 1 {
		if _, err := indexBytes(t, pack[:n]); err == nil {
			t.Errorf("cut off after %d of %d bytes: no error", n, len(pack))
		}
	}
	for i := range pack {
		damaged := bytes.Clone(pack)
		damaged[i] ^= 0x10
		_, _ = indexBytes(t, damaged) // no panic
		sum := NewTrailer()
		_, _ = sum.Write(damaged[:i])
		_, _ = sum.Write(damaged[i:])
		if sum.Holds() {
			t.Errorf("the checksum holds although byte %d is damaged", i)
		}
	}
	more := bytes.Clone(pack)
	binary.BigEndian.PutUint32(more[8:], 2)
	if _, err := indexBytes(t, more); err == nil {
		t.Error("a pack with more objects than it announces: no error")
	}
}

func TestThinPackIsRefused(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString("PACK\x00\x00\x00\x02\x00\x00\x00\x01")
	writePacked(t, &b, plumbing.REFDeltaObject, bytes.Repeat([]byte{7}, 20), []byte{1, 1, 1, 'x'})
	b.Write(make([]byte, 20))
	if _, err := indexBytes(t, b.Bytes()); err == nil || !strings.Contains(err.Error(), "base") {
		t.Errorf("got %v", err)
	}
}

func FuzzPackIndex(f *testing.F) {
	f.Add(samplePack(f))
	f.Add([]byte("PACK\x00\x00\x00\x02\x00\x00\x00\x00" + strings.Repeat("\x00", 20)))
	f.Fuzz(func(t *testing.T, pack []byte) {
		_, _ = indexBytes(t, pack) // no panic, no endless loop
	})
}

func TestObjectNamesAreThoseThatGitLists(t *testing.T) {
	t.Parallel()
	r := gittest.NewTestRepo(t)
	r.Grow(10)
	packOf(r)
	r.Grow(10) // these stay loose
	names := mustOpenObjects(t, filepath.Join(r.Dir, ".git"))
	all := strings.Fields(r.Git("cat-file", "--batch-all-objects", "--batch-check=%(objectname)"))
	for _, name := range all {
		if !names.Has(plumbing.NewHash(name)) {
			t.Errorf("%s is not listed", name)
		}
		for _, digits := range []string{name[:4], name[:7], name} {
			found := fmt.Sprint(names.WithPrefix(digits))
			for _, other := range all {
				if strings.HasPrefix(other, digits) != strings.Contains(found, other) {
					t.Errorf("of %s the names are %s, and %s is among all", digits, found, other)
				}
			}
		}
	}
	if names.Has(plumbing.NewHash(gittest.HashA)) || names.Has(plumbing.ZeroHash) || len(names.WithPrefix("ffff0000")) > 0 {
		t.Error("an object that does not exist is listed")
	}
}

func FuzzPackNames(f *testing.F) {
	f.Add(append([]byte("\xfftOc\x00\x00\x00\x02"), make([]byte, fanOutSize+40)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		table, err := parsePackIndex(data)
		if err != nil {
			return
		}
		names := &Reader{}
		names.addPack(&pack{index: table})
		for _, h := range []plumbing.Hash{{}, {0xff}, {0x80, 1}} {
			names.Has(h)
			names.WithPrefix(h.String()[:6])
		}
	})
}

func deflate(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
